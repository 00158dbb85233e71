"""A time line of RTP as a picture: lateness over time, losses, keys and marks (DSCP). SVG, no script or style. Pure.

However many packets there were, the picture has one line a column, from the least to the greatest lateness of its time.
"""

from collections.abc import Callable, Iterator, Sequence

from lab_inventory.evidence.plot import LEFT, TITLE_HEIGHT, WIDTH, line, plot, round_step, text, time_axis
from lab_inventory.evidence.rtp_time_line import Mark, TimeLine

MARKS_HEIGHT, LATENESS_HEIGHT, LOST_HEIGHT, AXIS_HEIGHT = 34, 120, 24, 30
MARKS_MAX = 200
"""Of each kind; those after it are left out of the picture, which says so."""
SCALE_MS_LEAST = 10.0


def rtp_time_line_svg(found: TimeLine, title: str, *, alone: bool = False) -> str:
    """The picture of one source."""
    top = (TITLE_HEIGHT if alone else 4) + MARKS_HEIGHT
    bottom = top + LATENESS_HEIGHT
    lost_y = bottom + LOST_HEIGHT
    span_s = max(found.duration_s, 1e-3)
    most_ms = max([SCALE_MS_LEAST, *(late for _, late in found.lateness)])
    step_ms = round_step(most_ms / 4)
    scale = LATENESS_HEIGHT / most_ms

    def x(at_s: float) -> float:
        return LEFT + at_s / span_s * WIDTH

    parts = [text(LEFT - 8, top + 12, "later by", anchor="end"), text(LEFT - 8, bottom + 17, "lost", anchor="end")]
    for number in range(int(most_ms / step_ms) + 1):
        y = bottom - number * step_ms * scale
        parts.append(line(LEFT, y, LEFT + WIDTH, y, look='stroke-opacity="0.2"'))
        if y > top + 22:
            parts.append(text(LEFT - 8, round(y + 4, 1), f"{number * step_ms:g} ms", anchor="end"))
    parts.append(f'<path d="{_columns(found.lateness, span_s, bottom, scale)}" stroke="currentColor" fill="none"/>')
    for mark in found.lost[:MARKS_MAX]:
        at = x(mark.at_s)
        parts.append(line(at, bottom + 6, at, lost_y, look=f'stroke-width="2" class="lost" aria-label="{mark.words}"'))
    parts += _words_above(found.keys, top - 4, x, top)
    parts += _words_above((*found.dscp, *found.restarts), top - 20, x, bottom, look='stroke-dasharray="4 3"')
    parts += time_axis(0.0, found.duration_s, lost_y)
    return plot(title, lost_y + AXIS_HEIGHT, parts, alone=alone)


def in_words(found: TimeLine) -> str:
    """What the picture shows, for those who do not see it."""
    late_ms = max((late for _, late in found.lateness), default=0.0)
    said = [
        f"{found.packets} packets ({', '.join(found.encodings)}) in {found.duration_s:.2f} s",
        f"at most {late_ms:.1f} ms later than the soonest",
        f"{found.lost_packets} lost",
    ]
    said += [f"keys {' '.join(mark.words for mark in found.keys[:MARKS_MAX])}"] if found.keys else []
    said += [", then ".join(mark.words for mark in found.dscp[:MARKS_MAX])] if found.dscp else []
    said += [f"time stamps began anew {len(found.restarts)} times"] if found.restarts else []
    drawn = max(len(marks) for marks in (found.lost, found.keys, found.dscp, found.restarts))
    said += [f"of each kind of mark the first {MARKS_MAX} are drawn"] if drawn > MARKS_MAX else []
    return "; ".join(said)


def _words_above(
    marks: Sequence[Mark], y: float, x: Callable[[float], float], to_y: float, *, look: str = ""
) -> Iterator[str]:
    """A line at each mark, and its words above where they do not cover those before."""
    free = 0.0
    for mark in marks[:MARKS_MAX]:
        at = x(mark.at_s)
        yield line(at, y + 2, at, to_y, look=f'stroke-opacity="0.5" {look}')
        if at >= free:
            yield text(round(at + 2, 1), y, mark.words)
            free = at + 8 * len(mark.words) + 8


def _columns(lateness: Sequence[tuple[float, float]], span_s: float, bottom: float, scale: float) -> str:
    columns: dict[int, tuple[float, float]] = {}
    for at_s, late_ms in lateness:
        column = min(WIDTH - 1, max(0, int(at_s / span_s * WIDTH)))
        low, high = columns.get(column, (late_ms, late_ms))
        columns[column] = (min(low, late_ms), max(high, late_ms))
    return "".join(
        f"M{LEFT + column}.5 {bottom - high * scale - 0.8:.1f}V{bottom - low * scale + 0.8:.1f}"
        for column, (low, high) in sorted(columns.items())
    )
