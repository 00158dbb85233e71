"""A ladder as text: one line an arrow, then the messages as they were kept. Pure."""

from collections.abc import Iterator

from lab_inventory.evidence.ladder import Arrow, Ladder

MESSAGE_BYTES_MAX = 8_192
MESSAGES_BYTES_MAX = 2_000_000


def ladder_text(ladder: Ladder) -> str:
    """All of it, in ASCII but for the arrows' ends; escapes in the place of what could steer a terminal."""
    return "\n".join([*_head(ladder), *_arrows(ladder), "", *_messages(ladder)]) + "\n"


def _head(ladder: Ladder) -> Iterator[str]:
    yield ladder.title
    yield "Times are in ms since the first arrow, as the kernel of the bench's host stamped them."
    for number, call in enumerate(ladder.calls, 1):
        yield f"call {number}: {call}"
    if ladder.left_out:
        yield f"{ladder.left_out} arrows in the middle are left out."
    if ladder.unreadable:
        yield f"{ladder.unreadable} lines of the evidence could not be read."
    yield ""


def _arrows(ladder: Ladder) -> Iterator[str]:
    wide = max((len(party) for party in ladder.parties), default=0)
    before_ms: float | None = None
    for arrow in ladder.arrows:
        if arrow.gap:
            yield f"{'':>27}... {arrow.text} ..."
            before_ms = None
            continue
        since = "" if before_ms is None else f"+{arrow.at_ms - before_ms:.1f}"
        before_ms = arrow.at_ms
        notes = [f"CSeq {arrow.cseq}"] if arrow.cseq else []
        notes += [f"call {arrow.call}"] if arrow.call else []
        line = "===>" if arrow.is_stream else "--->"
        way = f"{arrow.sender:>{wide}} {line} {arrow.receiver:<{wide}}"
        told = f"  ({', '.join(notes)})" if notes else ""
        marks = "".join(f" [{mark}]" for mark in arrow.marks)
        yield f"{arrow.number:>4} {arrow.at_ms:>11.1f} {since:>10}  {way}  {arrow.text}{told}{marks}"


def _messages(ladder: Ladder) -> Iterator[str]:
    """Each message in full, until their sum is too long."""
    left_bytes = MESSAGES_BYTES_MAX
    for arrow in ladder.arrows:
        if not arrow.raw:
            continue
        if left_bytes <= 0:
            yield "The messages that follow are not written here: the evidence has them."
            return
        left_bytes -= min(len(arrow.raw), MESSAGE_BYTES_MAX)
        yield f"---- {arrow.number}: {arrow.sender} to {arrow.receiver} at {arrow.at_ms:.1f} ms"
        yield message_text(arrow)
        yield ""


def message_text(arrow: Arrow) -> str:
    """A message as lines of printable text, cut where it is long."""
    shown = arrow.raw[:MESSAGE_BYTES_MAX].replace(b"\r\n", b"\n")
    text = "".join(chr(byte) if 32 <= byte < 127 or byte == 10 else f"\\x{byte:02x}" for byte in shown)
    more = len(arrow.raw) - MESSAGE_BYTES_MAX
    return text.rstrip("\n") + (f"\n... {more} bytes more" if more > 0 else "")
