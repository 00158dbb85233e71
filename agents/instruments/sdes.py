"""Keys for SRTP in session descriptions: the attribute a=crypto (RFC 4568). Pure.

Takes and gives attribute values. What is read here is only what this bench can use: the two suites every SDES phone
has, inline keys, no MKI. Keys never show in what is printed; ``fingerprint`` tells two apart.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab_inventory.errors import BadInput

MASTER_BYTES = 30
"""A master key of 128 bits with a salt of 112 (RFC 4568, 6.2)."""
_CRYPTO = re.compile(r"(\d{1,9}) (\S+) (\S+)((?: \S+)*)")
_INLINE = re.compile(rb"(inline:)([A-Za-z0-9+/=]+)", re.IGNORECASE)


class MalformedCrypto(BadInput):
    """The crypto attribute cannot be read, or cannot be used by this bench"""

    slug = "malformed-crypto"


class Suite(StrEnum):
    """Crypto suites by their names in SDP (RFC 4568, 6.2)."""

    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_CM_128_HMAC_SHA1_32 = "AES_CM_128_HMAC_SHA1_32"

    @property
    def tag_bytes(self) -> int:
        """The length of the authentication tag of an RTP packet."""
        return 10 if self is Suite.AES_CM_128_HMAC_SHA1_80 else 4


@dataclass(frozen=True, kw_only=True)
class Crypto:
    """One key: its tag, which names it in offer and answer, the suite, and master key and salt as they are sent."""

    tag: int
    suite: Suite
    master: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Equal for equal keys, and tells nothing of them."""
        return hashlib.sha256(self.master).hexdigest()[:12]

    def attribute(self) -> str:
        """The value of a=crypto."""
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.master).decode()}"


def read_crypto(value: str) -> Crypto:
    """Read the value of one a=crypto attribute (RFC 4568, 9.1). Raises MalformedCrypto with the reason."""
    match = _CRYPTO.fullmatch(value)
    if match is None:
        raise MalformedCrypto("a=crypto is not tag, suite and key parameters (RFC 4568, 9.1)")
    if match[2] not in list(Suite):
        raise MalformedCrypto(f"the suite {match[2][:60]} is not used here")
    if match[4]:
        raise MalformedCrypto("session parameters are not used here")
    method, _, info = match[3].partition(":")
    if method.lower() != "inline" or ";" in info:
        raise MalformedCrypto("the key parameters are not one inline key (RFC 4568, 6.1)")
    encoded, *lifetime_and_mki = info.split("|")
    if any(":" in part for part in lifetime_and_mki):
        raise MalformedCrypto("a key with an MKI is not used here")
    try:
        master = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedCrypto("the inline key is not base64") from error
    if len(master) != MASTER_BYTES:
        raise MalformedCrypto(f"the inline key has {len(master)} bytes, {MASTER_BYTES} are needed (RFC 4568, 6.2)")
    return Crypto(tag=int(match[1]), suite=Suite(match[2]), master=master)


def answer_faults(offered: Sequence[Crypto], answered: Sequence[Crypto]) -> tuple[str, ...]:
    """What is wrong with the keys of an answer: one, with the tag and the suite of one offered (RFC 4568, 5.1.2)."""
    if len(answered) != 1:
        return (f"the answer has {len(answered)} usable crypto attributes, one is needed (RFC 4568, 5.1.2)",)
    (chosen,) = answered
    if not any((chosen.tag, chosen.suite) == (one.tag, one.suite) for one in offered):
        return ("tag or suite of the answer is none of those offered (RFC 4568, 5.1.2)",)
    if any(chosen.master == one.master for one in offered):
        return ("the answer has the key of the offer: both directions would share one (RFC 3711, 9.1)",)
    return ()


def mask_keys(raw: bytes) -> bytes:
    """The same bytes with every inline key replaced by a digest of it, as long as the key was."""
    return _INLINE.sub(lambda match: match[1] + _stand_in(match[2]), raw)


def _stand_in(encoded: bytes) -> bytes:
    digest = b"masked" + hashlib.sha256(encoded).hexdigest().encode()
    return (digest * (len(encoded) // len(digest) + 1))[: len(encoded)]
