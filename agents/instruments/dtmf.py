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
_VOLUME_DB_MAX = 36
_Read = tuple[RtpPacket, int, bool, int]
"""A packet, its event's code, whether it ends it, and the duration it tells."""


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
    return tuple(_summed_up(group) for group in _keys(packets, payload_type))


def event_faults(packets: Sequence[RtpPacket], payload_type: int) -> tuple[str, ...]:
    """Each field of the keys in these packets that is not as RFC 4733 has it, in words.

    The reserved bit is zero (2.3.3); the volume is that of a tone, 0 to 36, and stays (2.3.4); the marker is on the
    first packet of a key and on no other (2.5.1.1); the duration never shrinks, and is the same in all packets that end
    the key (2.5.1.3 and 4). Where the first packet of a key was lost, its marker is not missed.
    """
    came = {packet.sequence for packet in packets}
    return tuple(fault for key in _keys(packets, payload_type) for fault in _faults_of(key, came))


def _faults_of(key: list[_Read], came: set[int]) -> list[str]:
    digit, first = DIGITS[key[0][1]], key[0][0]
    flags = [packet.payload[1] for packet, _, _, _ in key]
    durations = [duration for _, _, _, duration in key]
    ends = {duration for _, _, end, duration in key if end}
    volumes = {flag & 0x3F for flag in flags}
    found = {
        "the reserved bit is set": any(flag & 0x40 for flag in flags),
        f"a volume of -{max(volumes)} dBm0": max(volumes) > _VOLUME_DB_MAX,
        "the volume changes": len(volumes) > 1,
        "no marker on its first packet": not first.marker and (first.sequence - 1) & 0xFFFF in came,
        "a marker on a later packet": any(packet.marker for packet, _, _, _ in key[1:]),
        "the duration shrinks": durations != sorted(durations),
        "its ends differ in duration": len(ends) > 1,
        "more or less than four octets": any(len(packet.payload) != _PAYLOAD.size for packet, _, _, _ in key),
    }
    return [f"{digit}: {fault}" for fault, is_there in found.items() if is_there]


def _keys(packets: Sequence[RtpPacket], payload_type: int) -> list[list[_Read]]:
    groups: list[list[_Read]] = []
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
    return groups


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


def _begins_key(group: list[_Read], read: _Read) -> bool:
    packet, code, _, _ = read
    last, last_code, _, _ = group[-1]
    ended = any(end for _, _, end, _ in group)
    return code != last_code or (packet.timestamp != last.timestamp and (ended or packet.marker))


def _summed_up(group: list[_Read]) -> KeyEvent:
    return KeyEvent(
        digit=DIGITS[group[0][1]],
        started_ns=group[0][0].at_ns,
        packets=len(group),
        end_packets=sum(end for _, _, end, _ in group),
        duration_ticks=max(duration for _, _, _, duration in group),
        timestamp_constant=len({packet.timestamp for packet, _, _, _ in group}) == 1,
        duration_error_ms=_duration_error_ms(group),
    )


def _duration_error_ms(group: list[_Read]) -> float | None:
    """Of the told duration against the times of arrival; the clock of events is 8000 Hz here (RFC 4733, 2.5.1.2)."""
    first, _, _, first_ticks = group[0]
    ended = next(((packet, ticks) for packet, _, end, ticks in group if end), None)
    if ended is None:
        return None
    packet, ticks = ended
    return max(0.0, abs((ticks - first_ticks) / 8 - (packet.at_ns - first.at_ns) / 1e6) - PACKET_MS)
