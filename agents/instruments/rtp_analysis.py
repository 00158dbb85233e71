"""What a stream of RTP packets says about its sender: pace, loss, when it fell silent. Pure.

Takes packets with the kernel's times, gives numbers; times in ns of CLOCK_BOOTTIME, intervals in ms.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

from agents.instruments.rtp import RtpPacket


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Intervals between packets of one payload type: how many, mean, standard deviation, longest; in ms."""

    intervals: int
    mean_ms: float
    sd_ms: float
    gap_ms_max: float


def main_source(packets: Sequence[RtpPacket]) -> tuple[RtpPacket, ...]:
    """The packets of the synchronisation source that sent most; empty for none."""
    if not packets:
        return ()
    ((ssrc, _),) = Counter(packet.ssrc for packet in packets).most_common(1)
    return tuple(packet for packet in packets if packet.ssrc == ssrc)


def pace(packets: Sequence[RtpPacket], payload_type: int) -> Pace | None:
    """The pace of the packets of this payload type in order of arrival; None for fewer than three packets."""
    times = [packet.at_ns for packet in packets if packet.payload_type == payload_type]
    if len(times) < 3:
        return None
    intervals_ms = [(after - before) / 1e6 for before, after in pairwise(times)]
    return Pace(
        intervals=len(intervals_ms),
        mean_ms=fmean(intervals_ms),
        sd_ms=stdev(intervals_ms),
        gap_ms_max=max(intervals_ms),
    )


def extended_sequence(packets: Sequence[RtpPacket]) -> tuple[int, ...]:
    """Sequence numbers carried on over 65,535, in order of arrival (RFC 3550, A.1); the first as it is."""
    numbers: list[int] = []
    for packet in packets:
        last = numbers[-1] if numbers else packet.sequence
        numbers.append(last + ((packet.sequence - last + 0x8000) & 0xFFFF) - 0x8000)
    return tuple(numbers)


def missing(packets: Sequence[RtpPacket]) -> int:
    """Packets of one source that never came, over all its payload types: events use sequence numbers too."""
    numbers = extended_sequence(packets)
    if not numbers:
        return 0
    return max(numbers) - min(numbers) + 1 - len(set(numbers))


def in_sequence(packets: Sequence[RtpPacket]) -> tuple[RtpPacket, ...]:
    """The packets of one source in the order they were sent, duplicates left out."""
    by_number: dict[int, RtpPacket] = {}
    for number, packet in zip(extended_sequence(packets), packets, strict=True):
        by_number.setdefault(number, packet)
    return tuple(by_number[number] for number in sorted(by_number))


def payloads(packets: Sequence[RtpPacket], payload_type: int) -> tuple[bytes, ...]:
    """The payloads of one payload type in the order they were sent."""
    return tuple(packet.payload for packet in in_sequence(packets) if packet.payload_type == payload_type)
