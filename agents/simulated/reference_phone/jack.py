"""The phone's handset socket: sound both ways as a sound interface has it, one sample clock for both.

L16 at 16 kHz, one channel, over RTP (RFC 3551, 4.5.11; number 96), 20 ms a packet. Whoever sends here is plugged in.
The time stamp of a packet is the place of its first sample on the clock of the interface: the first packet that comes
stands 0.3 s after its arrival, and what comes up to 3.5 s early is kept; what is played goes back with its place on the
same clock. Nothing for three seconds after all that came has been played: the plug is out, and the phone hears what
stands before it.
"""

import asyncio
import socket
import struct

import numpy as np

from agents.simulated.reference_phone.sound import FRAME_SAMPLES, RATE_HZ, Frame

PAYLOAD_TYPE = 96
LEAD_S = 0.3
UNPLUGGED_AFTER_S = 3.0
_RING = 4 * RATE_HZ
_HEADER = struct.Struct("!BBHII")
_DATAGRAM_BYTES_MAX = 65_535
_BURST_MAX = 256


class Jack:
    """One socket. Raises OSError where its address is taken."""

    def __init__(self, address: tuple[str, int], *, source: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        try:
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._peer: tuple[str, int] | None = None
        self._first_timestamp = 0
        self._begins_s = 0.0
        self._came_s = float("-inf")
        self._ring = np.zeros(_RING, dtype=np.int16)
        self._source = source
        self._sequence = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it is."""
        host, port = self._socket.getsockname()
        return host, port

    def _read(self) -> None:
        for _ in range(_BURST_MAX):
            try:
                data, peer = self._socket.recvfrom(_DATAGRAM_BYTES_MAX)
            except OSError:
                return
            self._take(data, peer)

    def _take(self, data: bytes, peer: tuple[str, int]) -> None:
        if len(data) != _HEADER.size + 2 * FRAME_SAMPLES or data[0] != 0x80 or data[1] & 0x7F != PAYLOAD_TYPE:
            return
        _, _, _, timestamp, _ = _HEADER.unpack_from(data)
        now_s = self._loop.time()
        if self._peer != peer or not self._plugged(now_s):
            self._peer, self._first_timestamp, self._begins_s = peer, timestamp, now_s + LEAD_S
            self._ring[:] = 0
        place = timestamp - self._first_timestamp & 0xFFFF_FFFF
        self._came_s = max(now_s, self._begins_s + place / RATE_HZ)
        places = np.arange(place, place + FRAME_SAMPLES) % _RING
        self._ring[places] = np.frombuffer(data[_HEADER.size :], dtype=">i2")

    def _plugged(self, now_s: float) -> bool:
        return self._peer is not None and now_s - self._came_s < UNPLUGGED_AFTER_S

    def microphone(self, until_s: float) -> Frame | None:
        """The 20 ms that were spoken before a moment, by the clock of the loop; None where nobody is plugged in."""
        if not self._plugged(self._loop.time()):
            return None
        places = np.arange(self._place(until_s) - FRAME_SAMPLES, self._place(until_s)) % _RING
        spoken = self._ring[places].copy()
        self._ring[places] = 0
        return spoken

    def play(self, frame: Frame, at_s: float) -> None:
        """Give to whoever is plugged in what sounds from a moment on."""
        if not self._plugged(self._loop.time()) or self._peer is None:
            return
        self._sequence = self._sequence + 1 & 0xFFFF
        timestamp = self._first_timestamp + self._place(at_s) & 0xFFFF_FFFF
        header = _HEADER.pack(0x80, PAYLOAD_TYPE, self._sequence, timestamp, self._source)
        try:
            self._socket.sendto(header + frame.astype(">i2").tobytes(), self._peer)
        except OSError:
            return

    def _place(self, at_s: float) -> int:
        return round((at_s - self._begins_s) * RATE_HZ)

    def close(self) -> None:
        """Let go of the address."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
