"""The kept lines of a signalling case: what was said (SIP) and what was heard (RTP), read and written. Pure.

An agent writes them, a server and a vendor's desk read them: what is read is foreign. A line that is none is counted
and passed over; fields that are not known are passed over too, so that a newer agent's lines can be read.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

SIP_MEDIA_TYPE = "application/jsonl"
LINES_MAX = 120_000
SIP_MESSAGES, RTP_PACKETS, CAPTURE = "SIP messages", "RTP packets", "capture"
"""How the names of a case's files end; the case's id stands before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SipLine:
    """One message or datagram. ``at_ns``: CLOCK_BOOTTIME of the bench's host; ``peer``: ``host:port`` of the other end.

    ``incoming``: it came to the bench. ``fault``: why it could not be read, or empty. ``digest``: what the registrar
    made of its credentials, in words, or empty. ``masked``: what was replaced in ``raw`` before it was kept. ``dscp``:
    the mark of the datagram it came in; None where that is not known.
    """

    at_ns: int
    incoming: bool
    peer: str
    raw: bytes
    fault: str = ""
    transport: str = "udp"
    digest: str = ""
    masked: tuple[str, ...] = ()
    dscp: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RtpStream:
    """Packets of one source in one call: how many, and when the first and the last passed (ns of CLOCK_BOOTTIME).

    ``incoming``: they came to the bench. ``payload_type`` and ``ssrc`` are None where the line does not tell them.
    """

    call: str
    incoming: bool
    payload_type: int | None
    ssrc: int | None
    packets: int
    first_ns: int
    last_ns: int


LineT = TypeVar("LineT")


@dataclass(frozen=True, kw_only=True)
class Lines(Generic[LineT]):
    """What was read; ``unreadable`` counts the lines that are none, or are too many."""

    lines: tuple[LineT, ...]
    unreadable: int = 0


def write_sip(lines: Iterable[SipLine]) -> bytes:
    """One JSON object a line; ``raw`` maps each byte to the code point of its number."""
    return b"".join(json.dumps(_sip_fields(line), ensure_ascii=False).encode() + b"\n" for line in lines)


def read_sip(data: bytes) -> Lines[SipLine]:
    """The messages, in their order."""
    return read_lines(data, _sip_line)


def read_rtp(data: bytes) -> Lines[RtpStream]:
    """The streams of a case's calls, in the order of their first packets."""
    read = read_lines(data, _rtp_fields)
    streams: dict[tuple[Any, ...], RtpStream] = {}
    for one in read.lines:
        key = (one.call, one.incoming, one.payload_type, one.ssrc)
        known = streams.get(key)
        streams[key] = one if known is None else _joined(known, one)
    found = tuple(sorted(streams.values(), key=lambda stream: stream.first_ns))
    return Lines(lines=found, unreadable=read.unreadable)


def _sip_fields(line: SipLine) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "at_ns": line.at_ns,
        "direction": "in" if line.incoming else "out",
        "peer": line.peer,
        "raw": line.raw.decode("latin-1"),
    }
    told = {"fault": line.fault, "digest": line.digest, "masked": list(line.masked)}
    fields |= {name: value for name, value in told.items() if value}
    fields |= {} if line.dscp is None else {"dscp": line.dscp}
    return fields if line.transport == "udp" else fields | {"transport": line.transport}


def read_lines(data: bytes, read: Callable[[dict[str, Any]], LineT]) -> Lines[LineT]:
    """What ``read`` makes of each line's object; it raises ValueError, KeyError or TypeError for one that is none."""
    found: list[LineT] = []
    unreadable = 0
    for one in data.split(b"\n"):
        if not one.strip():
            continue
        if len(found) >= LINES_MAX:
            unreadable += 1
            continue
        try:
            fields = json.loads(one)
            if not isinstance(fields, dict):
                raise TypeError("is no object")
            found.append(read(fields))
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += 1
    return Lines(lines=tuple(found), unreadable=unreadable)


def _sip_line(fields: dict[str, Any]) -> SipLine:
    masked = fields.get("masked", [])
    return SipLine(
        at_ns=whole(fields["at_ns"]),
        incoming={"in": True, "out": False}[fields["direction"]],
        peer=text(fields["peer"]),
        raw=text(fields["raw"]).encode("latin-1"),
        fault=text(fields.get("fault", "")),
        transport=text(fields.get("transport", "udp")).lower(),
        digest=text(fields.get("digest", "")),
        masked=tuple(text(name) for name in masked),
        dscp=whole(fields["dscp"]) & 0x3F if "dscp" in fields else None,
    )


def _rtp_fields(fields: dict[str, Any]) -> RtpStream:
    """A packet that came, or the sum of those that were sent."""
    if "sent" in fields:
        return RtpStream(
            call=text(fields["call"]),
            incoming=False,
            payload_type=None,
            ssrc=None,
            packets=whole(fields["sent"]),
            first_ns=whole(fields["first_ns"]),
            last_ns=whole(fields["last_ns"]),
        )
    at_ns = whole(fields["at_ns"])
    return RtpStream(
        call=text(fields["call"]),
        incoming=True,
        payload_type=whole(fields["payload_type"]),
        ssrc=whole(fields["ssrc"]),
        packets=1,
        first_ns=at_ns,
        last_ns=at_ns,
    )


def _joined(first: RtpStream, more: RtpStream) -> RtpStream:
    return RtpStream(
        call=first.call,
        incoming=first.incoming,
        payload_type=first.payload_type,
        ssrc=first.ssrc,
        packets=first.packets + more.packets,
        first_ns=min(first.first_ns, more.first_ns),
        last_ns=max(first.last_ns, more.last_ns),
    )


def whole(value: object) -> int:
    """A field that is a whole number, not negative; raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("is no whole number of 63 bits")
    return value


def text(value: object) -> str:
    """A field that is text; raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError("is no text")
    value.encode()  # raises ValueError for half a surrogate pair, which no page and no file can hold
    return value
