"""Signing certificates and verifying them without a server: Ed25519 as JWS (RFC 7515, RFC 9864) over RFC 8785 JSON.

A certificate file is the canonical JSON of ``{"certificate": …, "signature": {"protected": …, "signature": …}}``: a JWS
with detached content, whose payload is the canonical JSON of ``certificate``. Because the whole file must be canonical,
no byte of it can change unnoticed. The key in the protected header lets anyone check that the file is intact; whose
key that is, only ``--issuer`` or the local trust file can say.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from lab_inventory.canonical import canonical_bytes
from lab_inventory.errors import BadInput
from lab_inventory.noun import Label, Noun
from lab_inventory.reading import parse_message
from orchestrator.lifecycle.certificate import Certificate
from orchestrator.new_file import write_new

ALGORITHM = "Ed25519"
CERTIFICATE_BYTES_MAX = 1_000_000


class Finding(IntEnum):
    """What verification found; the value is the exit status of ``assay verify``."""

    VALID = 0
    INVALID = 1
    ISSUER_UNKNOWN = 3


class PublicKey(Noun):
    """An Ed25519 public key as JWK (RFC 8037)."""

    kty: str
    crv: str
    x: str


class Issuer(Noun):
    """A name and the key that signs under it."""

    name: Label
    key: PublicKey

    @property
    def thumbprint(self) -> str:
        """The key's SHA-256 thumbprint (RFC 7638)."""
        return _key(self.key.model_dump()).thumbprint()


class TrustFile(Noun):
    """The issuers that this machine trusts."""

    issuers: tuple[Issuer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found, and in words what was checked; ``certificate`` is None where it could not be read."""

    finding: Finding
    words: tuple[str, ...]
    certificate: Certificate | None = None
    issuer_thumbprint: str | None = None


class Signer:
    """Signs certificates with the lab's key, kept as a private JWK in a file that only its owner can read."""

    def __init__(self, *, name: str, key: OKPKey) -> None:
        self.name = name
        self._key = key

    @classmethod
    def at(cls, path: Path, *, name: str) -> "Signer":
        """Load the key at ``path``, or make one there with mode 0600. Raises BadInput where it is no usable key."""
        if not path.exists():
            key = OKPKey.generate_key("Ed25519", private=True)
            write_new(path, json.dumps(key.as_dict(private=True)).encode())
            return cls(name=name, key=key)
        if path.stat().st_mode & 0o077:
            raise BadInput(f"{path}: the signing key can be read by others; set its mode to 0600")
        try:
            return cls.from_private_jwk(json.loads(path.read_text(encoding="utf-8")), name=name)
        except (ValueError, JoseError) as error:
            raise BadInput(f"{path}: is no private Ed25519 key") from error

    @classmethod
    def from_private_jwk(cls, private: dict[str, Any], *, name: str) -> "Signer":
        """A signer with the key of a private JWK; raises ValueError for any other key."""
        key = OKPKey.import_key(private)
        if not key.is_private or private.get("crv") != ALGORITHM:
            raise ValueError("not a private Ed25519 key")
        return cls(name=name, key=key)

    @property
    def issuer(self) -> Issuer:
        """The public half, to be given to those who verify."""
        return Issuer(name=self.name, key=PublicKey.model_validate(_public(self._key)))

    def sign(self, certificate: Certificate) -> str:
        """The certificate file for ``certificate``."""
        header = {"alg": ALGORITHM, "kid": self._key.thumbprint(), "jwk": _public(self._key)}
        signed = jws.serialize_json(
            {"protected": header}, canonical_bytes(certificate), self._key, algorithms=[ALGORITHM]
        )
        signature = {"protected": signed["protected"], "signature": signed["signature"]}
        document = {"certificate": certificate.model_dump(mode="json"), "signature": signature}
        return canonical_bytes(document).decode()


def read_issuer(path: Path) -> Issuer:
    """Read an issuer file; raises BadInput where it is none."""
    return parse_message(_read(path), Issuer, source=str(path))


def read_trust(path: Path) -> tuple[Issuer, ...]:
    """The issuers of a trust file; none where there is no such file. Raises BadInput where it is unreadable."""
    if not path.exists():
        return ()
    return parse_message(_read(path), TrustFile, source=str(path)).issuers


def verify(data: bytes, *, named: Issuer | None = None, trusted: tuple[Issuer, ...] = ()) -> Verification:
    """Verify a certificate file. Trusts ``named`` alone where it is given, else the ``trusted`` issuers.

    Total: whatever ``data`` is, it answers and never raises.
    """
    words: list[str] = []

    def invalid(why: str, certificate: Certificate | None = None) -> Verification:
        return Verification(finding=Finding.INVALID, words=(*words, f"INVALID: {why}"), certificate=certificate)

    if len(data) > CERTIFICATE_BYTES_MAX:
        return invalid(f"the file is larger than {CERTIFICATE_BYTES_MAX} bytes")
    try:
        document = json.loads(data)
        certificate = Certificate.model_validate(document["certificate"])
        protected, signature = document["signature"]["protected"], document["signature"]["signature"]
        header = json.loads(_unpad(protected))
        key = _key(header["jwk"])
        signature_rewritten = _pad(_unpad(signature))
        canonical = canonical_bytes(document)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError, JoseError, AttributeError):
        return invalid("the file is not a certificate of Assay")
    if canonical != data or set(document) != {"certificate", "signature"}:
        return invalid("the file was changed: it is not in the canonical form in which certificates are written")
    if set(document["signature"]) != {"protected", "signature"} or signature_rewritten != signature:
        return invalid("the file was changed: its signature is not written as it was")
    words.append("The file is in canonical form (RFC 8785).")
    if header.get("alg") != ALGORITHM or header.get("kid") != key.thumbprint():
        return invalid("the signature's header does not fit its key", certificate)
    payload = _pad(canonical_bytes(document["certificate"]))
    try:
        jws.deserialize_json(
            {"payload": payload, "protected": protected, "signature": signature}, key, algorithms=[ALGORITHM]
        )
    except (JoseError, ValueError):
        return invalid("the signature does not fit the content: the file was changed", certificate)
    words.append(f"The Ed25519 signature fits the content; it was made with the key {key.thumbprint()}.")
    return _whose(certificate, key.thumbprint(), named, trusted, tuple(words))


