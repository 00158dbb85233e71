"""Signing what the lab answers for, and reading whom somebody trusts.

A document is as ``orchestrator.envelope`` writes it: a certificate, a link of its history, a key link, a status list.
"""

import json
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from lab_inventory.errors import BadInput
from lab_inventory.noun import Noun
from lab_inventory.reading import parse_message
from orchestrator.envelope import ALGORITHM, public_of, seal
from orchestrator.key_chain import Issuer, PublicKey
from orchestrator.lifecycle.certificate import Certificate, CertificateLink, StatusList
from orchestrator.lifecycle.signing_key import KeyLink
from orchestrator.new_file import write_new


class TrustFile(Noun):
    """The issuers that this machine trusts."""

    issuers: tuple[Issuer, ...] = ()


class Signer:
    """Signs certificates with the lab's key, kept as a private JWK in a file that only its owner can read."""

    def __init__(self, *, name: str, key: OKPKey) -> None:
        self.name = name
        self._key = key

    @classmethod
    def at(cls, path: Path, *, name: str) -> "Signer":
        """Load the key at ``path``, or make one there with mode 0600. Raises BadInput where it is no usable key."""
        if not path.exists():
            made = cls.new(name=name)
            write_new(path, made.private_jwk())
            return made
        if path.stat().st_mode & 0o077:
            raise BadInput(f"{path}: the signing key can be read by others; set its mode to 0600")
        try:
            return cls.from_private_jwk(json.loads(path.read_text(encoding="utf-8")), name=name)
        except (ValueError, JoseError) as error:
            raise BadInput(f"{path}: is no private Ed25519 key") from error

    @classmethod
    def new(cls, *, name: str) -> "Signer":
        """A signer with a key of its own, which is kept nowhere yet."""
        return cls(name=name, key=OKPKey.generate_key("Ed25519", private=True))

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

    def sign_key_link(self, link: KeyLink) -> str:
        """The file by which this key introduces the next, or a first one itself."""
        return seal("key_link", link, self._key)

    def private_jwk(self) -> bytes:
        """The private key, as it is kept."""
        return json.dumps(self._key.as_dict(private=True)).encode()

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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
