"""The phone's handshake for secured audio (RFC 5763, RFC 5764): its certificate, one exchange on the audio port, keys.

The protocol itself is OpenSSL's; what is decided around it is decided here.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from agents.simulated.reference_phone.srtp import KEY_BYTES, SALT_BYTES

HASHES = {"sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
_RECORD_HEADER = 13
_BYTES_AT_ONCE = 1 << 16


class Certificate:
    """Made by the phone for itself when it starts."""

    def __init__(self, now: datetime) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "phone")])
        begun = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
        lives = begun.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
        self.signed = lives.sign(self.key, hashes.SHA256())

    def told(self, *, truly: bool) -> str:
        """The value of a=fingerprint (RFC 8122, 5); not ``truly``: with its last byte another."""
        digest = bytearray(self.signed.fingerprint(hashes.SHA256()))
        digest[-1] ^= 0 if truly else 0xFF
        return f"sha-256 {digest.hex(':').upper()}"


def is_handshake(datagram: bytes) -> bool:
    """Whether what came on the audio port is for the handshake (RFC 7983, 7)."""
    return bool(datagram) and 19 < datagram[0] < 64


class Handshake:
    """One exchange. ``done`` gets the master keys of what the phone sends and of what it hears.

    ``fingerprints``: what the other side told, hash and bytes. None are compared where ``checks`` is false.
    """

    def __init__(
        self,
        certificate: Certificate,
        fingerprints: tuple[tuple[str, bytes], ...],
        *,
        begins: bool,
        checks: bool,
        send: Callable[[bytes], None],
        done: Callable[[bytes, bytes], None],
    ) -> None:
        self._fingerprints = fingerprints
        self._begins = begins
        self._checks = checks
        self._send = send
        self._done = done
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(certificate.signed)
        context.use_privatekey(certificate.key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
        self._tls = SSL.Connection(context)
        self._tls.set_ciphertext_mtu(1200)
        self._tls.set_connect_state() if begins else self._tls.set_accept_state()
        if begins:
            self._step()

    def take(self, datagram: bytes) -> None:
        """One datagram of the other side."""
        self._tls.bio_write(datagram)
        self._step()

    def close(self) -> None:
        """Repeat nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _step(self) -> None:
        try:
            if self._over:
                self._tls.recv(1)
            else:
                self._tls.do_handshake()
                self._over = True
        except SSL.WantReadError:
            pass
        except SSL.Error:
            self._over = True
        else:
            self._keys()
        self._out()

    def _keys(self) -> None:
        shown = self._tls.get_peer_certificate(as_cryptography=True)
        der = shown.public_bytes(serialization.Encoding.DER) if shown else b""
        known = any(hashlib.new(HASHES[name], der).digest() == value for name, value in self._fingerprints)
        if self._tls.get_selected_srtp_profile() and (known or not self._checks):
            made = self._tls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (KEY_BYTES + SALT_BYTES))
            salts = made[2 * KEY_BYTES :]
            first = made[:KEY_BYTES] + salts[:SALT_BYTES]
            second = made[KEY_BYTES : 2 * KEY_BYTES] + salts[SALT_BYTES:]
            self._done(*((first, second) if self._begins else (second, first)))

    def _out(self) -> None:
        """Send each record of what is ready in a datagram of its own, and be back when it has to be repeated."""
        try:
            ready = self._tls.bio_read(_BYTES_AT_ONCE)
        except SSL.Error:
            ready = b""
        while ready:
            size = _RECORD_HEADER + int.from_bytes(ready[11:_RECORD_HEADER])
            self._send(ready[:size])
            ready = ready[size:]
        self.close()
        wait_s = None if self._over else self._tls.DTLSv1_get_timeout()
        if wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s + 0.1, self._again)

    def _again(self) -> None:
        try:
            self._tls.DTLSv1_handle_timeout()
        except SSL.Error:
            self._over = True
        self._out()
