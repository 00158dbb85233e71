"""RTCP as far as it tells what the far side hears: reception reports (RFC 3550, 6.4). Pure."""

import struct
from dataclasses import dataclass

_SENDER_REPORT, _RECEIVER_REPORT = 200, 201
_BLOCKS_AT = {_SENDER_REPORT: 28, _RECEIVER_REPORT: 8}
_BLOCK = struct.Struct("!IIIIII")
_HEADER_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceptionReport:
    """What the far side says of one source it hears.

    ``at_ns``: when the report came (ns of CLOCK_BOOTTIME); ``highest_sequence`` with its count of cycles, 32 bits.
    """

    at_ns: int
    source: int
    lost: int
    highest_sequence: int


def reception_reports(data: bytes, at_ns: int) -> tuple[ReceptionReport, ...]:
    """The report blocks of one compound packet; what cannot be read ends it (RFC 3550, 6.1)."""
    found: list[ReceptionReport] = []
    place = 0
    while len(data) - place >= _HEADER_BYTES and data[place] >> 6 == 2:
        size = 4 * (int.from_bytes(data[place + 2 : place + 4], "big") + 1)
        packet = data[place : place + size]
        first = _BLOCKS_AT.get(packet[1])
        if first is not None:
            for number in range(packet[0] & 0x1F):
                block = packet[first + number * _BLOCK.size : first + (number + 1) * _BLOCK.size]
                if len(block) < _BLOCK.size:
                    break
                source, loss, highest, *_ = _BLOCK.unpack(block)
                found.append(
                    ReceptionReport(at_ns=at_ns, source=source, lost=loss & 0xFF_FFFF, highest_sequence=highest)
                )
        place += size
    return tuple(found)
