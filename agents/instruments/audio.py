"""Telephone audio: G.711, G.722 and Opus both ways, a test tone, and levels. Pure.

PCM is signed 16 bit in ``array('h')``, at 8 kHz for G.711, 16 kHz for G.722 and 48 kHz for Opus. Levels are in
dBFS: 20 log10 of the root mean square over 32768, so that a sine of full scale has -3.01 dBFS.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import G722

from agents.instruments.opus import decode_opus, encode_opus
from agents.instruments.rtp import FRAME_S
from agents.libopus import RATE_HZ as OPUS_RATE_HZ
from lab_inventory.errors import InvariantBroken

SILENCE_DBFS = -120.0
TONE_HZ = 1000.0
_FULL_SCALE = 32768.0
_G722_BIT_RATE = 64_000


def sample_rate_hz(encoding: str) -> int:
    """The sampling rate behind an encoding name."""
    return {"G722": 16_000, "OPUS": OPUS_RATE_HZ}.get(encoding, 8_000)


def decode(encoding: str, payloads: Iterable[bytes]) -> "array[int]":
    """The PCM of one stream's payloads, in the order they were sent. PCMU, PCMA, G722 or OPUS.

    Raises OpusMissing where Opus is wanted and the system has none.
    """
    if encoding == "OPUS":
        return decode_opus(payloads)
    if encoding == "G722":
        codec = G722.G722(16_000, _G722_BIT_RATE)  # the decoder adapts: one for the whole stream
        pcm = array("h")
        for payload in payloads:
            pcm.extend(codec.decode(payload))
        return pcm
    table = _law(encoding)
    return array("h", (table[byte] for payload in payloads for byte in payload))


def encode(encoding: str, pcm: Sequence[int]) -> tuple[bytes, ...]:
    """Frames of 20 ms; what is left over of the last frame is not encoded. PCMU, PCMA, G722 or OPUS.

    Raises OpusMissing where Opus is wanted and the system has none.
    """
    if encoding == "OPUS":
        return encode_opus(pcm)
    size = round(sample_rate_hz(encoding) * FRAME_S)
    blocks = [pcm[start : start + size] for start in range(0, len(pcm) - size + 1, size)]
    if encoding == "G722":
        codec = G722.G722(16_000, _G722_BIT_RATE)
        return tuple(codec.encode(array("h", block)) for block in blocks)
    levels = sorted((value, code) for code, value in enumerate(_law(encoding)))
    values = [value for value, _ in levels]
    return tuple(bytes(levels[_nearest(values, sample)][1] for sample in block) for block in blocks)


def tone(encoding: str, *, seconds: float, level_dbfs: float = -20.0, frequency_hz: float = TONE_HZ) -> "array[int]":
    """A sine at the rate of this encoding; its peaks are cut above full scale (-3.01 dBFS)."""
    rate_hz = sample_rate_hz(encoding)
    amplitude = _FULL_SCALE * math.sqrt(2) * 10 ** (level_dbfs / 20)
    step = 2 * math.pi * frequency_hz / rate_hz
    samples = (round(amplitude * math.sin(step * index)) for index in range(round(seconds * rate_hz)))
    return array("h", (max(-32768, min(32767, sample)) for sample in samples))


def level_dbfs(pcm: Sequence[int]) -> float:
    """The level of the whole; -120 for silence or nothing."""
    if not pcm:
        return SILENCE_DBFS
    power = sum(sample * sample for sample in pcm) / len(pcm)
    return max(SILENCE_DBFS, 10 * math.log10(power / _FULL_SCALE**2)) if power else SILENCE_DBFS


def tone_share(pcm: Sequence[int], *, rate_hz: int, frequency_hz: float = TONE_HZ) -> float:
    """The share of all power that lies at one frequency, 0 to 1 (Goertzel's algorithm over the whole)."""
    power = sum(sample * sample for sample in pcm)
    if not power:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / rate_hz)
    before, last = 0.0, 0.0
    for sample in pcm:
        before, last = last, sample + coefficient * last - before
    at_frequency = last * last + before * before - coefficient * last * before
    return min(1.0, 2 * at_frequency / (len(pcm) * power))


def _nearest(values: Sequence[int], sample: int) -> int:
    """The index of the level next to ``sample`` in ascending ``values``."""
    above = min(bisect_left(values, sample), len(values) - 1)
    below = max(above - 1, 0)
    return above if abs(values[above] - sample) <= abs(values[below] - sample) else below


def _law(encoding: str) -> tuple[int, ...]:
    if encoding not in _LAWS:
        raise InvariantBroken(f"no decoder for {encoding}")
    return _LAWS[encoding]


def _mu_law(code: int) -> int:
    """ITU-T G.711, table 2: 14 bit, here in 16."""
    inverted = ~code & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + 0x84 << ((inverted >> 4) & 7)) - 0x84
    return -magnitude if inverted & 0x80 else magnitude


def _a_law(code: int) -> int:
    """ITU-T G.711, table 1: 13 bit, here in 16; every second bit of the code is inverted."""
    even = code ^ 0x55
    segment = (even >> 4) & 7
    magnitude = ((even & 0x0F) << 4) + 8
    if segment:
        magnitude = magnitude + 0x100 << (segment - 1)
    return magnitude if even & 0x80 else -magnitude


_LAWS = {"PCMU": tuple(map(_mu_law, range(256))), "PCMA": tuple(map(_a_law, range(256)))}
