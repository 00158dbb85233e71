"""What became of a steady tone: its level, its harmonics, what else there is, and where it was interrupted. Pure.

The tone is fitted in blocks, by least squares, at the frequency it really has (as in IEEE 1057, sine fitting); the
median over the blocks is given, so that an interruption does not count as distortion. PCM is 16 bit; levels are in dBFS
as in ``audio``: 20 log10 of the root mean square over 32768.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_S = 0.05
BLOCKS_MIN = 10
HARMONICS = (2, 3)
INTERRUPTED_DB = 20.0
"""So far below the tone's own level it is interrupted."""
WINDOW_S = 0.004
HOP_S = 0.001
_FULL_SCALE = 32768.0
_Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SteadyTone:
    """``harmonics_percent``: the second and third together; ``rest_percent``: all that is neither tone nor harmonic;
    both as shares of the tone's amplitude. ``interruption_ms``: the longest, 0 where there is none.
    """

    level_dbfs: float
    frequency_hz: float
    harmonics_percent: float
    rest_percent: float
    interruption_ms: float
    seconds: float


def steady_tone(pcm: Sequence[int], *, rate_hz: int, frequency_hz: float) -> SteadyTone | None:
    """Measure a tone whose frequency is known to some parts in a thousand; None where too little came, or no tone."""
    samples = np.asarray(pcm, dtype=np.float64)
    size = round(BLOCK_S * rate_hz)
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    if len(blocks) < BLOCKS_MIN or not np.any(samples):
        return None
    found_hz = _refined_hz(blocks, rate_hz, frequency_hz)
    amplitudes, rest = _fitted(blocks, rate_hz, found_hz)
    tone = float(np.median(amplitudes[:, 0]))
    if tone == 0.0:
        return None
    harmonics = float(np.median(np.sqrt(np.sum(amplitudes[:, 1:] ** 2, axis=1))))
    return SteadyTone(
        level_dbfs=float(20 * np.log10(tone / np.sqrt(2) / _FULL_SCALE)),
        frequency_hz=found_hz,
        harmonics_percent=100 * harmonics / tone,
        rest_percent=100 * float(np.median(rest)) * float(np.sqrt(2)) / tone,
        interruption_ms=_longest_interruption_ms(samples, rate_hz, tone / np.sqrt(2)),
        seconds=len(samples) / rate_hz,
    )


def _refined_hz(blocks: _Float, rate_hz: int, frequency_hz: float) -> float:
    """The frequency by how the phase moves from block to block; the median, so that interruptions do not count."""
    size = blocks.shape[1]
    at = np.arange(size) / rate_hz
    turned = blocks @ np.exp(-2j * np.pi * frequency_hz * at)
    # The reference starts anew in each block: what it would have turned by until then is taken off.
    turned = turned * np.exp(-2j * np.pi * frequency_hz * np.arange(len(blocks)) * size / rate_hz)
    steps = np.angle(turned[1:] * np.conj(turned[:-1]))
    return float(frequency_hz + np.median(steps) / (2 * np.pi * size / rate_hz))


def _fitted(blocks: _Float, rate_hz: int, frequency_hz: float) -> tuple[_Float, _Float]:
    """By block: the amplitudes of the tone and its harmonics, and the root mean square of what is left."""
    at = np.arange(blocks.shape[1]) / rate_hz
    columns = [np.ones_like(at)]
    heard = [number for number in (1, *HARMONICS) if number * frequency_hz < 0.95 * rate_hz / 2]
    for number in heard:
        columns += [np.cos(2 * np.pi * number * frequency_hz * at), np.sin(2 * np.pi * number * frequency_hz * at)]
    design = np.column_stack(columns)
    weights, _, _, _ = np.linalg.lstsq(design, blocks.T, rcond=None)
    rest = np.sqrt(np.mean((blocks.T - design @ weights) ** 2, axis=0))
    return np.sqrt(weights[1::2] ** 2 + weights[2::2] ** 2).T, rest


def _longest_interruption_ms(samples: _Float, rate_hz: int, rms: float) -> float:
    window, hop = round(WINDOW_S * rate_hz), round(HOP_S * rate_hz)
    power = np.convolve(samples**2, np.ones(window) / window, mode="valid")[::hop]
    low = power < (rms * 10 ** (-INTERRUPTED_DB / 20)) ** 2
    edges = np.flatnonzero(np.diff(np.concatenate(([False], low, [False]))))
    longest = int(max(edges[1::2] - edges[::2], default=0))
    return 1000 * ((longest - 1) * hop + window) / rate_hz if longest else 0.0
