"""Echo: speech that comes back, or comes twice. Pure.

Level in dB relative to what was sent (an echo loss with its sign turned, not weighted over frequency), delay in ms from
what was sent. Uncertainty 1 dB and 0.25 ms for an echo above the floor that is given with it; under the floor
nothing can be said.
"""

from dataclasses import dataclass

import numpy as np

from agents.instruments.sound.samples import SILENCE_DBOV, Samples, dbov, power, resampled

DIRECT_S = 0.004
"""So close to the direct sound nothing is called an echo: it is the response of the path."""
LATEST_S = 0.3
CLUSTER_S = 0.002
"""To either side of the strongest tap: what belongs to one echo."""
NARROW_HZ = 8_000
"""Looked for below 4 kHz, where speech is strong: above, the noise of a wideband codec hides an echo of -30 dB."""
LOADING = 1e-4
"""White noise 40 dB under the speech, added to its correlation: where speech has no sound, no path is invented."""
ABOVE_FLOOR_DB = 12.0


@dataclass(frozen=True, kw_only=True)
class Echo:
    """The strongest echo: level (dB) and delay (ms), both None where none stands above ``floor_db``."""

    level_db: float | None
    delay_ms: float | None
    floor_db: float


def find_echo(
    sent: Samples, heard: Samples, rate_hz: int, *, earliest_s: float = 0.0, latest_s: float = LATEST_S
) -> Echo | None:
    """The strongest echo of ``sent`` in ``heard``, both from the same moment; None where nothing was sent.

    For an echo that comes back to the talker, ``heard`` is what came back. For one behind the direct sound, ``sent`` is
    the direct sound in the time of the recording, ``heard`` the recording without it, and ``earliest_s`` is DIRECT_S.

    Method: the path of finite length with the least squared error (Wiener); taps within 2 ms of the strongest are one
    echo, and its level is that of the speech after them. The floor is what the other taps hold, plus 12 dB.
    """
    if power(sent) == 0:
        return None
    if rate_hz > NARROW_HZ:
        sent, heard = (resampled(row, rate_hz, NARROW_HZ) for row in (sent, heard))
        rate_hz = NARROW_HZ
    before = round(CLUSTER_S * rate_hz)  # taps before zero: a fractional delay spreads to both sides
    taps = before + round(latest_s * rate_hz)
    size = 1 << (max(sent.size, heard.size) + taps).bit_length()
    spectrum = np.fft.rfft(sent, size)
    own = np.fft.irfft(np.abs(spectrum) ** 2, size)[:taps]
    across = np.roll(np.fft.irfft(np.conj(spectrum) * np.fft.rfft(heard, size), size), before)[:taps]
    own[0] *= 1 + LOADING
    path = solve_toeplitz(own, across)
    first = before + round(earliest_s * rate_hz) if earliest_s else 0
    peak = first + int(np.argmax(np.abs(path[first:])))
    cluster = path[max(first, peak - before) : peak + before + 1]
    level = _level(sent, cluster)
    if level == 0:
        return Echo(level_db=None, delay_ms=None, floor_db=SILENCE_DBOV)
    beside = np.arange(path.size)
    beside = beside[(beside >= first) & (np.abs(beside - peak) > 3 * before)]
    energy = np.convolve(path**2, np.ones(2 * before + 1), mode="same")[beside]
    noise = level * float(np.median(energy)) / float(np.sum(cluster**2))
    floor_db = dbov(noise / power(sent)) + ABOVE_FLOOR_DB
    level_db = dbov(level / power(sent))
    if level_db < floor_db:
        return Echo(level_db=None, delay_ms=None, floor_db=floor_db)
    return Echo(level_db=level_db, delay_ms=1000 * (peak - before) / rate_hz, floor_db=floor_db)


def _level(sent: Samples, path: Samples) -> float:
    """The mean square of what was sent after this part of the path."""
    size = 1 << (sent.size + path.size).bit_length()
    echo = np.fft.irfft(np.fft.rfft(sent, size) * np.fft.rfft(path, size), size)
    return float(np.sum(echo**2)) / sent.size


def solve_toeplitz(column: Samples, right: Samples) -> Samples:
    """The solution of a symmetric, positive definite Toeplitz system, given by its first column (Levinson, 1947)."""
    forward = np.array([1.0])
    error = float(column[0])
    solution = np.array([float(right[0]) / error])
    for order in range(1, column.size):
        window = column[order:0:-1]
        reflection = -float(np.sum(window * forward)) / error
        longer = np.append(forward, 0.0)
        forward = longer + reflection * longer[::-1]
        error *= 1 - reflection * reflection
        step = (float(right[order]) - float(np.sum(window * solution))) / error
        solution = np.append(solution, 0.0) + step * forward[::-1]
    return solution
