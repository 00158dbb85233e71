"""A ladder as SVG: no script, no style, no link, nothing from elsewhere; every text is escaped. Pure.

The picture stands in a page, whose colours it has (``currentColor``), or alone: black on white, under its title.
"""

from html import escape

from lab_inventory.evidence.ladder import Arrow, Ladder

TIME_WIDTH, COLUMN_WIDTH, NOTE_WIDTH = 110, 330, 560
TITLE_HEIGHT, HEAD_HEIGHT, ROW_HEIGHT = 28, 48, 34
_TEXT_MAX = 54
_NOTE_MAX = 74


def ladder_svg(ladder: Ladder, *, alone: bool = False) -> str:
    """The picture; its height grows with the arrows."""
    columns = {party: TIME_WIDTH + 60 + COLUMN_WIDTH * n for n, party in enumerate(ladder.parties)}
    width = TIME_WIDTH + 60 + COLUMN_WIDTH * max(0, len(columns) - 1) + NOTE_WIDTH
    top = TITLE_HEIGHT if alone else 0
    height = top + HEAD_HEIGHT + ROW_HEIGHT * (len(ladder.arrows) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ladder" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="12" fill="currentColor">',
        f"<title>{_safe(ladder.title)}</title>",
    ]
    if alone:
        parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
        parts.append(_text(12, 20, ladder.title, weight="bold"))
    for party, x in columns.items():
        parts.append(_text(x, top + 20, party, anchor="middle", weight="bold"))
        ends = f'y1="{top + 28}" x2="{x}" y2="{height - 8}"'
        parts.append(f'<line x1="{x}" {ends} stroke="currentColor" stroke-opacity="0.35"/>')
    for row, arrow in enumerate(ladder.arrows):
        parts += _row(arrow, top + HEAD_HEIGHT + ROW_HEIGHT * row + ROW_HEIGHT // 2, columns, width)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(arrow: Arrow, y: int, columns: dict[str, int], width: int) -> list[str]:
    if arrow.gap:
        return [_text(width // 2, y, f"… {arrow.text} …", anchor="middle", weight="bold")]
    start, end = columns[arrow.sender], columns[arrow.receiver]
    head = 8 if end > start else -8
    doubtful = any(mark.startswith("cannot be read") for mark in arrow.marks)
    again = "retransmission" in arrow.marks
    look = ' stroke-dasharray="6 4"' if again else ' stroke-dasharray="2 4"' if doubtful else ""
    line = f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="currentColor" stroke-width="{1.2:g}"{look}/>'
    if arrow.is_stream:
        line = (
            f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="currentColor" stroke-opacity="0.5" '
            'stroke-width="5"/>'
        )
    notes = [f"#{arrow.number}"]
    notes += [f"CSeq {arrow.cseq}"] if arrow.cseq else []
    notes += [f"call {arrow.call}"] if arrow.call else []
    return [
        _text(TIME_WIDTH - 14, y + 4, f"{arrow.at_ms:.1f} ms", anchor="end"),
        line,
        f'<polygon points="{end},{y} {end - head},{y - 4} {end - head},{y + 4}"/>',
        _text((start + end) // 2, y - 5, _cut(arrow.text, _text_max(start, end)), anchor="middle"),
        _text(max(columns.values()) + 20, y + 4, _cut(", ".join([*notes, *arrow.marks]), _NOTE_MAX)),
    ]


def _text_max(start: int, end: int) -> int:
    return _TEXT_MAX * abs(end - start) // COLUMN_WIDTH - 10


def _text(x: int, y: int, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{_safe(text)}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _safe(text: str) -> str:
    """Escaped, and without what XML 1.0 does not allow even as an escape."""
    return escape("".join(sign if sign.isprintable() else "�" for sign in text))
