"""Sound as arrays: from and to 16 bit, level, delay by a fraction of a sample, another sampling rate. Pure.

Full scale is 1.0; levels in dBov (see the package). Nothing here changes its input.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lab_inventory.errors import BadInput, Problem

Samples = NDArray[np.float64]

SILENCE_DBOV = -120.0
"""What is given for the level of digital silence, which has none."""

_FULL_SCALE = 32768.0
_SINC_HALF = 24
"""Samples to either side that an interpolated sample is made of."""


class UnfitSound(BadInput):
    """The sound cannot be measured"""

    slug = "unfit-sound"


def from_pcm(pcm: Sequence[int] | NDArray[np.integer | np.floating]) -> Samples:
    """Signed 16 bit PCM (``array('h')``, a list or an array of whole numbers) as samples."""
    return np.asarray(pcm, dtype=np.float64) / _FULL_SCALE


def to_pcm(samples: Samples) -> NDArray[np.int16]:
    """Samples as signed 16 bit PCM, rounded, and cut where they exceed full scale."""
    return np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767).astype(np.int16)


def checked(samples: NDArray[np.generic], name: str) -> Samples:
    """The samples as one row of float64; an error in words where they are no sound of full scale 1.0."""
    row = np.asarray(samples)
    wrong = None
    if row.ndim != 1 or row.size == 0:
        wrong = (f"an array of shape {row.shape}", "one row of samples")
    elif not np.issubdtype(row.dtype, np.floating):
        wrong = (f"samples of type {row.dtype}", "floating point with full scale 1.0 (from_pcm takes 16 bit)")
    elif not np.isfinite(row).all():
        wrong = ("samples that are no numbers", "finite numbers")
    elif np.abs(row).max() > 4.0:
        wrong = (f"samples up to {np.abs(row).max():.0f}", "full scale 1.0 (from_pcm takes 16 bit)")
    if wrong:
        raise UnfitSound(
            f"{name} cannot be measured", problems=(Problem(path=name, wrong=wrong[0], expected=wrong[1]),)
        )
    return row.astype(np.float64)


def power(samples: Samples) -> float:
    """The mean square; 0 for nothing."""
    return float(np.mean(samples * samples)) if samples.size else 0.0


def dbov(mean_square: float) -> float:
    """A mean square in dBov, never below -120."""
    return max(SILENCE_DBOV, 10 * math.log10(mean_square)) if mean_square > 0 else SILENCE_DBOV


def level_dbov(samples: Samples) -> float:
    """The level of the whole in dBov (root mean square); -120 for silence or nothing. Exact to rounding."""
    return dbov(power(samples))


def scaled_to(samples: Samples, gain_db: float) -> Samples:
    """The samples with a gain in dB."""
    return samples * 10 ** (gain_db / 20)


def at_positions(samples: Samples, positions: Samples) -> Samples:
    """The values between samples, at ``positions`` counted in samples; 0 outside.

    Method: sinc interpolation under a Blackman window of 48 samples; error below -70 dB for what lies under 0.85 of
    half the sampling rate. Whole positions come back as they are.
    """
    whole = np.floor(positions).astype(np.int64)
    part = positions - whole
    padded = np.pad(samples, _SINC_HALF)
    result = np.zeros(positions.size)
    wave = np.sin(np.pi * part) / np.pi  # of sin(pi (part - tap)) only the sign depends on the tap
    turn = np.pi / _SINC_HALF
    cosine, sine = np.cos(turn * part), np.sin(turn * part)
    for tap in range(1 - _SINC_HALF, _SINC_HALF + 1):
        index = np.clip(whole + tap + _SINC_HALF, 0, padded.size - 1)
        distance = part - tap
        bell = cosine * math.cos(turn * tap) + sine * math.sin(turn * tap)
        window = 0.42 + 0.5 * bell + 0.08 * (2 * bell * bell - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            sinc = np.where(distance == 0, 1.0, (-1) ** tap * wave / distance)
        result += padded[index] * sinc * window
    inside = (whole > -_SINC_HALF) & (whole < samples.size + _SINC_HALF - 1)
    return np.where(inside, result, 0.0)


def delayed(samples: Samples, by_samples: float) -> Samples:
    """The same length, later by any number of samples, also a part of one (zeros come in)."""
    return at_positions(samples, np.arange(samples.size, dtype=np.float64) - by_samples)


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """The same sound at another rate, ``ceil(size * to / from)`` samples.

    Method: the spectrum over the whole, cut or filled with zeros; what lies above half the lower rate is gone, all
    below is unchanged.
    """
    if from_hz == to_hz:
        return samples.copy()
    block = from_hz // math.gcd(from_hz, to_hz)
    size = -(-(samples.size + from_hz // 10) // block) * block
    spectrum = np.fft.rfft(samples, size)
    wanted = size * to_hz // from_hz
    bins = min(size, wanted) // 2  # the bin at half the lower rate is left out: it is its own mirror image
    kept = np.zeros(wanted // 2 + 1, dtype=np.complex128)
    kept[:bins] = spectrum[:bins]
    whole = np.fft.irfft(kept, wanted) * (wanted / size)
    return whole[: -(-samples.size * to_hz // from_hz)]
