"""What pictures over time have in common: their frame, their words, their axis. SVG, every text escaped. Pure.

A picture stands in a page, whose colours it has (``currentColor``), or alone: black on white, under its title.
"""

import math
from collections.abc import Iterable
from html import escape

LEFT, WIDTH, RIGHT = 84, 720, 16
TITLE_HEIGHT = 30
TICKS_MAX = 12


def plot(title: str, height: int, parts: Iterable[str], *, alone: bool) -> str:
    """A whole picture."""
    width = LEFT + WIDTH + RIGHT
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="12" fill="currentColor">',
        f"<title>{safe(title)}</title>",
    ]
    if alone:
        head.append(f'<rect width="{width}" height="{height}" fill="white"/>')
        head.append(text(12, 20, title, weight="bold"))
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    """Words in a picture."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-weight="{weight}">{safe(words)}</text>'


def line(x: float, y: float, to_x: float, to_y: float, *, look: str = "") -> str:
    """A thin line; ``look``: further attributes."""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="currentColor" {look}/>'


def time_axis(since_s: float, until_s: float, y: int) -> list[str]:
    """An axis of seconds below ``y``, with ticks at round numbers."""
    span_s = max(until_s - since_s, 1e-3)
    step_s = round_step(span_s / TICKS_MAX)
    parts = [line(LEFT, y, LEFT + WIDTH, y)]
    for number in range(math.ceil(since_s / step_s), math.floor(until_s / step_s) + 1):
        x = LEFT + (number * step_s - since_s) / span_s * WIDTH
        parts.append(line(x, y, x, y + 5))
        last = x > LEFT + WIDTH - 20
        parts.append(text(round(x, 1), y + 18, f"{number * step_s:g} s", anchor="end" if last else "middle"))
    return parts


def round_step(least: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below ``least`` (above 0)."""
    power: float = 10 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def safe(words: str) -> str:
    """Escaped, and without what XML 1.0 does not allow even as an escape."""
    return escape("".join(sign if sign.isprintable() else "�" for sign in words))