def _whose(
    certificate: Certificate, thumbprint: str, named: Issuer | None, trusted: tuple[Issuer, ...], words: tuple[str, ...]
) -> Verification:
    """Say whether an intact certificate was signed by somebody who is trusted."""

    def found(finding: Finding, last: str) -> Verification:
        return Verification(
            finding=finding, words=(*words, last), certificate=certificate, issuer_thumbprint=thumbprint
        )

    if named is not None and named.thumbprint != thumbprint:
        return found(Finding.INVALID, f"INVALID: it was not signed with the key of {named.name} that was given.")
    candidates = (named,) if named is not None else trusted
    match = next((issuer for issuer in candidates if issuer.thumbprint == thumbprint), None)
    if match is not None and match.name != certificate.issuer:
        return found(Finding.INVALID, f"INVALID: it names {certificate.issuer}, but the key belongs to {match.name}.")
    if match is not None:
        return found(Finding.VALID, f"The key belongs to {match.name}, which is trusted here.")
    if any(issuer.name == certificate.issuer for issuer in candidates):
        return found(
            Finding.INVALID, f"INVALID: it names {certificate.issuer}, whose trusted key is another: a forgery."
        )
    return found(
        Finding.ISSUER_UNKNOWN,
        "INTACT, ISSUER UNKNOWN: nothing here says whose key this is; name it with --issuer FILE.",
    )


def _public(key: OKPKey) -> dict[str, Any]:
    shown = key.as_dict(private=False)
    return {name: shown[name] for name in ("crv", "kty", "x")}


def _key(public: dict[str, Any]) -> OKPKey:
    """The public key of a JWK; raises ValueError for any other kind of key, or one that brings more than it should."""
    if set(public) != {"crv", "kty", "x"} or public["crv"] != ALGORITHM:
        raise ValueError("not an Ed25519 public key")
    return OKPKey.import_key(public)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error


def _pad(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpad(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
