"""What is to be played into the microphone wires, by its place, and for whom the earpiece is heard. Pure.

L16 at 16 kHz, one channel, over RTP (RFC 3551, 4.5.11; number 96), 20 ms a packet. A place is a sample of the recording
since it began. Whoever sends is plugged in, until three seconds after all that came has been played.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from agents.instruments.audio_port import FRAME_SAMPLES, LEAD_S, PAYLOAD_TYPE, RATE_HZ
from agents.instruments.packets import Peer
from agents.instruments.rtp import build_rtp

LEAD = round(LEAD_S * RATE_HZ)
"""So many places after it came the first packet is played."""
KEPT = 4 * RATE_HZ
"""So much is kept until its time comes; a packet that is earlier is not."""
UNPLUGGED_AFTER = 3 * RATE_HZ
_HEADER = struct.Struct("!BBHII")

Frames = NDArray[np.int16]


class Jack:
    """One socket. ``gain_out`` and ``gain_in`` are factors: into the microphone wires, and from the earpiece wires;
    ``late`` is by how many samples what is recorded is later than its place, with both wires joined.
    """

    def __init__(self, *, source: int, gain_out: float = 1.0, gain_in: float = 1.0, late: int = 0) -> None:
        self._source = source
        self._late = late
        self._gain_out, self._gain_in = gain_out, gain_in
        self._ring: Frames = np.zeros(KEPT, dtype=np.int16)
        self._peer: Peer | None = None
        self._first_timestamp = 0
        self._begins = 0
        self._until = 0
        self._sequence = 0

    def take(self, data: bytes, peer: Peer, now: int) -> None:
        """A datagram that came at the place ``now``; what is no such packet, or too late or early, is left out."""
        if len(data) != _HEADER.size + 2 * FRAME_SAMPLES or data[0] != 0x80 or data[1] & 0x7F != PAYLOAD_TYPE:
            return
        _, _, _, timestamp, _ = _HEADER.unpack_from(data)
        if peer != self._peer or not self._plugged(now):
            self._peer, self._first_timestamp, self._begins = peer, timestamp, now + LEAD
            self._ring[:] = 0
            self._until = now
        place = self._begins + ((timestamp - self._first_timestamp + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000)
        if not now <= place <= now + KEPT - 2 * FRAME_SAMPLES:
            return
        self._until = max(self._until, place + FRAME_SAMPLES)
        sound = np.frombuffer(data[_HEADER.size :], dtype=">i2")
        self._ring[np.arange(place, place + FRAME_SAMPLES) % KEPT] = _louder(sound, self._gain_out)

    def _plugged(self, now: int) -> bool:
        return self._peer is not None and now < self._until + UNPLUGGED_AFTER

    def spoken(self, place: int, count: int) -> Frames:
        """What is to be played from a place on; each sample is given once."""
        places = np.arange(place, place + count) % KEPT
        sound: Frames = self._ring[places]
        self._ring[places] = 0
        return sound

    def heard(self, sound: Frames, place: int) -> tuple[bytes, Peer] | None:
        """The packet of 20 ms that were recorded from a place on, and for whom; None where nobody is plugged in."""
        if not self._plugged(place) or self._peer is None:
            return None
        self._sequence = self._sequence + 1 & 0xFFFF
        timestamp = self._first_timestamp + place - self._late - self._begins & 0xFFFF_FFFF
        packet = build_rtp(
            payload_type=PAYLOAD_TYPE,
            marker=False,
            sequence=self._sequence,
            timestamp=timestamp,
            ssrc=self._source,
            payload=_louder(sound, self._gain_in).astype(">i2").tobytes(),
        )
        return packet, self._peer


def _louder(sound: NDArray[np.int16], gain: float) -> Frames:
    louder: Frames = np.clip(np.rint(sound * gain), -32768, 32767).astype(np.int16)
    return louder
