"""What the phone's microphone hears: a tone, encoded in frames of 20 ms. Pure.

G.711 is encoded here by ITU-T G.711; G.722 and Opus by the package and the library that the bench has as well: they are
codecs and no protocols.
"""

import math
from array import array
from functools import lru_cache

import G722

from agents.libopus import RATE_HZ as OPUS_RATE_HZ
from agents.libopus import OpusEncoder

FRAMES_A_SECOND = 50
LEVEL_DBFS = -20.0
_G722_BIT_RATE = 64_000


@lru_cache(maxsize=16)
def tone_frames(name: str, frequency_hz: int, level_dbfs: float = LEVEL_DBFS) -> tuple[bytes, ...]:
    """A second of a sine; repeated it has no seam, as the frequency is a whole number of hertz."""
    if name.startswith("G722"):
        codec = G722.G722(16_000, _G722_BIT_RATE)
        for block in _blocks(16_000, frequency_hz, level_dbfs):
            codec.encode(array("h", block))
        return tuple(codec.encode(array("h", block)) for block in _blocks(16_000, frequency_hz, level_dbfs))
    if name.startswith("opus"):
        encoder = OpusEncoder()
        blocks = [array("h", block) for block in _blocks(OPUS_RATE_HZ, frequency_hz, level_dbfs)]
        return tuple(encoder.encode(block) for block in blocks * 2)[len(blocks) :]
    law = mu_law if name.startswith("PCMU") else a_law
    return tuple(bytes(map(law, block)) for block in _blocks(8_000, frequency_hz, level_dbfs))


def _blocks(rate_hz: int, frequency_hz: int, level_dbfs: float) -> list[list[int]]:
    peak = 32768 * math.sqrt(2) * 10 ** (level_dbfs / 20)
    pcm = [round(peak * math.sin(2 * math.pi * frequency_hz * place / rate_hz)) for place in range(rate_hz)]
    size = rate_hz // FRAMES_A_SECOND
    return [pcm[start : start + size] for start in range(0, rate_hz, size)]


def mu_law(sample: int) -> int:
    """One sample of 16 bit as G.711 mu-law."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> exponent + 3) & 0x0F) & 0xFF


def a_law(sample: int) -> int:
    """One sample of 16 bit as G.711 A-law."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else ~sample, 32767) >> 4
    exponent = max(magnitude.bit_length() - 4, 0)
    mantissa = (magnitude >> max(exponent - 1, 0)) & 0x0F
    return (sign | min(exponent, 7) << 4 | mantissa) ^ 0x55
