"""The ladder of a case: who said what to whom and when, as a model that can be written or drawn. Pure.

Takes the kept lines of a case; gives arrows in the order of their times. It shows and does not judge: a mark says what
can be seen on the wire (the same bytes again, bytes that are no message), never whether that was right.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lab_inventory.evidence.lines import RtpStream, SipLine

ARROWS_MAX = 500
PARTIES_MAX = 6
TEXT_MAX = 160
BENCH = "bench"
OTHERS = "others"

_CSEQ = re.compile(rb"^CSeq[ \t]*:[ \t]*(\d{1,10})[ \t]+([A-Za-z0-9.!%*_+`'~-]{1,40})", re.MULTILINE | re.IGNORECASE)
_CALL_ID = re.compile(rb"^(?:Call-ID|i)[ \t]*:[ \t]*([^\s]{1,400})", re.MULTILINE | re.IGNORECASE)
_SDP = re.compile(rb"^(?:Content-Type|c)[ \t]*:[ \t]*application/sdp", re.MULTILINE | re.IGNORECASE)
_SPARE = frozenset({b"\r\n", b"\r\n\r\n", b"\0" * 4})
_STATIC = {0: "PCMU", 8: "PCMA", 9: "G722", 13: "CN"}
"""Payload types with a fixed meaning: RFC 3551, 6."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrow:
    """One message, or one audio stream summed up. ``number`` counts from 1; ``at_ms`` since the ladder's start.

    ``call`` numbers the Call-IDs in the order of their coming, 0: none. ``gap`` > 0: this is no arrow, but stands for
    so many that are left out. ``raw`` is the message as it was kept; empty for a stream.
    """

    number: int
    at_ms: float
    sender: str
    receiver: str
    text: str
    cseq: str = ""
    call: int = 0
    marks: tuple[str, ...] = ()
    is_stream: bool = False
    gap: int = 0
    raw: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """The arrows of a case between ``parties`` (the bench first), and what to know of them.

    ``calls``: the Call-IDs, numbered from 1. ``left_out``: arrows beyond :data:`ARROWS_MAX`, taken from the middle.
    ``unreadable``: lines of the evidence that are none.
    """

    title: str
    parties: tuple[str, ...]
    calls: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    left_out: int = 0
    unreadable: int = 0


def ladder(title: str, messages: Sequence[SipLine], streams: Sequence[RtpStream] = (), unreadable: int = 0) -> Ladder:
    """The ladder of these lines; its time starts with the first of them."""
    calls: dict[str, int] = {}
    reached: dict[str, str] = {}  # Call-ID to the peer that it was last said to
    began_ns = min([*(one.at_ns for one in messages), *(one.first_ns for one in streams)], default=0)
    messages = [replace(line, peer=printable(line.peer.encode(), 80)) for line in messages]
    parties = _parties(messages)
    found: list[tuple[int, Arrow]] = []
    seen: set[tuple[bool, str, bytes]] = set()
    for line in messages:
        call_id = _found(_CALL_ID, line.raw)
        party = _party(line) if _party(line) in parties else OTHERS
        if call_id:
            calls.setdefault(call_id, len(calls) + 1)
            reached[call_id] = party
        key = (line.incoming, line.peer, line.raw)
        again = key in seen and line.raw not in _SPARE and line.raw != b""
        seen.add(key)
        found.append((line.at_ns, _message(line, party, calls.get(call_id, 0), began_ns, again=again)))
    for stream in streams:
        call = printable(stream.call.encode(), 400)
        calls.setdefault(call, len(calls) + 1)
        party = reached.get(call, parties[1] if len(parties) > 1 else OTHERS)
        found.append((stream.first_ns, _stream(stream, party, calls[call], began_ns)))
    found.sort(key=lambda one: one[0])
    arrows = [replace(arrow, number=number) for number, (_, arrow) in enumerate(found, 1)]
    named = {one for arrow in arrows for one in (arrow.sender, arrow.receiver)}
    return Ladder(
        title=title,
        parties=(*parties, *([OTHERS] if OTHERS in named else [])),
        calls=tuple(calls),
        arrows=_bounded(arrows),
        left_out=max(0, len(arrows) - ARROWS_MAX),
        unreadable=unreadable,
    )


def printable(raw: bytes, most: int = TEXT_MAX) -> str:
    """Bytes as one line of text: what is no printable ASCII is written as an escape; cut with a sign that it is."""
    text = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in raw[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


def _party(line: SipLine) -> str:
    """The other end. Over TCP and TLS its port is another with each connection, so it is the host that is named."""
    if line.transport == "udp":
        return line.peer
    return f"{line.peer.rpartition(':')[0]} {printable(line.transport.upper().encode(), 10)}"


def _parties(messages: Iterable[SipLine]) -> tuple[str, ...]:
    peers = tuple(dict.fromkeys(_party(line) for line in messages))
    return (BENCH, *peers[: PARTIES_MAX - 1])


def _message(line: SipLine, party: str, call: int, began_ns: int, *, again: bool) -> Arrow:
    first, _, _ = line.raw.lstrip(b"\r\n").partition(b"\n")
    spare = line.raw in _SPARE
    text = f"keep-alive of {len(line.raw)} bytes" if spare else printable(first.rstrip(b"\r"))
    if not text:
        text = f"{len(line.raw)} bytes" if line.raw else "no message"
    unread = "cannot be read: " if line.raw and line.incoming else ""
    marks = (
        *(["retransmission"] if again else []),
        *([f"{unread}{printable(line.fault.encode())}"] if line.fault else []),
        *([f"credentials {printable(line.digest.encode())}"] if line.digest else []),
        *([printable(line.transport.upper().encode(), 10)] if line.transport != "udp" else []),
        *(["SDP"] if _SDP.search(line.raw) else []),
    )
    cseq = _CSEQ.search(line.raw)
    return Arrow(
        number=0,
        at_ms=(line.at_ns - began_ns) / 1e6,
        sender=party if line.incoming else BENCH,
        receiver=BENCH if line.incoming else party,
        text=text,
        cseq=f"{cseq[1].decode()} {cseq[2].decode()}" if cseq else "",
        call=call,
        marks=marks,
        raw=line.raw,
    )


def _stream(stream: RtpStream, party: str, call: int, began_ns: int) -> Arrow:
    kind = "" if stream.payload_type is None else f" {_STATIC.get(stream.payload_type, f'type {stream.payload_type}')}"
    marks = () if stream.ssrc is None else (f"source {stream.ssrc:08x}",)
    lasted_s = (stream.last_ns - stream.first_ns) / 1e9
    return Arrow(
        number=0,
        at_ms=(stream.first_ns - began_ns) / 1e6,
        sender=party if stream.incoming else BENCH,
        receiver=BENCH if stream.incoming else party,
        text=f"RTP{kind}: {stream.packets} packets in {lasted_s:.2f} s",
        call=call,
        marks=marks,
        is_stream=True,
    )


def _bounded(arrows: list[Arrow]) -> tuple[Arrow, ...]:
    """The first and the last arrows; in the middle one that says how many are left out."""
    if len(arrows) <= ARROWS_MAX:
        return tuple(arrows)
    half = ARROWS_MAX // 2
    missing = len(arrows) - ARROWS_MAX
    at = arrows[half]
    gap = Arrow(number=0, at_ms=at.at_ms, sender="", receiver="", text=f"{missing} arrows are left out", gap=missing)
    return (*arrows[:half], gap, *arrows[-(ARROWS_MAX - half) :])


def _found(pattern: re.Pattern[bytes], raw: bytes) -> str:
    match = pattern.search(raw)
    return printable(match[1], 400) if match else ""
