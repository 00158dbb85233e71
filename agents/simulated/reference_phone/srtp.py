"""SRTP as the phone sends it (RFC 3711), with keys from the session description (RFC 4568): AES_CM_128_HMAC_SHA1_80.

Pure but for what the sender counts. What comes in is not read by this phone, so that nothing is decrypted here.
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
_CRYPTO = re.compile(rf"a=crypto:(\d{{1,9}}) {SUITE} inline:([A-Za-z0-9+/=]+)(?:\|[0-9^]+)?\s*", re.IGNORECASE)


def crypto_line(tag: int, master: bytes) -> str:
    """The attribute that tells a master key with its salt (RFC 4568, 9.1)."""
    return f"a=crypto:{tag} {SUITE} inline:{base64.b64encode(master).decode()}"


def crypto_tag(line: str) -> int | None:
    """The tag of an attribute that offers a key for this suite; None where it is no such line. Raises Unreadable."""
    match = _CRYPTO.fullmatch(line)
    if match is None:
        return None
    try:
        if len(base64.b64decode(match[2], validate=True)) != KEY_BYTES + SALT_BYTES:
            raise Unreadable("a key of the wrong length")
    except binascii.Error:
        raise Unreadable("a key that is not base64") from None
    return int(match[1])


class SrtpSender:
    """Protects the packets of one source under one master key."""

    def __init__(self, master: bytes) -> None:
        self._key = _derive(master, 0, KEY_BYTES)
        self._authentication = _derive(master, 1, 20)
        self._salt = int.from_bytes(_derive(master, 2, SALT_BYTES)) << 16
        self._rollover = 0
        self._last = -1

    def protect(self, packet: bytes) -> bytes:
        """Encrypt the payload behind the header of 12 bytes, and add the tag (3.3, 4.1, 4.2)."""
        sequence, source = int.from_bytes(packet[2:4]), int.from_bytes(packet[8:12])
        if sequence < self._last:
            self._rollover += 1
        self._last = sequence
        index = self._rollover << 16 | sequence
        start = self._salt ^ source << 64 ^ index << 16
        protected = packet[:12] + _counter_mode(self._key, start, packet[12:])
        told = protected + self._rollover.to_bytes(4)
        return protected + hmac.new(self._authentication, told, hashlib.sha1).digest()[:TAG_BYTES]


def _derive(master: bytes, label: int, size: int) -> bytes:
    """A session key, derived once (4.3.1, 4.3.3)."""
    salt = int.from_bytes(master[KEY_BYTES:])
    return _counter_mode(master[:KEY_BYTES], (salt ^ label << 48) << 16, bytes(size))


def _counter_mode(key: bytes, start: int, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16))).encryptor()
    return encryptor.update(data) + encryptor.finalize()
