"""SRTP and SRTCP (RFC 3711) with keys from the session description (RFC 4568): AES_CM_128_HMAC_SHA1_80.

Pure but for what a context counts.
"""

import base64
import binascii
import hashlib
import hmac
import re

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from agents.simulated.reference_phone.message import Unreadable

SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY_BYTES = 16
SALT_BYTES = 14
TAG_BYTES = 10
_AUTHENTICATION_BYTES = 20
_ENCRYPTED = 1 << 31
_CRYPTO = re.compile(rf"a=crypto:(\d{{1,9}}) {SUITE} inline:([A-Za-z0-9+/=]+)(?:\|[0-9^]+)?\s*", re.IGNORECASE)


def crypto_line(tag: int, master: bytes) -> str:
    """The attribute that tells a master key with its salt (RFC 4568, 9.1)."""
    return f"a=crypto:{tag} {SUITE} inline:{base64.b64encode(master).decode()}"


def read_crypto(line: str) -> tuple[int, bytes] | None:
    """Tag and master key of an attribute for this suite; None where it is no such line. Raises Unreadable."""
    match = _CRYPTO.fullmatch(line)
    if match is None:
        return None
    try:
        master = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        raise Unreadable("a key that is not base64") from None
    if len(master) != KEY_BYTES + SALT_BYTES:
        raise Unreadable("a key of the wrong length")
    return int(match[1]), master


class SrtpSender:
    """Protects the packets of one source, and the reports on what it hears, under one master key."""

    def __init__(self, master: bytes) -> None:
        self._key = _derive(master, 0, KEY_BYTES)
        self._authentication = _derive(master, 1, _AUTHENTICATION_BYTES)
        self._salt = int.from_bytes(_derive(master, 2, SALT_BYTES)) << 16
        self._report_key = _derive(master, 3, KEY_BYTES)
        self._report_authentication = _derive(master, 4, _AUTHENTICATION_BYTES)
        self._report_salt = int.from_bytes(_derive(master, 5, SALT_BYTES)) << 16
        self._rollover = 0
        self._last = -1
        self._reports = 0

    def protect(self, packet: bytes) -> bytes:
        """Encrypt the payload behind the header of 12 bytes, and add the tag (3.3, 4.1, 4.2)."""
        sequence, source = int.from_bytes(packet[2:4]), int.from_bytes(packet[8:12])
        if sequence < self._last:
            self._rollover += 1
        self._last = sequence
        index = self._rollover << 16 | sequence
        protected = packet[:12] + _counter_mode(self._key, _start(self._salt, source, index), packet[12:])
        return protected + _tag(self._authentication, protected + self._rollover.to_bytes(4))

    def protect_report(self, report: bytes) -> bytes:
        """Encrypt an RTCP packet behind its first 8 bytes, and add its index and the tag (3.4)."""
        self._reports += 1
        start = _start(self._report_salt, int.from_bytes(report[4:8]), self._reports)
        protected = report[:8] + _counter_mode(self._report_key, start, report[8:])
        protected += (_ENCRYPTED | self._reports).to_bytes(4)
        return protected + _tag(self._report_authentication, protected)


class SrtpReceiver:
    """Opens the packets of one master key, and tells them from others."""

    def __init__(self, master: bytes) -> None:
        self._key = _derive(master, 0, KEY_BYTES)
        self._salt = int.from_bytes(_derive(master, 2, SALT_BYTES)) << 16
        self._authentication = _derive(master, 1, _AUTHENTICATION_BYTES)
        self._rollover = 0
        self._last = -1

    def open(self, packet: bytes) -> bytes | None:
        """The packet in clear, header of 12 bytes; None where its tag is not right (3.3)."""
        if not self.is_authentic(packet):
            return None
        source, index = int.from_bytes(packet[8:12]), self._rollover << 16 | int.from_bytes(packet[2:4])
        return packet[:12] + _counter_mode(self._key, _start(self._salt, source, index), packet[12:-TAG_BYTES])

    def is_authentic(self, packet: bytes) -> bool:
        """Whether the tag is right; counts the roll-over, as far as packets come in order (3.3.1)."""
        sequence = int.from_bytes(packet[2:4])
        rollover = self._rollover + (self._last - sequence > 1 << 15)
        if _tag(self._authentication, packet[:-TAG_BYTES] + rollover.to_bytes(4)) != packet[-TAG_BYTES:]:
            return False
        self._rollover, self._last = rollover, sequence
        return True


def _start(salt: int, source: int, index: int) -> int:
    """The first counter of a packet (4.1.1)."""
    return salt ^ source << 64 ^ index << 16


def _tag(key: bytes, told: bytes) -> bytes:
    return hmac.new(key, told, hashlib.sha1).digest()[:TAG_BYTES]


def _derive(master: bytes, label: int, size: int) -> bytes:
    """A session key, derived once (4.3.1 to 4.3.3)."""
    salt = int.from_bytes(master[KEY_BYTES:])
    return _counter_mode(master[:KEY_BYTES], (salt ^ label << 48) << 16, bytes(size))


def _counter_mode(key: bytes, start: int, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16))).encryptor()
    return encryptor.update(data) + encryptor.finalize()
