"""A bare SIP peer over TCP or TLS, with certificates of a CA of its own: none of the product's instruments."""

import asyncio
import datetime
import ipaddress
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from phone_wire import Peer, Seen

from lab_inventory.clock import boottime_ns

DAY = datetime.timedelta(days=1)


class Stream:
    """Stands in for ``phone_wire.Udp``: one datagram is one message of a connection."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.versions: list[str | None] = []
        self._context = context
        self._news = asyncio.Event()
        self._writers: dict[Peer, asyncio.StreamWriter] = {}

    async def open(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self._context)
        self.address: Peer = self._server.sockets[0].getsockname()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        self._writers[peer] = writer
        tls = writer.get_extra_info("ssl_object")
        self.versions.append(tls.version() if tls else None)
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?mi)^Content-Length: (\d+)", head)
                self.datagram_received(head + await reader.readexactly(int(length[1]) if length else 0), peer)
        writer.transport.abort()

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        self.seen.append(Seen(boottime_ns() / 1e9, data, addr))
        self._news.set()

    def send(self, data: bytes, peer: Peer) -> None:
        self._writers[peer].write(data)

    async def wait_for(self, wanted: Callable[[bytes], object], *, since: int = 0, timeout_s: float = 3.0) -> Seen:
        async with asyncio.timeout(timeout_s):
            while True:
                for seen in self.seen[since:]:
                    if wanted(seen.data):
                        return seen
                self._news.clear()
                await self._news.wait()

    def drop(self) -> None:
        """End every connection."""
        for writer in self._writers.values():
            writer.transport.abort()

    def close(self) -> None:
        self.drop()
        self._server.close()


@dataclass(frozen=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path


def new_authority(folder: Path) -> Authority:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)  # noqa: TID251
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate, folder / "ca.pem")


def server_context(
    authority: Authority, folder: Path, *, host: str = "127.0.0.1", expired: bool = False
) -> ssl.SSLContext:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)  # noqa: TID251
    issuer = authority.certificate.subject
    ours = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 20 * DAY)
        .not_valid_after(now - DAY if expired else now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "server.pem"
    chain.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context
