"""Silence where there should be speech, and the noise in pauses: what is missing and what is too much. Pure.

Both compare with what was expected at every sample: the reference, coded, delayed and amplified as in the recording.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.instruments.sound.clipping import runs
from agents.instruments.sound.samples import Samples, dbov, power

SILENT = 10 ** (-72 / 20)
"""Samples of a magnitude up to 8 of 32,768 are silent: the two smallest steps of either law of G.711."""
SHORTEST_S = 0.004
EXPECTED_DBOV_MIN = -50.0
"""Where less than this was expected, silence is no drop-out."""
PAUSE_S = 0.1
"""A pause begins so long after the last expected sound, so that its decay is not taken for noise."""
PAUSE_DB = 50.0
"""Expected sound this much under its own level is a pause."""


@dataclass(frozen=True, kw_only=True)
class DropOut:
    """A stretch of silence in expected speech: its start in the recording and its length, in s."""

    start_s: float
    length_s: float


def drop_outs(received: Samples, expected: Samples, rate_hz: int) -> tuple[DropOut, ...]:
    """Stretches of at least 4 ms that are silent although more than -50 dBov was expected there.

    Uncertainty of each edge: the samples next to it that would have been silent anyway, 0.5 ms in speech. A loss that
    was concealed with sound (repetition, comfort noise) is not silent: segmental SNR and the estimate see it.
    """
    shortest = round(SHORTEST_S * rate_hz)
    least = 10 ** (EXPECTED_DBOV_MIN / 10)
    found = []
    for silent_start, silent_end in zip(*runs(np.abs(received) <= SILENT), strict=True):
        if silent_end - silent_start >= shortest:
            start, end = _constant(received, int(silent_start), int(silent_end))
            if power(expected[start:end]) > least:
                found.append(DropOut(start_s=start / rate_hz, length_s=(end - start) / rate_hz))
    return tuple(found)


def without(stretches: tuple[DropOut, ...], size: int, rate_hz: int) -> NDArray[np.bool_]:
    """Which of ``size`` samples lie in no drop-out (true)."""
    result = np.ones(size, dtype=bool)
    for stretch in stretches:
        start = round(stretch.start_s * rate_hz)
        result[start : start + round(stretch.length_s * rate_hz)] = False
    return result


def _constant(received: Samples, start: int, end: int) -> tuple[int, int]:
    """The longest stretch of one value in a silent one, where it is most of it: a zero that was put in does not move,
    and the speech next to it does, however quiet."""
    starts, ends = runs(np.diff(received[start:end]) == 0)
    if not starts.size:
        return start, end
    longest = int(np.argmax(ends - starts))
    first, last = start + int(starts[longest]), start + int(ends[longest]) + 1
    return (first, last) if 2 * (last - first) > end - start else (start, end)


def pauses(expected: Samples, inside: NDArray[np.bool_], rate_hz: int) -> NDArray[np.bool_]:
    """Which samples lie in pauses of the expected speech (true), within what the reference covers."""
    size = round(0.01 * rate_hz)
    loud = np.sqrt(power(expected[inside])) * 10 ** (-PAUSE_DB / 20) if inside.any() else 0.0
    quiet = inside & (np.abs(expected) <= loud)
    wait = round(PAUSE_S * rate_hz)
    result = np.zeros(expected.size, dtype=bool)
    for start, end in zip(*runs(quiet), strict=True):
        if end - start > wait + 2 * size:
            result[start + wait : end - size] = True
    return result


def noise_dbov(received: Samples, pause: NDArray[np.bool_]) -> float | None:
    """The level in the pauses, in dBov: root mean square, not weighted; -120 for digital silence; None without a pause.

    Uncertainty 0.3 dB for a second of pause (4.3 dB over the square root of the number of independent samples).
    """
    heard = received[pause]
    return dbov(power(heard)) if heard.size else None


def silent(received: Samples) -> bool:
    """Whether nothing was heard at all: no sample above the smallest steps of a codec."""
    return bool(np.abs(received).max() <= SILENT) if received.size else True
