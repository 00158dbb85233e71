"""Signing what the lab answers for, and verifying it without a server.

A document is as ``orchestrator.envelope`` writes it: a certificate, a link of its history, or a status list. Whose key
signed it, only ``--issuer`` or the local trust file can say.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from lab_inventory.errors import BadInput
from lab_inventory.noun import Label, Noun
from lab_inventory.reading import parse_message
from orchestrator.envelope import ALGORITHM, key_of, public_of, seal, unseal
from orchestrator.lifecycle.certificate import Certificate, CertificateLink, CertificateState, StatusList
from orchestrator.new_file import write_new

CERTIFICATE_BYTES_MAX = 1_000_000
STATUS_BYTES_MAX = 50_000_000


class Finding(IntEnum):
    """What verification found; the value is the exit status of ``assay verify``."""

    VALID = 0
    INVALID = 1
    ISSUER_UNKNOWN = 3
    NOT_IN_FORCE = 4
    STATUS_UNKNOWN = 5


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
        return key_of(self.key.model_dump()).thumbprint()


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
        return Issuer(name=self.name, key=PublicKey.model_validate(public_of(self._key)))

    def sign(self, certificate: Certificate) -> str:
        """The certificate file for ``certificate``."""
        return seal("certificate", certificate, self._key)

    def sign_link(self, link: CertificateLink) -> str:
        """The file for a link of a certificate's history."""
        return seal("link", link, self._key)

    def sign_status(self, status: StatusList) -> str:
        """The file for a status list."""
        return seal("status_list", status, self._key)


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
    opened = unseal(data, "certificate", Certificate, bytes_max=CERTIFICATE_BYTES_MAX, what="a certificate")
    if opened.wrong or opened.content is None:
        words = (*opened.words, f"INVALID: {opened.wrong}")
        return Verification(finding=Finding.INVALID, words=words, certificate=opened.content)
    return _whose(opened.content, opened.thumbprint, named, trusted, opened.words)


def with_status(found: Verification, certificate_digest: str, data: bytes, now: datetime) -> Verification:
    """Add to a verification that found no fault what a status list says. Total, as :func:`verify` is.

    The list has to be signed with the same key, and to be good now: an old one may not know of a revocation.
    """

    def ended(finding: Finding, *last: str) -> Verification:
        return replace(found, finding=finding, words=(*found.words, *last))

    if found.finding not in (Finding.VALID, Finding.ISSUER_UNKNOWN) or found.certificate is None:
        return found
    opened = unseal(data, "status_list", StatusList, bytes_max=STATUS_BYTES_MAX, what="a status list")
    status_list = opened.content
    if opened.wrong or status_list is None:
        return ended(Finding.STATUS_UNKNOWN, f"STATUS UNKNOWN: the status list cannot be used: {opened.wrong}")
    if opened.thumbprint != found.issuer_thumbprint:
        return ended(Finding.STATUS_UNKNOWN, "STATUS UNKNOWN: the status list is signed with another key.")
    if now >= status_list.next_update:
        words = f"STATUS UNKNOWN: the status list was good until {status_list.next_update:%Y-%m-%d %H:%M} UTC."
        return ended(Finding.STATUS_UNKNOWN, words)
    name = found.certificate.certificate
    status = next((one for one in status_list.certificates if one.certificate == name), None)
    if status is None:
        return ended(Finding.STATUS_UNKNOWN, f"STATUS UNKNOWN: the status list does not have {name}.")
    if status.links == 0 and status.head != certificate_digest:
        return ended(Finding.INVALID, "INVALID: the status list speaks of another certificate under that name.")
    said = f"status list {status_list.number} of {status_list.issued_at:%Y-%m-%d %H:%M} UTC"
    if status.state is not CertificateState.GRANTED:
        return ended(Finding.NOT_IN_FORCE, f"NOT IN FORCE: it is {status.state.value} ({said}).")
    if status.ends_on is not None and now.date() > status.ends_on:
        return ended(Finding.NOT_IN_FORCE, f"NOT IN FORCE: its last day was {status.ends_on} ({said}).")
    until = f", up to and including {status.ends_on}" if status.ends_on else ""
    limits = (f"Limits of use: {status.limits}",) if status.limits else ()
    return ended(found.finding, f"It is in force{until} ({said}).", *limits)


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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
