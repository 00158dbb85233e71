"""A signal that is like speech where it matters to a measurement, made from a seed: noise in syllables. Pure.

Noise with the slope of speech, 150 Hz up to the codec's upper end, in pieces of 0.12 to 0.35 s with pauses between
them: so it has pauses in which noise can be measured, and no piece that is like another, by which delay can. It is no
speech: what is scored as speech needs speech.
"""

import numpy as np

from agents.instruments.sound.samples import Samples

LEVEL_DBOV = -26.0
_LOW_HZ, _HIGH_HZ, _FLAT_TO_HZ = 150.0, 7000.0, 500.0
_EDGE_S = 0.3


def syllables(*, rate_hz: int, seconds: float, seed: int) -> Samples:
    """The signal, full scale 1.0, at -26 dBov while it sounds; silence for 0.3 s at its start and end."""
    count = round(rate_hz * seconds)
    draw = np.random.default_rng(seed)
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    inside = (frequencies > _LOW_HZ) & (frequencies < min(_HIGH_HZ, 0.45 * rate_hz))
    shape = inside / np.sqrt(np.maximum(frequencies / _FLAT_TO_HZ, 1.0))
    noise = np.fft.irfft(shape * np.exp(1j * draw.uniform(0, 2 * np.pi, len(frequencies))), count)
    loud = np.zeros(count)
    at_s = _EDGE_S
    while at_s < seconds - _EDGE_S:
        lasts_s = draw.uniform(0.12, 0.35)
        first, last = round(at_s * rate_hz), round(min(at_s + lasts_s, seconds - _EDGE_S) * rate_hz)
        loud[first:last] = np.hanning(last - first) ** 0.3
        at_s += lasts_s + draw.uniform(0.03, 0.3)
    sound = noise * loud
    sounding = sound[loud > 0]
    return np.asarray(sound * 10 ** (LEVEL_DBOV / 20) / np.sqrt(np.mean(sounding**2)))
