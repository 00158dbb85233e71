"""From the network to the earpiece: the jitter buffer, the decoder, and what is played where a packet is missing.

Pure: packets and ticks of 20 ms come with their times (s, one clock); frames go out. Packets may have any length.
"""

import struct
from collections import deque

import numpy as np
from numpy.typing import NDArray

from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.mouth import FULL_SCALE, Noise, gated
from agents.simulated.reference_phone.sound import (
    FRAME_SAMPLES,
    NARROW_HZ,
    RATE_HZ,
    Decoder,
    Filter,
    Frame,
    as_frame,
    low_pass,
)

_TICKS_HZ = 8000
_HEADER = struct.Struct("!BBHII")
WAITING_MAX = 250
FAR = 100
"""A number that is further off than this begins a new stream (RFC 3550, A.1)."""
CONCEALED_MAX = 3
"""So many frames are made up from the last one, each weaker; then it is silent."""
CRACKLED = 15
"""With the defect: so many frames are noise from where a packet is lost."""
EMPTY_MAX = 25
"""After so many frames without a packet the next one is waited for as the first was."""
SILENCE: Frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)


class Playout:
    """The receiving side of one call."""

    def __init__(self, behaviour: Behaviour, *, seed: int) -> None:
        self._behaviour = behaviour
        self._noise = Noise(seed)
        self._narrow = Filter(low_pass(NARROW_HZ)) if behaviour.earpiece_narrow else None
        self._codec: tuple[int, str] = (-1, "")
        self._decoder: Decoder | None = None
        self._waiting: dict[int, bytes] = {}
        self._source: int | None = None
        self._next: int | None = None
        self._begins_s = 0.0
        self._samples: NDArray[np.int16] = SILENCE[:0]
        self._last: Frame = SILENCE
        self._missing = 0
        self._crackling = 0
        self._transits_s: deque[float] = deque(maxlen=25)
        self._place = 0
        self.muted = False

    def use(self, codec: tuple[int, str]) -> None:
        """From now on payloads of this number are played, by this codec (number and name of the SDP)."""
        if codec != self._codec:
            self._codec, self._decoder = codec, Decoder(codec[1])
            self._next = None
            self._waiting.clear()

    def take(self, packet: bytes, at_s: float) -> None:
        """One RTP packet in clear, without padding and extension, when it came."""
        if len(packet) <= _HEADER.size or packet[0] & 0x3F or packet[1] & 0x7F != self._codec[0]:
            return
        _, _, sequence, timestamp, source = _HEADER.unpack_from(packet)
        self._transits_s.append(at_s - timestamp / _TICKS_HZ)
        if self._transits_s[-1] - min(self._transits_s) > self._behaviour.bears_late_s:
            return
        if self._next is None or source != self._source or _ahead(sequence, self._next) is None:
            self._source, self._next = source, sequence
            self._begins_s = at_s + self._behaviour.buffer_s
            self._waiting.clear()
            self._samples, self._missing = self._samples[:0], 0
        ahead = _ahead(sequence, self._next)
        if ahead is not None and ahead >= 0 and len(self._waiting) < WAITING_MAX:
            self._waiting[sequence] = packet[_HEADER.size :]

    def frame(self, at_s: float) -> Frame:
        """What is played from ``at_s`` on for 20 ms."""
        behaviour = self._behaviour
        plain = gated(self._next_samples(at_s).astype(np.float64), behaviour.earpiece_gate_db)
        sound = plain * 10 ** (-behaviour.earpiece_loss_db / 20)
        if self._narrow is not None:
            sound = self._narrow.run(sound)
        if behaviour.earpiece_noise_share:
            sound = sound + behaviour.earpiece_noise_share * self._noise.frame()
        place, dropped = self._place % RATE_HZ, behaviour.earpiece_drop_s * RATE_HZ
        self._place += FRAME_SAMPLES
        if place < dropped:
            sound = np.where(np.arange(place, place + FRAME_SAMPLES) < dropped, 0, sound)
        most = FULL_SCALE * 10 ** (-behaviour.earpiece_clip_db / 20)
        return SILENCE if self.muted else as_frame(np.clip(sound, -most, most - 1))

    def _next_samples(self, at_s: float) -> Frame:
        if self._next is None or at_s < self._begins_s or self._decoder is None:
            return SILENCE
        while len(self._samples) < FRAME_SAMPLES:
            payload = self._waiting.pop(self._next, None)
            self._next = (self._next + 1) & 0xFFFF
            decoded = self._decoded(payload)
            if self._crackling:
                self._crackling -= 1
                decoded = as_frame(self._noise.frame())
            self._samples = np.concatenate((self._samples, decoded))
        frame, self._samples = self._samples[:FRAME_SAMPLES], self._samples[FRAME_SAMPLES:]
        if self._missing > EMPTY_MAX:
            self._next = None
        return frame

    def _decoded(self, payload: bytes | None) -> Frame:
        if payload is not None and self._decoder is not None:
            self._missing = 0
            self._last = self._decoder.decode(payload)
            return self._last
        self._missing += 1
        if self._missing > CONCEALED_MAX or not self._behaviour.conceals:
            return SILENCE
        if self._behaviour.crackles:
            self._crackling = CRACKLED
        return as_frame(self._last.astype(np.float64) * 0.7**self._missing)


def _ahead(sequence: int, next_: int) -> int | None:
    """How far a number lies ahead of the next one; below 0: it came too late; None: it belongs to another stream."""
    ahead = (sequence - next_ + 0x8000 & 0xFFFF) - 0x8000
    return ahead if abs(ahead) <= FAR else None
