"""DTLS-SRTP in session descriptions: fingerprints of certificates and who begins (RFC 8122, RFC 4145, RFC 5763). Pure.

Takes and gives attribute values. A fingerprint is public: it proves a certificate and protects nothing.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab_inventory.errors import BadInput

DTLS_TRANSPORTS = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
"""RFC 5764, 8: SRTP keyed by DTLS, without and with feedback."""
_HASHES = ("sha-1", "sha-224", "sha-256", "sha-384", "sha-512")
_FINGERPRINT = re.compile(r"([A-Za-z0-9-]{1,16})[ \t]+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,127})[ \t]*")


class MalformedFingerprint(BadInput):
    """The fingerprint attribute cannot be read, or its hash is not used here"""

    slug = "malformed-fingerprint"


class Setup(StrEnum):
    """Who begins the handshake, as its own side says it (RFC 4145, 4; RFC 5763, 5)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"

    def answer(self) -> "Setup":
        """Ours to an offer: to begin wherever the other side lets us (RFC 5763, 5)."""
        return Setup.PASSIVE if self is Setup.ACTIVE else Setup.ACTIVE


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The hash of a certificate: its name in lower case, and its bytes."""

    hash_name: str
    value: bytes

    def attribute(self) -> str:
        """The value of a=fingerprint (RFC 8122, 5)."""
        return f"{self.hash_name} {self.value.hex(':').upper()}"

    def is_of(self, certificate: bytes) -> bool:
        """Whether this is the fingerprint of a certificate, given in DER."""
        return hashlib.new(self.hash_name.replace("-", ""), certificate).digest() == self.value


def fingerprint_of(certificate: bytes) -> Fingerprint:
    """The fingerprint that we tell of a certificate in DER: by SHA-256, which all must know (RFC 8122, 5)."""
    return Fingerprint(hash_name="sha-256", value=hashlib.sha256(certificate).digest())


def read_fingerprint(value: str) -> Fingerprint:
    """Read the value of one a=fingerprint attribute. Raises MalformedFingerprint with the reason."""
    match = _FINGERPRINT.fullmatch(value)
    if match is None:
        raise MalformedFingerprint("a=fingerprint is not a hash and bytes in hexadecimal with colons (RFC 8122, 5)")
    name = match[1].lower()
    if name not in _HASHES:
        raise MalformedFingerprint(f"the hash {name} is not used here; expected one of {', '.join(_HASHES)}")
    told = bytes.fromhex(match[2].replace(":", ""))
    size = hashlib.new(name.replace("-", "")).digest_size
    if len(told) != size:
        raise MalformedFingerprint(f"a fingerprint by {name} has {size} bytes, not {len(told)} (RFC 8122, 5)")
    return Fingerprint(hash_name=name, value=told)


def is_dtls(datagram: bytes) -> bool:
    """Whether a datagram on a media port is DTLS, by its first byte (RFC 7983, 7)."""
    return bool(datagram) and 20 <= datagram[0] <= 63


def fingerprints_match(told: Sequence[Fingerprint], certificate: bytes) -> bool:
    """Whether a certificate is what was told: one of each hash, and at least one (RFC 8122, 5 and 6.2)."""
    names = {one.hash_name for one in told}
    return bool(told) and all(any(one.is_of(certificate) for one in told if one.hash_name == name) for name in names)
