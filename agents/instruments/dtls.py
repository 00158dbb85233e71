"""A DTLS handshake on a media port that keys SRTP (RFC 5763, RFC 5764), by the library pyOpenSSL.

Takes datagrams and gives datagrams; sockets are the caller's. The certificate that comes is held against the
fingerprint of the session description and nothing else: no authority vouches for it. The keys stay in memory.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from agents.instruments.dtls_sdp import Fingerprint, fingerprint_of, fingerprints_match
from agents.instruments.sdes import Crypto, Suite

DATAGRAM_BYTES_MAX = 1200
"""What is sent at once fits every path that IP and UDP are sent over."""
DATAGRAMS_TAKEN_MAX = 500
"""A handshake needs some ten; what floods the port beyond this is not looked at."""
_PROFILES = {
    b"SRTP_AES128_CM_SHA1_80": Suite.AES_CM_128_HMAC_SHA1_80,
    b"SRTP_AES128_CM_SHA1_32": Suite.AES_CM_128_HMAC_SHA1_32,
}
"""RFC 5764, 4.1.2, by OpenSSL's names; the first is the one that all must have."""
_LABEL = b"EXTRACTOR-dtls_srtp"
_KEY_BYTES, _SALT_BYTES = 16, 14
_RECORD_HEADER_BYTES = 13
_LIVES = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class DtlsIdentity:
    """A certificate that signs itself, its private key, and the fingerprint that is told of it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def fingerprint(self) -> Fingerprint:
        """As it is told in the session description."""
        return fingerprint_of(self.certificate.public_bytes(Encoding.DER))


def new_identity(now: datetime) -> DtlsIdentity:
    """One of P-256 that is kept nowhere and says nothing of the lab (RFC 5763, 5)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "audio")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIVES)
        .sign(key, hashes.SHA256())
    )
    return DtlsIdentity(certificate=certificate, key=key)


class DtlsRole(StrEnum):
    """Who sends the ClientHello: the side that is active in the session description."""

    CLIENT = "client"
    SERVER = "server"


class DtlsState(StrEnum):
    """How far it has come. ``agreed``: both sides have keys, and the certificate is the one that was told."""

    WAITING = "waiting"
    AGREED = "agreed"
    FAILED = "failed"
    CLOSED = "closed"


