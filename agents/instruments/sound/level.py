"""Active speech level and activity factor by ITU-T P.56, method B. Pure.

Unit dBov. Uncertainty: 0.1 dB against the method's own definition (the interpolation between two thresholds); the
method itself counts 200 ms after every word as active, which is why noise gated in bursts of 10 s reads 0.1 dB low.
"""

import math
from dataclasses import dataclass

import numpy as np

from agents.instruments.sound.samples import Samples, dbov, power

TIME_CONSTANT_S = 0.03
"""P.56, method B: smoothing of the envelope, applied twice."""
HANGOVER_S = 0.2
MARGIN_DB = 15.9
"""The active level lies this much above the threshold that decides what is active."""
THRESHOLDS = tuple(2.0**-exponent for exponent in range(15, 0, -1))


@dataclass(frozen=True, kw_only=True)
class SpeechLevel:
    """Level while speech is active, share of time in which it is, and the level of the whole; dBov, 0 to 1, dBov."""

    active_dbov: float
    activity: float
    long_term_dbov: float


def speech_level(samples: Samples, rate_hz: int) -> SpeechLevel | None:
    """The active level of speech; None where there is none (below -75 dBov, or silence).

    Method: P.56, method B. The magnitude is smoothed twice by 30 ms; for 15 thresholds 6 dB apart the time above each
    is counted with 200 ms of hangover; the active level is where the mean over that time lies 15.9 dB above its
    threshold, by linear interpolation between two.
    """
    mean_square = power(samples)
    if mean_square == 0:
        return None
    envelope = _envelope(samples, rate_hz)
    hangover = round(HANGOVER_S * rate_hz)
    index = np.arange(samples.size)
    before: tuple[float, float] | None = None  # margin and level at the threshold below
    for threshold in THRESHOLDS:
        last = np.maximum.accumulate(np.where(envelope >= threshold, index, -hangover - 1))
        active = int(np.count_nonzero(index - last <= hangover))
        if not active:
            return None
        level = 10 * math.log10(mean_square * samples.size / active)
        margin = level - 20 * math.log10(threshold)
        if margin <= MARGIN_DB:
            if before is None:
                return None
            share = (before[0] - MARGIN_DB) / (before[0] - margin)
            found = before[1] + share * (level - before[1])
            activity = min(1.0, mean_square / 10 ** (found / 10))
            return SpeechLevel(active_dbov=found, activity=activity, long_term_dbov=dbov(mean_square))
        before = (margin, level)
    return None


def scaled_to_active(samples: Samples, rate_hz: int, active_dbov: float) -> Samples | None:
    """The same speech with another active level; None where there is no speech."""
    level = speech_level(samples, rate_hz)
    return None if level is None else samples * 10 ** ((active_dbov - level.active_dbov) / 20)


def _envelope(samples: Samples, rate_hz: int) -> Samples:
    """The magnitude through two equal smoothing filters of first order, as one convolution."""
    keep = math.exp(-1 / (rate_hz * TIME_CONSTANT_S))
    age = np.arange(min(samples.size, round(25 * TIME_CONSTANT_S * rate_hz)))
    response = (1 - keep) ** 2 * (age + 1) * keep**age
    size = 1 << (samples.size + response.size - 1).bit_length()
    product = np.fft.rfft(np.abs(samples), size) * np.fft.rfft(response, size)
    smooth: Samples = np.fft.irfft(product, size)[: samples.size]
    return smooth
