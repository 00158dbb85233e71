"""When the RTP packets of a case came, held against when they were due: lateness, losses, DTMF, DSCP. Pure.

Takes the kept lines of RTP packets, gives a time line for each source of each call. A packet is due by its time stamp
(RFC 3550, 5.1), counted from the packet of its source that came soonest after its own; telephone events are not held
against it, for all packets of one event have the time stamp of its beginning (RFC 4733, 2.2.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab_inventory.evidence.lines import Lines, read_lines, text, whole

CLOCK_HZ_MAX = 192_000
RESTARTS_S = 1.0
"""Time stamps that go apart from the clock by more than this between two packets have begun anew."""
DIGITS = "0123456789*#ABCD"
"""Telephone events 0 to 15 (RFC 4733, 3.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RtpLine:
    """One packet that came. ``event``: the telephone event in it, None where it is none, or the line does not tell."""

    call: str
    at_ns: int
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    clock_hz: int = 8000
    encoding: str = ""
    event: int | None = None
    dscp: int | None = None


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something at one moment, in s since the first packet of the source."""

    at_s: float
    words: str


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """One source of one call.

    ``lateness``: s since the first packet, and ms later than due, of each packet but events. ``lost``: where packets
    are missing, with how many. ``keys``: the first packet of each event. ``dscp``: the mark of the first packet, and
    each change. ``restarts``: where time stamps began anew. ``duration_s``: to the last packet.
    """

    call: str
    ssrc: int
    packets: int
    encodings: tuple[str, ...]
    duration_s: float
    lateness: tuple[tuple[float, float], ...]
    lost: tuple[Mark, ...]
    lost_packets: int
    keys: tuple[Mark, ...]
    dscp: tuple[Mark, ...]
    restarts: tuple[Mark, ...]


def read_rtp_packets(data: bytes) -> Lines[RtpLine]:
    """The packets that came, in the order of their lines; what was sent is passed over."""
    read = read_lines(data, _packet)
    return Lines(lines=tuple(one for one in read.lines if one is not None), unreadable=read.unreadable)


def time_lines(packets: Sequence[RtpLine]) -> tuple[TimeLine, ...]:
    """A time line for each source of each call, in the order of their first packets."""
    sources: dict[tuple[str, int], list[RtpLine]] = {}
    for packet in packets:
        sources.setdefault((packet.call, packet.ssrc), []).append(packet)
    return tuple(_time_line(found) for found in sources.values())


def _packet(fields: dict[str, Any]) -> RtpLine | None:
    if "sent" in fields:
        return None
    clock_hz = whole(fields.get("clock_hz", 8000))
    if not 0 < clock_hz <= CLOCK_HZ_MAX:
        raise ValueError("is no RTP clock")
    return RtpLine(
        call=text(fields["call"]),
        at_ns=whole(fields["at_ns"]),
        payload_type=whole(fields["payload_type"]),
        sequence=whole(fields["sequence"]) & 0xFFFF,
        timestamp=whole(fields["timestamp"]) & 0xFFFF_FFFF,
        ssrc=whole(fields["ssrc"]),
        clock_hz=clock_hz,
        encoding=text(fields.get("encoding", "")),
        event=whole(fields["event"]) if "event" in fields else None,
        dscp=whole(fields["dscp"]) & 0x3F if "dscp" in fields else None,
    )


def _time_line(packets: Sequence[RtpLine]) -> TimeLine:
    begin_ns = packets[0].at_ns
    lost = _lost(packets, begin_ns)
    lateness, restarts = _lateness(packets, begin_ns)
    return TimeLine(
        call=packets[0].call,
        ssrc=packets[0].ssrc,
        packets=len(packets),
        encodings=tuple(dict.fromkeys(one.encoding or f"payload type {one.payload_type}" for one in packets)),
        duration_s=(max(one.at_ns for one in packets) - begin_ns) / 1e9,
        lateness=tuple(lateness),
        lost=tuple(Mark(at_s=at_s, words=f"{count} lost") for at_s, count in lost),
        lost_packets=sum(count for _, count in lost),
        keys=_keys(packets, begin_ns),
        dscp=_dscp(packets, begin_ns),
        restarts=tuple(restarts),
    )


def _lateness(packets: Sequence[RtpLine], begin_ns: int) -> tuple[list[tuple[float, float]], list[Mark]]:
    """Stretches of time stamps that run on, each held against its own soonest packet."""
    found: list[tuple[float, float]] = []
    restarts: list[Mark] = []
    stretch: list[tuple[float, float]] = []
    before: RtpLine | None = None
    due_s = 0.0
    for packet in (one for one in packets if one.event is None):
        at_s = (packet.at_ns - begin_ns) / 1e9
        if before is not None:
            step_s = _signed(packet.timestamp - before.timestamp, 32) / packet.clock_hz
            if abs(step_s - (packet.at_ns - before.at_ns) / 1e9) > RESTARTS_S:
                found += _held_against_soonest(stretch)
                stretch, due_s = [], at_s
                restarts.append(Mark(at_s=at_s, words="time stamps begin anew"))
            else:
                due_s += step_s
        stretch.append((at_s, at_s - due_s))
        before = packet
    return found + _held_against_soonest(stretch), restarts


def _held_against_soonest(stretch: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    soonest = min((late for _, late in stretch), default=0.0)
    return [(at_s, (late - soonest) * 1000) for at_s, late in stretch]


def _lost(packets: Sequence[RtpLine], begin_ns: int) -> list[tuple[float, int]]:
    """When numbers were missing, and how many: those that never came, over all payload types (RFC 3550, A.1)."""
    numbers: list[int] = []
    for packet in packets:
        last = numbers[-1] if numbers else packet.sequence
        numbers.append(last + _signed(packet.sequence - last, 16))
    came: dict[int, int] = {}
    for number, packet in zip(numbers, packets, strict=True):
        came.setdefault(number, packet.at_ns)
    ordered = sorted(came)
    return [
        ((came[after] - begin_ns) / 1e9, after - before - 1)
        for before, after in pairwise(ordered)
        if after - before > 1
    ]


def _keys(packets: Sequence[RtpLine], begin_ns: int) -> tuple[Mark, ...]:
    found: dict[tuple[int, int], Mark] = {}
    for one in packets:
        if one.event is not None:
            words = DIGITS[one.event] if one.event < len(DIGITS) else f"event {one.event}"
            found.setdefault((one.timestamp, one.event), Mark(at_s=(one.at_ns - begin_ns) / 1e9, words=words))
    return tuple(found.values())


def _dscp(packets: Sequence[RtpLine], begin_ns: int) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    last: int | None = None
    for one in packets:
        if one.dscp is not None and one.dscp != last:
            marks.append(Mark(at_s=(one.at_ns - begin_ns) / 1e9, words=f"DSCP {one.dscp}"))
            last = one.dscp
    return tuple(marks)


def _signed(difference: int, bits: int) -> int:
    """A difference of counters that wrap, as the nearer of both ways."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
