"""The certificate authority of a bench host, which phones are told to trust once, and the certificates made with it.

Takes and gives files only in :func:`make_ca` and :func:`kept_ca`; the certificates of a run are made in memory. Keys
are RSA with 2048 bits: every phone that speaks TLS takes them. The CA signs nothing but certificates for the bench
itself; whoever has its key can pretend to be a SIP server to every phone that trusts it, so it has mode 0600.
"""

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agents.measure import LabError
from lab_inventory.errors import Conflict

FOLDER_VARIABLE = "ASSAY_AGENT_BENCH_CA"
WORK_VARIABLE = "ASSAY_AGENT_WORK_DIR"
FOLDER = "bench-ca"
CA_FILE, KEY_FILE = "bench-ca.pem", "bench-ca.key"
CA_LIVES = timedelta(days=3650)
SERVER_LIVES = timedelta(days=30)
BACKDATED = timedelta(days=1)
"""A phone whose clock is a little behind believes a certificate that was made a moment ago."""
_KEY_BITS = 2048
_HOW = "'assay-agent bench ca' makes one"


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A CA with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate, as phones are given it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, kw_only=True)
class ServerCertificate:
    """A server's certificate with its key. What it is good for is for who made it to know."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    def context(self, *, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> ssl.SSLContext:
        """A TLS server that shows this certificate and speaks the versions from ``lowest`` to ``highest``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = lowest, highest
        context.num_tickets = 0  # a resumed handshake would show no certificate
        context.options |= ssl.OP_NO_TICKET
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # mode 0600; ssl reads keys from files only
            file.write(_key_bytes(self.key) + self.certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def ca_folder(environment: Mapping[str, str]) -> Path | None:
    """Where this host keeps the CA: ASSAY_AGENT_BENCH_CA, else ``bench-ca`` in the agent's work directory."""
    if named := environment.get(FOLDER_VARIABLE):
        return Path(named)
    work = environment.get(WORK_VARIABLE)
    return Path(work) / FOLDER if work else None


def make_ca(folder: Path, name: str, now: datetime) -> Path:
    """Make the CA and its key in ``folder``; gives the file that phones are to trust.

    Raises Conflict where there is one: phones trust it, so it is never overwritten. Raises OSError.
    """
    certificate, key_file = folder / CA_FILE, folder / KEY_FILE
    for path in (certificate, key_file):
        if path.exists():
            raise Conflict(f"{path} is there already, and phones may trust it; to begin anew, move it away")
    made = new_authority(name, now)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(key_file, _key_bytes(made.key), 0o600)
    _write_new(certificate, made.pem, 0o644)
    return certificate


def kept_ca(folder: Path | None) -> Authority:
    """The CA that is kept. Raises LabError where there is none, or where it cannot be used."""
    if folder is None:
        raise LabError(f"neither {FOLDER_VARIABLE} nor {WORK_VARIABLE} says where the bench's CA is")
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
    except FileNotFoundError as error:
        raise LabError(f"this bench has no CA in {folder}; {_HOW}") from error
    except (OSError, ValueError) as error:
        raise LabError(f"the bench's CA in {folder} cannot be read: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise LabError(f"{folder / KEY_FILE} is not the key of {folder / CA_FILE}")
    return Authority(certificate=certificate, key=key)


def new_authority(name: str, now: datetime) -> Authority:
    """A CA that is kept nowhere."""
    key = _new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Assay bench CA of {name}, {now:%Y-%m-%d %H:%M:%S}")])
    usage = _usage(signs_certificates=True)
    certificate = (
        _begun(subject, subject, key, now - BACKDATED, now + CA_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate=certificate, key=key)


def server_certificate(
    host: str, *, now: datetime, issuer: Authority | None, expired: bool = False
) -> ServerCertificate:
    """A certificate for a SIP server at ``host`` (a name or an IP address); without ``issuer`` it signs itself.

    The identity stands in subjectAltName as a SIP URI and as a name or an address (RFC 5922, 7.1; RFC 5280, 4.2.1.6).
    """
    key = _new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    begins, ends = now - BACKDATED, now + SERVER_LIVES
    if expired:
        begins, ends = begins - SERVER_LIVES, begins
    certificate = (
        _begun(subject, issuer.certificate.subject if issuer else subject, key, begins, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host), _sip_uri(host)]), critical=False)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return ServerCertificate(certificate=certificate, key=key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _sip_uri(host: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(f"sip:{host}")


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_encipherment=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _key_bytes(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_new(path: Path, data: bytes, mode: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
