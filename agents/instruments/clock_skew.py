"""How fast a sender's audio clock runs against the bench's, from its time stamps (3GPP TS 26.131, 6.13). Pure.

What a packet's time of arrival is more than its time stamp is its transit. The network and busy hosts only ever add to
it, so the least transits of equal pieces of the window lie close to a straight line whose slope is the skew; a line of
least squares through them gives it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from agents.instruments.rtp import RtpPacket

PIECES_MIN, PIECES_MAX = 20, 120
PACKETS_PER_PIECE_MIN = 5
COVERAGE_FACTOR = 3.0
_WRAP = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Skew:
    """``ppm`` > 0: the sender's clock is fast. ``uncertainty_ppm`` is expanded (k = 3) and of the line alone: how good
    the bench's own clock is, comes on top. ``scatter_us``: of the least transits around the line.
    """

    ppm: float
    uncertainty_ppm: float
    window_s: float
    packets: int
    scatter_us: float


def clock_skew(packets: Sequence[RtpPacket], payload_type: int, *, clock_hz: int) -> Skew | None:
    """The skew of one source's packets of one payload type; None where there are too few to draw a line through.

    Each piece of about a second (at least 20, at most 120) gives its least transit. The uncertainty is three times the
    standard error of the slope, or the most by which the slope of either half of the window is another, where that is
    more: what is no random scatter (a route that changes, a clock that is steered) shows in the second.
    """
    points = _transits([packet for packet in packets if packet.payload_type == payload_type], clock_hz)
    if len(points) < PIECES_MIN * PACKETS_PER_PIECE_MIN:
        return None
    window_s = points[-1][0]
    pieces = min(PIECES_MAX, max(PIECES_MIN, int(window_s)), len(points) // PACKETS_PER_PIECE_MIN)
    least = _least(points, window_s, pieces)
    if len(least) < PIECES_MIN // 2:
        return None
    slope, error, scatter_s = _line(least)
    middle = len(least) // 2
    apart = max(abs(_line(half)[0] - slope) for half in (least[:middle], least[middle:]))
    return Skew(
        ppm=-slope * 1e6,
        uncertainty_ppm=max(COVERAGE_FACTOR * error, apart) * 1e6,
        window_s=window_s,
        packets=len(points),
        scatter_us=scatter_s * 1e6,
    )


def _transits(packets: Sequence[RtpPacket], clock_hz: int) -> list[tuple[float, float]]:
    """Time of arrival and transit of each packet, both in s from the first on, in order of arrival."""
    points: list[tuple[float, float]] = []
    ticks = 0
    for index, packet in enumerate(packets):
        if index:
            ticks += (packet.timestamp - packets[index - 1].timestamp + _WRAP // 2) % _WRAP - _WRAP // 2
        at_s = (packet.at_ns - packets[0].at_ns) / 1e9
        points.append((at_s, at_s - ticks / clock_hz))
    return points


def _least(points: Sequence[tuple[float, float]], window_s: float, pieces: int) -> list[tuple[float, float]]:
    """The point with the least transit of each piece of the window; pieces with few packets are left out."""
    by_piece: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        by_piece.setdefault(min(pieces - 1, int(point[0] / window_s * pieces)), []).append(point)
    return [
        min(found, key=lambda point: point[1])
        for _, found in sorted(by_piece.items())
        if len(found) >= PACKETS_PER_PIECE_MIN
    ]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Slope of least squares, its standard error, and the standard deviation around the line."""
    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    scatter = math.sqrt(rest / (len(points) - 2))
    return slope, scatter / math.sqrt(spread), scatter
