"""DTMF digits as RTP events (RFC 4733): found in received packets, and built for sending. Pure."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from agents.instruments.rtp import TICKS_PER_FRAME, Outgoing, RtpPacket
from agents.instruments.rtp_analysis import in_sequence

DIGITS = "0123456789*#ABCD"
"""Events 0 to 15 (RFC 4733, 3.2)."""

_PAYLOAD = struct.Struct("!BBH")
_END = 0x80
PACKET_MS = 20.0
_VOLUME_DB = 10


@dataclass(frozen=True, kw_only=True)
class KeyEvent:
    """One key as it was sent: its digit, packets, and how it ended.

    ``duration_ticks`` is the longest duration told, in ticks of the RTP clock; ``end_packets`` counts those with the
    end bit; ``timestamp_constant`` says that every packet told the same start (RFC 4733, 2.2.1).
    ``duration_error_ms`` is by how much the duration told grew otherwise than time did between the first packet and
    the first with the end bit, beyond the one packet by which both may be late; None where no end came.
    """

    digit: str
    started_ns: int
    packets: int
    end_packets: int
    duration_ticks: int
    timestamp_constant: bool
    duration_error_ms: float | None


def key_events(packets: Sequence[RtpPacket], payload_type: int) -> tuple[KeyEvent, ...]:
    """The keys in the packets of one source, in the order sent; repeated end packets are one key.

    A new key begins with another event code, with another time stamp after the end bit, and with another time stamp
    under a marker; a time stamp that moves otherwise is a fault within the key.
    """
    groups: list[list[tuple[RtpPacket, int, bool, int]]] = []
    for packet in in_sequence(packets):
        if packet.payload_type != payload_type or len(packet.payload) < _PAYLOAD.size:
            continue
        code, flags, duration = _PAYLOAD.unpack_from(packet.payload)
        if code >= len(DIGITS):  # other events than digits, such as flash (16)
            continue
        read = (packet, code, bool(flags & _END), duration)
        if not groups or _begins_key(groups[-1], read):
            groups.append([])
        groups[-1].append(read)
    return tuple(_summed_up(group) for group in groups)


def digit_packets(digits: str, payload_type: int, *, frames_per_key: int = 5, end_packets: int = 3) -> list[Outgoing]:
    """The packets that send these digits, one for each 20 ms, growing in duration and ended as RFC 4733, 2.5.1 asks."""
    packets: list[Outgoing] = []
    for digit in digits:
        for index in range(frames_per_key + end_packets - 1):
            length = min(index + 1, frames_per_key)
            ended = index >= frames_per_key - 1
            packets.append(
                Outgoing(
                    payload_type=payload_type,
                    marker=index == 0,
                    payload=_PAYLOAD.pack(
                        DIGITS.index(digit), (_END if ended else 0) | _VOLUME_DB, length * TICKS_PER_FRAME
                    ),
                    ticks_before=index * TICKS_PER_FRAME,
                )
            )
    return packets


def _begins_key(group: list[tuple[RtpPacket, int, bool, int]], read: tuple[RtpPacket, int, bool, int]) -> bool:
    packet, code, _, _ = read
    last, last_code, _, _ = group[-1]
    ended = any(end for _, _, end, _ in group)
    return code != last_code or (packet.timestamp != last.timestamp and (ended or packet.marker))


def _summed_up(group: list[tuple[RtpPacket, int, bool, int]]) -> KeyEvent:
    return KeyEvent(
        digit=DIGITS[group[0][1]],
        started_ns=group[0][0].at_ns,
        packets=len(group),
        end_packets=sum(end for _, _, end, _ in group),
        duration_ticks=max(duration for _, _, _, duration in group),
        timestamp_constant=len({packet.timestamp for packet, _, _, _ in group}) == 1,
        duration_error_ms=_duration_error_ms(group),
    )


def _duration_error_ms(group: list[tuple[RtpPacket, int, bool, int]]) -> float | None:
    """Of the told duration against the times of arrival; the clock of events is 8000 Hz here (RFC 4733, 2.5.1.2)."""
    first, _, _, first_ticks = group[0]
    ended = next(((packet, ticks) for packet, _, end, ticks in group if end), None)
    if ended is None:
        return None
    packet, ticks = ended
    return max(0.0, abs((ticks - first_ticks) / 8 - (packet.at_ns - first.at_ns) / 1e6) - PACKET_MS)
