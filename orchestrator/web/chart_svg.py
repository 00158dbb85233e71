"""A control chart as an SVG picture: the values with centre and limits, and below them their moving ranges. Pure.

It takes a chart and gives text that holds numbers and words of its own only, so that it can stand in a page as it is.
"""

from collections.abc import Sequence

from orchestrator.pipeline.control import Chart
from orchestrator.pipeline.control_chart import BASELINE_POINTS, D2, moving_ranges

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT = 70, 90
VALUES = (14, 190)
RANGES = (214, 284)
RANGE_LIMIT = 3.267
"""The upper limit of ranges of two over their mean (D4)."""
QUIET, LOUD, LINE = "#777", "#c22", "#2667a8"


def chart_svg(chart: Chart) -> str:
    """The picture. Points that are out of control are red; before the dashed upright line is the baseline."""
    values = [point.value for point in chart.points]
    ranges = moving_ranges(values)
    limits = chart.known.limits if chart.known else None
    scale = _Scale(values, limits or (), VALUES, len(values))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="11" '
        f'font-family="sans-serif" fill="currentColor" aria-label="{len(values)} points, '
        f'{len(chart.found)} out of control">'
    ]
    if chart.known and limits:
        low, high = limits
        parts += [
            _level(scale.y(value), words, colour)
            for value, words, colour in (
                (high, f"UCL {high:.4g}", LOUD),
                (chart.known.centre, f"mean {chart.known.centre:.4g}", QUIET),
                (low, f"LCL {low:.4g}", LOUD),
            )
        ]
        edge = (scale.x(BASELINE_POINTS - 1) + scale.x(min(BASELINE_POINTS, max(len(values) - 1, 0)))) / 2
        parts.append(
            f'<path d="M{edge:.1f} {VALUES[0]}V{RANGES[1]}" stroke="{QUIET}" stroke-dasharray="3 3" fill="none"/>'
        )
    parts += _series(values, scale, {one.at for one in chart.found})
    of_ranges = _Scale([0.0, *ranges], (), RANGES, len(values))
    if chart.known and chart.known.sd:
        mean = chart.known.sd * D2
        of_ranges = _Scale([0.0, *ranges], (mean * RANGE_LIMIT,), RANGES, len(values))
        parts.append(_level(of_ranges.y(mean), f"mean {mean:.4g}", QUIET))
    parts += _series(ranges, of_ranges, set(), first=1)
    for (top, _), words in ((VALUES, "value"), (RANGES, "range")):
        parts.append(f'<text x="4" y="{top + 10}">{words}, {chart.unit.value}</text>')
    return "".join([*parts, "</svg>"])


class _Scale:
    """From numbers to places: ``n`` points from left to right, values within a band from its foot to its top."""

    def __init__(self, values: Sequence[float], more: Sequence[float], band: tuple[int, int], n: int) -> None:
        held = [*values, *more] or [0.0]
        low, high = min(held), max(held)
        margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        self._low, self._high = low - margin, high + margin
        self._band = band
        self._step = (WIDTH - LEFT - RIGHT) / max(n - 1, 1)

    def x(self, at: int) -> float:
        """Where the point of that place stands."""
        return LEFT + at * self._step

    def y(self, value: float) -> float:
        """Where a value stands."""
        top, foot = self._band
        return foot - (value - self._low) / (self._high - self._low) * (foot - top)


def _level(y: float, words: str, colour: str) -> str:
    return (
        f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{colour}" fill="none"/>'
        f'<text x="{WIDTH - RIGHT + 6}" y="{y + 4:.1f}" fill="{colour}">{words}</text>'
    )


def _series(values: Sequence[float], scale: _Scale, loud: set[int], first: int = 0) -> list[str]:
    """A line through all, and a dot for each; smaller ones where there are many."""
    places = [(scale.x(at), scale.y(value)) for at, value in enumerate(values, first)]
    size = 2.6 if len(places) <= 100 else 1.4
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size + 2 * (at in loud):g}" fill="{LOUD if at in loud else LINE}"/>'
        for at, (x, y) in enumerate(places, first)
    ]
    return [f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="1"/>', *dots]
