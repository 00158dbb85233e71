"""RTCP: the reports of a far side read, and reports of our own built (RFC 3550, 6.4 and 6.5). Pure."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION = 200, 201, 202
_CNAME = 1
_VERSION = 0x80
_BLOCK = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!QIII")
_HEADER_BYTES = 4
_LOST_BITS = 24
NTP_EPOCH_S = 2_208_988_800
"""The wall clock of RTCP begins in 1900 (4)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceptionReport:
    """What the far side says of one source it hears.

    ``at_ns``: when the report came (ns of CLOCK_BOOTTIME); ``highest_sequence`` with its count of cycles, 32 bits;
    ``lost``: since the beginning, less than 0 where packets came twice; ``fraction_lost``: since its report before, as
    a share of 1; ``jitter_ticks`` of the RTP clock.
    """

    at_ns: int
    source: int
    lost: int
    highest_sequence: int
    fraction_lost: float = 0.0
    jitter_ticks: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderInfo:
    """What a sender says of its own stream: NTP time (64 bits), the time stamp that belongs to it, and its counts."""

    ntp: int
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One sender or receiver report; ``sent`` None: of a receiver that sends nothing."""

    at_ns: int
    source: int
    sent: SenderInfo | None
    heard: tuple[ReceptionReport, ...]


def reports(data: bytes, at_ns: int) -> tuple[Report, ...]:
    """The reports of one compound packet; what cannot be read ends it (6.1)."""
    found: list[Report] = []
    for kind, count, body in _parts(data):
        if kind not in (_SENDER_REPORT, _RECEIVER_REPORT) or len(body) < 4:
            continue
        sent, first = None, 4
        if kind == _SENDER_REPORT:
            first += _SENDER.size
            if len(body) < first:
                continue
            ntp, timestamp, packets, octets = _SENDER.unpack_from(body, 4)
            sent = SenderInfo(ntp=ntp, timestamp=timestamp, packets=packets, octets=octets)
        source = int.from_bytes(body[:4], "big")
        found.append(Report(at_ns=at_ns, source=source, sent=sent, heard=_blocks(body[first:], count, at_ns)))
    return tuple(found)


def reception_reports(data: bytes, at_ns: int) -> tuple[ReceptionReport, ...]:
    """The report blocks of one compound packet."""
    return tuple(block for report in reports(data, at_ns) for block in report.heard)


def build_report(source: int, *, sent: SenderInfo | None, heard: tuple[ReceptionReport, ...], name: str) -> bytes:
    """A compound packet: a report, and the canonical name (6.1). ``at_ns`` of what was heard is not told."""
    blocks = b"".join(
        _BLOCK.pack(
            one.source,
            min(255, int(one.fraction_lost * 256)) << _LOST_BITS
            | max(-0x80_0000, min(one.lost, 0x7F_FFFF)) & 0xFF_FFFF,
            one.highest_sequence & 0xFFFF_FFFF,
            one.jitter_ticks & 0xFFFF_FFFF,
            0,
            0,
        )
        for one in heard
    )
    own = b"" if sent is None else _SENDER.pack(sent.ntp, sent.timestamp, sent.packets, sent.octets)
    kind = _RECEIVER_REPORT if sent is None else _SENDER_REPORT
    text = name.encode()[:255]
    chunk = struct.pack("!IBB", source, _CNAME, len(text)) + text
    chunk += bytes(4 - len(chunk) % 4)  # at least one zero ends the list of items
    return _part(kind, len(heard), struct.pack("!I", source) + own + blocks) + _part(_DESCRIPTION, 1, chunk)


def _parts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, count and body of each packet of a compound one."""
    place = 0
    while len(data) - place >= _HEADER_BYTES and data[place] >> 6 == 2:
        size = 4 * (int.from_bytes(data[place + 2 : place + 4], "big") + 1)
        yield data[place + 1], data[place] & 0x1F, data[place + _HEADER_BYTES : place + size]
        place += size


def _blocks(body: bytes, count: int, at_ns: int) -> tuple[ReceptionReport, ...]:
    found: list[ReceptionReport] = []
    for number in range(min(count, len(body) // _BLOCK.size)):
        source, loss, highest, jitter, _, _ = _BLOCK.unpack_from(body, number * _BLOCK.size)
        lost = loss & 0xFF_FFFF
        found.append(
            ReceptionReport(
                at_ns=at_ns,
                source=source,
                lost=lost - (1 << _LOST_BITS) if lost >> (_LOST_BITS - 1) else lost,
                highest_sequence=highest,
                fraction_lost=(loss >> _LOST_BITS) / 256,
                jitter_ticks=jitter,
            )
        )
    return tuple(found)


def _part(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", _VERSION | count, kind, len(body) // 4) + body
