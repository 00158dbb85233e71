"""Echo: speech that comes back, or comes twice. Pure.

Level in dB relative to what was sent (an echo loss with its sign turned, not weighted over frequency), delay in ms from
what was sent. Uncertainty 1 dB and 0.25 ms for an echo above the floor that is given with it; under the floor
nothing can be said.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.instruments.sound.samples import SILENCE_DBOV, Samples, dbov, power, resampled

DIRECT_S = 0.004
"""So close to the direct sound nothing is called an echo: it is the response of the path."""
LATEST_S = 0.3
CLUSTER_S = 0.002
"""To either side of the strongest tap: what belongs to one echo."""
BLOCK_S = 0.25
"""For so long the path of the direct sound is taken to stay as it is."""
NARROW_HZ = 8_000
"""Looked for below 4 kHz, where speech is strong: above, the noise of a wideband codec hides an echo of -30 dB."""
LOADING = 1e-4
"""White noise 40 dB under the speech, added to its correlation: where speech has no sound, no path is invented."""
ABOVE_FLOOR_DB = 12.0

_CLUSTER = round(CLUSTER_S * NARROW_HZ)


@dataclass(frozen=True, kw_only=True)
class Echo:
    """The strongest echo: level (dB) and delay (ms), both None where none stands above ``floor_db``."""

    level_db: float | None
    delay_ms: float | None
    floor_db: float


def returned_echo(sent: Samples, returned: Samples, rate_hz: int) -> Echo | None:
    """The echo of ``sent`` in what came back to the sender, both from one moment; None where nothing was sent."""
    if power(sent) == 0:
        return None
    sent, returned = _narrow(sent, rate_hz), _narrow(returned, rate_hz)
    return _strongest(sent, _path(sent, returned), 0)


def echo_behind(direct: Samples, received: Samples, counted: NDArray[np.bool_], rate_hz: int) -> Echo | None:
    """The echo that follows the direct sound, which is ``direct`` in the time of the recording and of its gain.

    Looked for from 4 ms behind it on; samples that are not ``counted`` are left out. None where nothing was sent.

    Method: the direct sound is taken out with a short path of its own in every quarter of a second, so that neither a
    response nor a gain that changes passes for an echo; what stands out then is one. Its level is taken after one short
    path for the whole: the many short ones take a part of a close echo with them.
    """
    direct, received = (_narrow(np.where(counted, row, 0.0), rate_hz) for row in (direct, received))
    if power(direct) == 0:
        return None
    first = round(DIRECT_S * NARROW_HZ)
    found = _strongest(direct, _path(direct, _without(direct, received, round(BLOCK_S * NARROW_HZ))), first)
    if found.delay_ms is None:
        return found
    path = _path(direct, _without(direct, received, received.size))
    place = round(found.delay_ms * NARROW_HZ / 1000) + _CLUSTER
    level = _level(direct, path[max(0, place - _CLUSTER) : place + _CLUSTER + 1])
    return replace(found, level_db=dbov(level / power(direct)))


def _path(sent: Samples, heard: Samples) -> Samples:
    """The taps with the least squared error (Wiener) from 2 ms before zero on, for a fraction spreads to both sides."""
    taps = _CLUSTER + round(LATEST_S * NARROW_HZ)
    size = 1 << (max(sent.size, heard.size) + taps).bit_length()
    spectrum = np.fft.rfft(sent, size)
    own = np.fft.irfft(np.abs(spectrum) ** 2, size)[:taps]
    across = np.fft.irfft(np.conj(spectrum) * np.fft.rfft(heard, size), size)
    own[0] *= 1 + LOADING
    return solve_toeplitz(own, np.roll(across, _CLUSTER)[:taps])


def _strongest(sent: Samples, path: Samples, earliest: int) -> Echo:
    """The strongest tap with its neighbours, against what the other taps hold, which is noise."""
    first = _CLUSTER + earliest if earliest else 0
    peak = first + int(np.argmax(np.abs(path[first:])))
    cluster = path[max(first, peak - _CLUSTER) : peak + _CLUSTER + 1]
    level = _level(sent, cluster)
    if level == 0:
        return Echo(level_db=None, delay_ms=None, floor_db=SILENCE_DBOV)
    beside = np.arange(path.size)
    beside = beside[(beside >= first) & (np.abs(beside - peak) > 3 * _CLUSTER)]
    energy = np.convolve(path**2, np.ones(2 * _CLUSTER + 1), mode="same")[beside]
    noise = level * float(np.median(energy)) / float(np.sum(cluster**2))
    floor_db = dbov(noise / power(sent)) + ABOVE_FLOOR_DB
    level_db = dbov(level / power(sent))
    if level_db < floor_db:
        return Echo(level_db=None, delay_ms=None, floor_db=floor_db)
    return Echo(level_db=level_db, delay_ms=1000 * (peak - _CLUSTER) / NARROW_HZ, floor_db=floor_db)


def _without(direct: Samples, received: Samples, size: int) -> Samples:
    """The recording without what reaches from 1 ms before to 3 ms behind the direct sound, in blocks of ``size``."""
    before, behind = NARROW_HZ // 1000, 3 * NARROW_HZ // 1000
    padded = np.pad(direct, (behind, before))
    rest = received.copy()
    for start in range(0, received.size, size):
        part = received[start : start + size]
        late = np.array([padded[start + behind - lag :][: part.size] for lag in range(-before, behind + 1)])
        own = np.einsum("in,jn->ij", late, late)
        energy = float(np.trace(own)) / len(late)
        if energy > 0:
            own[np.diag_indices_from(own)] += LOADING * energy
            path = np.linalg.solve(own, np.einsum("in,n->i", late, part))
            rest[start : start + size] -= np.einsum("i,in->n", path, late)
    return rest


def _narrow(samples: Samples, rate_hz: int) -> Samples:
    return resampled(samples, rate_hz, NARROW_HZ)


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
