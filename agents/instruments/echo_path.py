"""How much of what is sent to a phone comes back from it: the echo's level and delay. Pure.

What is sent is noise that repeats and that nothing else resembles. What comes back is turned into the response of the
way it took, by division of spectra over whole repeats; the echo is the strongest place of that response with what lies
next to it. Both signals are of one clock.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AROUND_S = 0.004
NOISE_HZ = (300.0, 3400.0)
_Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Echo:
    """``loss_db``: how much weaker it is than what was sent; ``floor_db``: what the same way of reckoning finds where
    there is no echo, so that a loss near it means that no echo was found. ``place_s``: where in the repeat it stands.
    """

    loss_db: float
    floor_db: float
    place_s: float


def repeated_noise(*, rate_hz: int, seconds: float, level_dbfs: float, seed: int) -> "NDArray[np.int16]":
    """Noise of telephone bandwidth with an even spectrum, that repeats without a seam."""
    count = round(rate_hz * seconds)
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(frequencies))
    inside = (frequencies >= NOISE_HZ[0]) & (frequencies <= NOISE_HZ[1])
    noise = np.fft.irfft(inside * np.exp(1j * phases), count)
    noise *= 32768 * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(noise**2))
    return np.clip(np.rint(noise), -32768, 32767).astype(np.int16)


def echo_of(sent: _Float, came: _Float, *, rate_hz: int, without_hz: float | None) -> Echo | None:
    """``sent``: one repeat; ``came``: what came meanwhile, cut to whole repeats. None where that is not even one.

    ``without_hz``: a steady tone that the phone sends of itself; it and its neighbourhood are left out.
    """
    size = len(sent)
    repeats = len(came) // size
    if not repeats:
        return None
    mean = came[: repeats * size].reshape(repeats, size).mean(axis=0)
    frequencies = np.fft.rfftfreq(size, 1 / rate_hz)
    used = (frequencies >= NOISE_HZ[0]) & (frequencies <= NOISE_HZ[1])
    if without_hz is not None:
        for harmonic in (1, 2, 3):
            used &= np.abs(frequencies - harmonic * without_hz) > 20
    there, back = np.fft.rfft(sent), np.fft.rfft(mean)
    way = np.zeros_like(there)
    way[used] = back[used] / there[used]
    # What a way of loss 0 would give at its strongest place is 1.
    response = np.fft.irfft(way, size) * (len(frequencies) / max(1, int(used.sum())))
    width = round(AROUND_S * rate_hz)
    energy = np.convolve(np.concatenate((response, response[: width - 1])) ** 2, np.ones(width), mode="valid")
    energy *= used.sum() / len(frequencies)
    place = int(np.argmax(energy))
    floor = float(np.median(energy))
    return Echo(
        loss_db=float(-10 * np.log10(max(energy[place] - floor, 1e-15))),
        floor_db=float(-10 * np.log10(max(floor, 1e-15))),
        place_s=(place + width / 2) / rate_hz,
    )