class DtlsAssociation:
    """One handshake and what comes after it on the same port.

    ``told``: the fingerprints in the other side's description. ``send`` takes a datagram for it. ``on_agreed`` is
    called once, when ``own`` and ``theirs`` are there. ``fault``: why it failed, in words; ``taken`` counts datagrams.
    """

    def __init__(
        self,
        *,
        role: DtlsRole,
        identity: DtlsIdentity,
        told: Sequence[Fingerprint],
        send: Callable[[bytes], None],
        on_agreed: Callable[[], None] = lambda: None,
    ) -> None:
        self.role = role
        self.state = DtlsState.WAITING
        self.fault = ""
        self.taken = 0
        self.version = ""
        self.own: Crypto | None = None
        self.theirs: Crypto | None = None
        self.presented: Fingerprint | None = None
        self._told = tuple(told)
        self._send = send
        self._on_agreed = on_agreed
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _leave_it_to_the_fingerprint)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
        context.use_certificate(identity.certificate)
        context.use_privatekey(identity.key)
        context.set_tlsext_use_srtp(b":".join(_PROFILES))
        self._connection = SSL.Connection(context)
        self._connection.set_ciphertext_mtu(DATAGRAM_BYTES_MAX)
        if role is DtlsRole.CLIENT:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self) -> None:
        """As the client: send the ClientHello, and repeat it until something comes (RFC 6347, 4.2.4)."""
        if self.role is DtlsRole.CLIENT:
            self._go_on()

    def receive(self, datagram: bytes) -> None:
        """Take one datagram, whatever it is: what is no record of this association is passed over."""
        self.taken += 1
        if self.taken > DATAGRAMS_TAKEN_MAX or self.state in {DtlsState.FAILED, DtlsState.CLOSED} or not datagram:
            return
        self._connection.bio_write(datagram)
        self._go_on()

    async def finished(self, timeout_s: float) -> bool:
        """Whether keys were agreed on within this time, or it had come to another end."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return self.own is not None

    def in_words(self) -> str:
        """How far the handshake has come."""
        if self.state is DtlsState.FAILED:
            return f"the handshake failed: {self.fault}"
        if self.state is DtlsState.WAITING:
            return f"the handshake was not finished; {self.taken} datagrams of DTLS came"
        return f"{self.version} with the bench as {self.role}"

    def close(self) -> None:
        """Say that it ends (close_notify) and repeat nothing more; may be called twice."""
        self._stop_timer()
        if self.state is DtlsState.AGREED:
            self.state = DtlsState.CLOSED
            try:
                self._connection.shutdown()
            except SSL.Error:
                return
            self._flush()

    def _go_on(self) -> None:
        try:
            if self.own is None:
                self._connection.do_handshake()
                self._flush()
                self._agree()
            self._connection.recv(1)  # a repeated flight of theirs is answered; data of an application there is none
        except SSL.WantReadError:
            self._flush()
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.Error as error:
            self._flush()  # the alert
            if self.own is None:
                self._fail(_words(error))
        self._set_timer()

    def _agree(self) -> None:
        """Check the certificate, take the keys out (RFC 5764, 4.2). Nothing is handed on where either is wrong."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        der = certificate.public_bytes(Encoding.DER) if certificate is not None else b""
        self.presented = fingerprint_of(der)
        self.version = self._connection.get_protocol_version_name()
        if not fingerprints_match(self._told, der):
            self._fail("the certificate is not the one whose fingerprint was told (RFC 5763, 5; RFC 8122, 6.2)")
            return
        suite = _PROFILES.get(self._connection.get_selected_srtp_profile())
        if suite is None:
            self._fail("no protection profile for SRTP was agreed on (RFC 5764, 4.1.1)")
            return
        size = 2 * (_KEY_BYTES + _SALT_BYTES)
        material = self._connection.export_keying_material(_LABEL, size)
        client, server = (Crypto(tag=1, suite=suite, master=master) for master in _masters(material))
        self.own, self.theirs = (client, server) if self.role is DtlsRole.CLIENT else (server, client)
        self.state = DtlsState.AGREED
        self._changed.set()
        self._on_agreed()

    def _fail(self, why: str) -> None:
        self.state, self.fault = DtlsState.FAILED, why
        self._stop_timer()
        self._changed.set()

    def _flush(self) -> None:
        """Send what OpenSSL has ready; its memory keeps no bounds of datagrams, so whole records are packed anew."""
        ready = b""
        try:
            while True:
                ready += self._connection.bio_read(1 << 16)
        except SSL.Error:
            pass  # there is no more
        for datagram in packed(ready):
            self._send(datagram)

    def _set_timer(self) -> None:
        self._stop_timer()
        if self.state is not DtlsState.WAITING:
            return
        wait_s = self._connection.DTLSv1_get_timeout()
        if wait_s is not None:
            # OpenSSL tells whole seconds, rounded down; a little later is never too early.
            self._timer = asyncio.get_running_loop().call_later(wait_s + 0.05, self._repeat)

    def _repeat(self) -> None:
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_words(error))
            return
        self._flush()
        self._set_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def packed(records: bytes) -> tuple[bytes, ...]:
    """Whole DTLS records (RFC 6347, 4.1), in order, in as few datagrams of at most 1200 bytes as they fit in."""
    datagrams: list[bytes] = []
    place = 0
    while place < len(records):
        end = place + _RECORD_HEADER_BYTES + int.from_bytes(records[place + 11 : place + 13], "big")
        record = records[place:end]
        if datagrams and len(datagrams[-1]) + len(record) <= DATAGRAM_BYTES_MAX:
            datagrams[-1] += record
        else:
            datagrams.append(record)
        place = end
    return tuple(datagrams)


def _masters(material: bytes) -> tuple[bytes, bytes]:
    """Key and salt of what the client writes and of what the server writes (RFC 5764, 4.2: keys first, then salts)."""
    keys, salts = material[: 2 * _KEY_BYTES], material[2 * _KEY_BYTES :]
    return keys[:_KEY_BYTES] + salts[:_SALT_BYTES], keys[_KEY_BYTES:] + salts[_SALT_BYTES:]


def _leave_it_to_the_fingerprint(*_: object) -> bool:
    return True


def _words(error: SSL.Error) -> str:
    """OpenSSL's reason; it gives a list of library, function and reason, or nothing."""
    reasons = [str(entry[-1]) for entry in (error.args[0] if error.args and isinstance(error.args[0], list) else [])]
    return "; ".join(reasons) or type(error).__name__
