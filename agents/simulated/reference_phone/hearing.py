"""What the phone hears of one stream, and the RTCP that tells of it (RFC 3550, 6 and A). Pure but for its counts."""

import struct
from dataclasses import dataclass

from agents.simulated.reference_phone.srtp import TAG_BYTES, SrtpReceiver

_NTP_EPOCH_S = 2_208_988_800
_VERSION = 0x80
_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _BYE = 200, 201, 202, 203
HEADER_BYTES = 12


@dataclass(kw_only=True)
class Heard:
    """The packets of one source, under one key where there is one; another source or key begins anew."""

    secured: SrtpReceiver | None = None
    source: int | None = None
    _first: int = 0
    _highest: int = 0
    _packets: int = 0
    _told: tuple[int, int] = (0, 0)
    """Expected and come as of the report before."""
    _jitter: float = 0.0
    _transit: float | None = None

    def take(self, packet: bytes, at_s: float, clock_hz: int) -> bytes | None:
        """One datagram, and its packet in clear; what is no RTP, or not under the key, is not counted and gives None
        (RFC 3711, 3.3).
        """
        if len(packet) < HEADER_BYTES or packet[0] >> 6 != 2:
            return None
        if self.secured is not None:
            opened = self.secured.open(packet) if len(packet) >= HEADER_BYTES + TAG_BYTES else None
            if opened is None:
                return None
            packet = opened
        sequence, timestamp, source = struct.unpack_from("!HII", packet, 2)
        if source != self.source:
            self.source, self._first, self._highest = source, sequence, sequence
            self._packets, self._jitter, self._transit = 0, 0.0, None
            self._told = (0, 0)
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < 1 << 15:
            self._highest += ahead
        self._packets += 1
        transit = at_s * clock_hz - timestamp
        if self._transit is not None:
            self._jitter += (abs(transit - self._transit) - self._jitter) / 16
        self._transit = transit
        return packet

    def block(self, *, tells_loss: bool = True) -> bytes:
        """The report block on the source; empty where nothing was heard (6.4.1, A.3)."""
        if self.source is None:
            return b""
        expected = self._highest - self._first + 1
        lost = max(0, min(expected - self._packets, 0x7F_FFFF))
        expected_since, came_since = expected - self._told[0], self._packets - self._told[1]
        self._told = (expected, self._packets)
        fraction = max(0, expected_since - came_since) * 256 // expected_since if expected_since > 0 else 0
        lost |= min(fraction, 255) << 24
        if not tells_loss:
            lost = 0
        jitter = min(round(self._jitter), 0xFFFF_FFFF)
        return struct.pack("!IIIIII", self.source, lost, self._highest & 0xFFFF_FFFF, jitter, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the phone has sent: its source, packets, bytes of payload, and the time stamp that belongs to now."""

    source: int
    packets: int
    payload_bytes: int
    timestamp: int


def report(sent: Sent, block: bytes, wall_s: float, name: str, *, sends: bool, ends: bool) -> bytes:
    """A compound packet: report with a block of what is heard, CNAME, and BYE where the stream ends (6.1)."""
    blocks = len(block) // 24
    if sends:
        seconds = wall_s + _NTP_EPOCH_S
        words = (int(seconds) & 0xFFFF_FFFF, int(seconds % 1 * (1 << 32)), sent.timestamp, sent.packets)
        body = struct.pack("!IIIIII", sent.source, *words, sent.payload_bytes & 0xFFFF_FFFF)
        first = _packet(_SENDER_REPORT, blocks, body + block)
    else:
        first = _packet(_RECEIVER_REPORT, blocks, struct.pack("!I", sent.source) + block)
    text = name.encode()[:255]
    chunk = struct.pack("!IBB", sent.source, 1, len(text)) + text
    chunk += bytes(4 - len(chunk) % 4)  # at least one zero ends the list of items (6.5)
    last = _packet(_BYE, 1, struct.pack("!I", sent.source)) if ends else b""
    return first + _packet(_DESCRIPTION, 1, chunk) + last


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", _VERSION | count, kind, len(body) // 4) + body
