"""Finds a known noise again in a recording, sample by sample: delay, rate, lost and repeated samples. Pure.

Takes arrays; knows no device. The kernel skips lost packets without a word, so only what was played tells that
something is missing. Positions are samples of the recording's rate; delays count from where the noise was played.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab_inventory.errors import BadInput

Signal = NDArray[np.float64]

BLOCK = 512
"""Samples that are found again at once: a step in the delay is placed to within as many."""

_SEARCH = 128
"""How far a block may lie from where the last one was; two packets of 48 kHz."""

_FAR = 4096
_START = 1024
_BEGINS_WITHIN = 1 << 18
"""The noise begins within so many samples (5 s of 48 kHz): minutes of it are not searched, which would take a GB."""

_SLOPE_BLOCKS = 8
COEFFICIENT_MIN = 0.25
"""A block that correlates less is not found: chance alone gives 0.13 (3 / sqrt(512))."""

_STEP_MIN = 0.6
"""A step of less is rate or interpolation, and no whole sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Where the delay steps: ``at`` in the noise, ``samples`` lost (over 0) or repeated (below 0)."""

    at: int
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """The noise as it was found again.

    ``lag``: where its first sample lies in the recording. ``rate_error_ppm``: by how much the recording has more
    samples than the noise. ``unfound``: blocks that are not there. ``lags``: of each block, nan where not found.
    """

    lag: float
    rate_error_ppm: float
    steps: tuple[Step, ...]
    unfound: int
    blocks: int
    coefficient: float
    lags: Signal

    @property
    def lost(self) -> int:
        """Samples that are missing."""
        return sum(max(0, step.samples) for step in self.steps)

    @property
    def repeated(self) -> int:
        """Samples that are there twice, or were put in."""
        return sum(max(0, -step.samples) for step in self.steps)

    @property
    def glitches(self) -> int:
        """Places where something is wrong: steps, and stretches that are not found."""
        missing = np.isnan(self.lags)
        runs = int(np.sum(missing[1:] & ~missing[:-1])) + int(missing[0]) if len(missing) else 0
        return len(self.steps) + runs


def noise(
    samples: int, *, seed: int, peak: float = 8000.0, rate: int = 48_000, up_to_hz: float | None = None
) -> Signal:
    """White noise of whole numbers, even between -peak and peak; the same for each seed.

    ``up_to_hz``: nothing above (then no longer even, and of whole numbers all the same).
    """
    made = np.random.default_rng(seed).uniform(-peak, peak, samples)
    if up_to_hz is not None:
        spectrum = np.fft.rfft(made)
        spectrum[np.fft.rfftfreq(samples, 1 / rate) > up_to_hz] = 0
        made = np.fft.irfft(spectrum, samples)
    return np.round(made)


def resampled(sound: Signal, rate: int, wanted: int) -> Signal:
    """The same sound at another rate, by its spectrum; exact for what lies below half of both rates."""
    if rate == wanted:
        return sound
    count = round(len(sound) * wanted / rate)
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(count // 2 + 1, complex)
    both = min(len(spectrum), len(kept))
    kept[:both] = spectrum[:both]
    return np.fft.irfft(kept, count) * (count / len(sound))


def find(sent: Signal, heard: Signal) -> tuple[int, float]:
    """Where ``sent`` lies in ``heard``, and how well (0 to 1): by the largest normalised correlation."""
    if not len(sent) or len(heard) < len(sent):
        raise BadInput(f"{len(sent)} samples are looked for in {len(heard)}; expected at least as many")
    size = 1 << (len(heard) + len(sent)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size))
    together = np.fft.irfft(product, size)[: len(heard) - len(sent) + 1]
    energy = np.concatenate([[0.0], np.cumsum(heard**2)])
    power = energy[len(sent) :] - energy[: len(heard) - len(sent) + 1]
    scale = np.sqrt(np.maximum(power, 1e-9) * max(float(np.sum(sent**2)), 1e-9))
    coefficient = np.where(power > 1e-6, together / scale, 0.0)
    at = int(np.argmax(np.abs(coefficient)))
    return at, float(abs(coefficient[at]))


def follow(sent: Signal, heard: Signal) -> Followed | None:
    """Find the noise ``sent`` again in ``heard``, block by block; None where even its beginning is not there."""
    enough = len(heard) >= min(len(sent), _START)
    began, coefficient = find(sent[:_START], heard[:_BEGINS_WITHIN]) if enough else (0, 0.0)
    if coefficient < COEFFICIENT_MIN:
        return None
    lags: list[float] = []
    found: list[float] = []
    lag, slope = float(began), 0.0
    for begin in range(0, len(sent) - BLOCK + 1, BLOCK):
        block = sent[begin : begin + BLOCK]
        expected = lag + slope
        place, fits = _near(block, heard, begin + expected, _SEARCH)
        if fits < COEFFICIENT_MIN:
            place, fits = _near(block, heard, begin + expected, _FAR)
        if fits < COEFFICIENT_MIN:
            lags.append(np.nan)
            continue
        lag = place - begin
        lags.append(lag)
        found.append(fits)
        slope = float(np.nanmedian(np.diff(lags[-_SLOPE_BLOCKS:]))) if len(found) > _SLOPE_BLOCKS else 0.0
    every = np.array(lags)
    error_ppm, steps = _rate_and_steps(every)
    return Followed(
        lag=float(every[~np.isnan(every)][0]) if found else float(began),
        rate_error_ppm=error_ppm,
        steps=steps,
        unfound=int(np.sum(np.isnan(every))),
        blocks=len(every),
        coefficient=float(np.median(found)) if found else 0.0,
        lags=every,
    )


def _near(block: Signal, heard: Signal, expected: float, reach: int) -> tuple[float, float]:
    """The block's place with fractions of a sample, within ``reach`` of where it is expected, and how well it fits."""
    low = max(0, round(expected) - reach)
    part = heard[low : round(expected) + reach + len(block)]
    if len(part) < len(block):
        return 0.0, 0.0
    together = np.abs(np.correlate(part, block, "valid"))
    at = int(np.argmax(together))
    under = float(np.sqrt(np.sum(part[at : at + len(block)] ** 2) * np.sum(block**2)))
    if under < 1e-6:
        return 0.0, 0.0
    return low + at + _fraction(together, at), float(together[at] / under)


def _fraction(values: Signal, at: int) -> float:
    """Where between samples the peak lies: by which neighbour is larger, as a straight line between samples has it."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, peak, after = (float(values[at + step]) for step in (-1, 0, 1))
    floor = min(before, after)
    side = max(before, after) - floor
    share = side / (peak - floor + side) if peak > floor else 0.0
    return share if after > before else -share


def _rate_and_steps(lags: Signal) -> tuple[float, tuple[Step, ...]]:
    """The slope of the delays in ppm, and the steps of whole samples in them."""
    places = np.flatnonzero(~np.isnan(lags))
    if len(places) < 2:
        return 0.0, ()
    values = lags[places]
    between = np.diff(values) / np.diff(places)
    usual = float(np.median(between))
    steps: list[Step] = []
    even = values.copy()
    for number, (rise, apart) in enumerate(zip(np.diff(values), np.diff(places), strict=True), 1):
        extra = rise - usual * apart
        if abs(extra) > _STEP_MIN and round(extra):
            steps.append(Step(at=int(places[number]) * BLOCK, samples=-round(extra)))
            even[number:] -= round(extra)
    slope = float(np.polyfit(places * float(BLOCK), even, 1)[0])
    return slope * 1e6, tuple(steps)
