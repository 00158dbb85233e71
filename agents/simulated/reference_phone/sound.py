"""The phone's codecs, between frames of 20 ms at 16 kHz and payloads. Pure but for the state a codec and a filter have.

G.711 is written here by ITU-T G.711; G.722 and Opus come from the package and the library that the bench has as well:
they are codecs and no protocols. Frames are signed 16 bit in numpy arrays.
"""

from array import array

import G722
import numpy as np
from numpy.typing import NDArray

from agents.libopus import MalformedOpus, OpusDecoder, OpusEncoder
from agents.simulated.reference_phone.tones import a_law, mu_law

Frame = NDArray[np.int16]
RATE_HZ = 16_000
FRAME_SAMPLES = 320
_G722_BIT_RATE = 64_000
_TAPS = 63
NARROW_HZ = 3600.0
"""Where the band ends that is left before every second sample is."""


def low_pass(cut_hz: float) -> NDArray[np.float64]:
    """A windowed sinc of linear phase at 16 kHz: 31 samples of delay, its gain 1 at 0 Hz."""
    place = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(2 * cut_hz / RATE_HZ * place) * np.hamming(_TAPS)
    return np.asarray(taps / taps.sum(), dtype=np.float64)


class Filter:
    """A filter without end: what it needs of the frames before is kept."""

    def __init__(self, taps: NDArray[np.float64]) -> None:
        self._taps = taps
        self._before = np.zeros(len(taps) - 1)

    def run(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        """As many samples as came."""
        joined = np.concatenate((self._before, frame))
        self._before = joined[len(frame) :]
        return np.convolve(joined, self._taps, mode="valid")


def as_frame(samples: NDArray[np.float64]) -> Frame:
    """Rounded, and cut at full scale."""
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def _expanded_mu(code: int) -> int:
    """ITU-T G.711, table 2, in 16 bit."""
    turned = ~code & 0xFF
    magnitude = ((turned & 0x0F) * 8 + 132 << (turned >> 4 & 7)) - 132
    return -magnitude if turned & 0x80 else magnitude


def _expanded_a(code: int) -> int:
    """ITU-T G.711, table 1, in 16 bit."""
    turned = code ^ 0x55
    exponent, mantissa = turned >> 4 & 7, turned & 0x0F
    magnitude = mantissa * 16 + 8 if not exponent else mantissa * 16 + 264 << exponent - 1
    return magnitude if turned & 0x80 else -magnitude


_LAWS = {
    "PCMU": (mu_law, np.array([_expanded_mu(code) for code in range(256)], dtype=np.int16)),
    "PCMA": (a_law, np.array([_expanded_a(code) for code in range(256)], dtype=np.int16)),
}
_COMPRESSED = {
    name: np.array([law(sample) for sample in range(-32768, 32768)], dtype=np.uint8) for name, (law, _) in _LAWS.items()
}


class Encoder:
    """One stream of PCMU, PCMA, G722 or Opus that goes out."""

    def __init__(self, name: str) -> None:
        self._law = _law_of(name)
        self._opus = OpusEncoder(rate_hz=RATE_HZ) if name.startswith("opus") else None
        self._g722 = None if self._law or self._opus else G722.G722(RATE_HZ, _G722_BIT_RATE)
        self._narrow = Filter(low_pass(NARROW_HZ))

    def encode(self, frame: Frame) -> bytes:
        """The payload of one frame."""
        if self._opus is not None:
            return self._opus.encode(array("h", frame.tobytes()))
        if self._g722 is not None:
            return bytes(self._g722.encode(array("h", frame.tobytes())))
        halved = as_frame(self._narrow.run(frame.astype(np.float64))[::2])
        return _COMPRESSED[self._law][halved.astype(np.int32) + 32768].tobytes()


class Decoder:
    """One stream of PCMU, PCMA, G722 or Opus that comes in."""

    def __init__(self, name: str) -> None:
        self._law = _law_of(name)
        self._opus = OpusDecoder(rate_hz=RATE_HZ) if name.startswith("opus") else None
        self._g722 = None if self._law or self._opus else G722.G722(RATE_HZ, _G722_BIT_RATE)
        self._narrow = Filter(2 * low_pass(NARROW_HZ))

    def decode(self, payload: bytes) -> Frame:
        """The samples of one payload, at 16 kHz whatever the codec; 20 ms of silence for what is no packet of Opus."""
        if self._opus is not None:
            try:
                return np.array(self._opus.decode(payload), dtype=np.int16)
            except MalformedOpus:
                return np.zeros(FRAME_SAMPLES, dtype=np.int16)
        if self._g722 is not None:
            return np.array(self._g722.decode(payload), dtype=np.int16)
        spread = np.zeros(2 * len(payload))
        spread[::2] = _LAWS[self._law][1][np.frombuffer(payload, dtype=np.uint8)]
        return as_frame(self._narrow.run(spread))


def _law_of(name: str) -> str:
    """The law of G.711 by the name in an SDP (``PCMU/8000``); empty: it is G.722."""
    return next((law for law in _LAWS if name.startswith(law)), "")
