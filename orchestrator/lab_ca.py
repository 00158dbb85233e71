"""A CA and a server certificate for a lab that has none of its own: ``assay tls make`` and ``renew``.

Gives files; a file that is there is never overwritten, but for the certificate that ``renew`` puts in the place of its
predecessor. Keys have mode 0600.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab_inventory.errors import BadInput, Conflict
from orchestrator.new_file import write_new

CA_LIVES = timedelta(days=3650)
SERVER_LIVES = timedelta(days=397)
BACKDATED = timedelta(days=1)
"""A host whose clock is a little behind believes a certificate that was made a moment ago."""
ALWAYS = ("localhost", "127.0.0.1", "::1")
"""The commands on the server's own machine reach it so."""
T = TypeVar("T")
_DNS_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the four files are."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate: what clients are given."""
        return self.folder / "lab-ca.pem"

    @property
    def ca_key(self) -> Path:
        """The CA's key: only ``renew`` needs it; keep it where only you get at it."""
        return self.folder / "lab-ca.key"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """The server's key."""
        return self.folder / "server.key"


def make(folder: Path, names: Sequence[str], now: datetime) -> Files:
    """A server certificate for ``names`` (DNS names, IP addresses), of the CA in ``folder``, which is made where there
    is none.

    Raises BadInput for what is no name, Conflict where a server's certificate is there, OSError where nothing can be
    written.
    """
    files = Files(folder=folder)
    alternatives = [_alternative(name) for name in dict.fromkeys((*names, *ALWAYS))]
    for path in (files.certificate, files.key):
        if path.exists():
            raise Conflict(f"{path} is there already and is not overwritten; 'assay tls renew' renews, --out elsewhere")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not files.ca.exists() and not files.ca_key.exists():
        ca_key = ec.generate_private_key(ec.SECP256R1())
        write_new(files.ca_key, _key_bytes(ca_key), 0o600)
        write_new(files.ca, _pem(_ca(ca_key, folder, now)), 0o644)
    ca, ca_key = _kept_ca(files)
    key = ec.generate_private_key(ec.SECP256R1())
    write_new(files.key, _key_bytes(key), 0o600)
    write_new(files.certificate, _pem(_server(key.public_key(), alternatives, ca, ca_key, now)), 0o644)
    return files


def renew(folder: Path, now: datetime) -> Files:
    """A new certificate for the same key and names, in one step in the place of the old one.

    Raises BadInput where what is in ``folder`` was not made there.
    """
    files = Files(folder=folder)
    ca, ca_key = _kept_ca(files)
    old = _certificate(files.certificate)
    if old.issuer != ca.subject:
        raise BadInput(f"{files.certificate} is not of the CA in {files.ca}: renew it where it came from")
    names = list(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    key = old.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadInput(f"{files.certificate} was not made by 'assay tls make': renew it where it came from")
    draft = files.certificate.with_suffix(".pem.new")
    draft.unlink(missing_ok=True)
    write_new(draft, _pem(_server(key, names, ca, ca_key, now)), 0o644)
    draft.replace(files.certificate)
    return files


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        lower = name.lower()
        if not _DNS_NAME.fullmatch(lower):
            raise BadInput(f"{name[:80]!r} is no name of a server; expected a DNS name or an IP address") from None
        return x509.DNSName(lower)


def _ca(key: ec.EllipticCurvePrivateKey, folder: Path, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Assay lab CA of {now:%Y-%m-%d %H:%M:%S}")])
    public = key.public_key()
    return (
        _begun(name, name, public, now, CA_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Assay server")])
    of_ca = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _begun(subject, ca.subject, key, now, min(SERVER_LIVES, ca.not_valid_after_utc - now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_ca), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lives: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lives)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _kept_ca(files: Files) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    ca = _certificate(files.ca)
    key = _read(files.ca_key, lambda data: serialization.load_pem_private_key(data, password=None))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != ca.public_key():
        raise BadInput(f"{files.ca_key} is not the key of {files.ca}")
    return ca, key


def _certificate(path: Path) -> x509.Certificate:
    return _read(path, x509.load_pem_x509_certificate)


def _read(path: Path, load: Callable[[bytes], T]) -> T:
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path}: cannot be used: expected PEM, as 'assay tls make' writes it") from error


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
