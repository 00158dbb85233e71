"""Clipped peaks, in two ways: flat tops in the recording alone, and peaks that stay below what was expected. Pure.

Flat tops need no reference: speech that is not clipped has single peaks, cut speech has runs of equal samples at one
value. They are gone after G.722 or a change of rate. A steady tone has them by nature: measure with speech. Limited
peaks are found against the reference and survive both. Shares are of all samples, 0 to 1; uncertainty 15 % of the share
plus 0.05 % of the samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.instruments.sound.samples import Samples

TOLERANCE = 0.003
"""Samples are at the top within this share of it: 0.026 dB, less than a step of G.711 and more than its rounding."""
RUN_MIN = 2


ENERGY_LEFT_MAX = 0.7
"""Limiting is believed where it leaves at most this much of the error that a straight line leaves."""


@dataclass(frozen=True, kw_only=True)
class FlatTops:
    """The share of samples that are cut (0 to 1), and the value at which they are, as a peak in dB under full scale."""

    share: float
    peak_dbfs: float


def flat_tops(samples: Samples) -> FlatTops:
    """How much of a recording is cut. A recording of nothing but zeros has a share of 0 and a peak of -120."""
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    if peak == 0:
        return FlatTops(share=0.0, peak_dbfs=-120.0)
    cut = sum(_flat(side) for side in (samples, -samples))
    return FlatTops(share=cut / samples.size, peak_dbfs=max(-120.0, 20 * float(np.log10(peak))))


def _flat(samples: Samples) -> int:
    """Samples in runs at the largest value of one side."""
    top = float(samples.max())
    if top <= 0:
        return 0
    starts, ends = runs(samples >= top * (1 - TOLERANCE))
    lengths = ends - starts
    return int(lengths[lengths >= RUN_MIN].sum())


def limited_share(received: Samples, expected: Samples) -> float:
    """The share of samples that a limit on the magnitude holds down, against what was expected at each; 0 for none.

    Method: for each polarity the limit is sought (a twentieth of an octave apart, from the level of the speech up)
    under which ``min(expected, limit)`` fits best, the gain taken from samples below the level of the speech. A limit
    that does not explain three tenths of the error at the peaks is none.
    """
    level = float(np.sqrt(np.mean(expected * expected))) if expected.size else 0.0
    middle = (np.abs(expected) > 0.3 * level) & (np.abs(expected) < level)
    if not middle.any():
        return 0.0
    gain = float(np.sum(received[middle] * expected[middle]) / np.sum(expected[middle] ** 2))
    if gain <= 0:
        return 0.0
    straight = gain * expected
    held = sum(_held(sign * received, sign * straight, gain * level) for sign in (1.0, -1.0))
    return held / expected.size


def _held(received: Samples, straight: Samples, level: float) -> int:
    """How many samples of one polarity lie at or above the limit that fits; 0 where none does."""
    peaks = straight > level
    if np.count_nonzero(peaks) < 20:
        return 0
    high, heard = straight[peaks], received[peaks]
    limits = level * 2 ** np.arange(0, np.log2(float(high.max()) / level), 0.05)
    errors = [float(np.sum((heard - np.minimum(high, limit)) ** 2)) for limit in limits]
    best = int(np.argmin(errors))
    if errors[best] > ENERGY_LEFT_MAX * float(np.sum((heard - high) ** 2)):
        return 0
    return int(np.count_nonzero(high >= limits[best]))


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each run of true begins, and one past where it ends."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
