"""Frequency response by thirds of an octave, from speech or from many sines at once. Pure.

Unit dB (output over input). Bands by IEC 61260-1 (base ten, 1 kHz in the middle). Uncertainty 0.5 dB in bands whose
coherence is 0.9 or more and that hold a second of sound; bands in which the reference holds too little, or whose
coherence is under 0.5, are left out.
"""

from dataclasses import dataclass

import numpy as np

from agents.instruments.sound.samples import Samples, power

LOWEST_HZ = 100.0
BLOCK_S = 0.064
COHERENCE_MIN = 0.5
QUIET_DB = 50.0
"""A band this much under the strongest holds too little of the reference."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """One third of an octave: its exact middle in Hz, what it is amplified by in dB, and its coherence, 0 to 1."""

    centre_hz: float
    gain_db: float
    coherence: float


def centres_hz(rate_hz: int) -> tuple[float, ...]:
    """The exact middles of all bands from 100 Hz whose upper edge lies below 0.95 of half the sampling rate."""
    every = (1000 * 10 ** (index / 10) for index in range(-10, 14))
    return tuple(centre for centre in every if centre * 10**0.05 < 0.95 * rate_hz / 2)


def response(reference: Samples, received: Samples, rate_hz: int) -> tuple[Band, ...]:
    """The response from ``reference`` to ``received``, two rows of equal length that lie in time with each other.

    Method: H1, the cross spectrum over the spectrum of the reference (Hann windows of 64 ms, half over half), so that
    noise which is not of the reference does not count; within a band by its energy.
    """
    size = round(BLOCK_S * rate_hz)
    if reference.size < 4 * size:
        return ()
    window = np.hanning(size + 1)[:-1]
    starts = np.arange(0, reference.size - size + 1, size // 2)[:, None] + np.arange(size)
    sent, heard = (np.fft.rfft(row[starts] * window, axis=1) for row in (reference, received))
    own, other = (np.sum(np.abs(row) ** 2, axis=0) for row in (sent, heard))
    cross = np.abs(np.sum(np.conj(sent) * heard, axis=0))
    frequency = np.fft.rfftfreq(size, 1 / rate_hz)
    bands = []
    for centre in centres_hz(rate_hz):
        low, high = centre * 10**-0.05, centre * 10**0.05
        upper, lower = np.minimum(high, frequency + 0.5 / BLOCK_S), np.maximum(low, frequency - 0.5 / BLOCK_S)
        inside = np.maximum(upper - lower, 0.0)  # how much of each line lies in the band, in Hz
        bands.append((centre, *(float(np.sum(row * inside)) for row in (own, other, cross))))
    top = max((band[1] for band in bands), default=0.0)
    return tuple(
        Band(centre_hz=centre, gain_db=20 * float(np.log10(across / energy)), coherence=min(1.0, likeness))
        for centre, energy, heard_energy, across in bands
        if energy > top * 10 ** (-QUIET_DB / 10)
        and heard_energy > 0
        and (likeness := across * across / (energy * heard_energy)) >= COHERENCE_MIN
    )


def many_sines(rate_hz: int, seconds: float, rms: float) -> Samples:
    """A sine in the middle of every band, of equal level, with phases that keep peaks low (Schroeder, 1970)."""
    centres = centres_hz(rate_hz)
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    rows = [
        np.sin(2 * np.pi * centre * at - np.pi * index * index / len(centres)) for index, centre in enumerate(centres)
    ]
    total: Samples = np.sum(rows, axis=0)
    return total * (rms / float(np.sqrt(power(total))))
