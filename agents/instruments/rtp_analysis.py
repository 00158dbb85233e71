"""What a stream of RTP packets says about its sender: pace, loss, jitter, order, time stamps, markers. Pure.

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


def loss_bursts(packets: Sequence[RtpPacket]) -> tuple[int, ...]:
    """How many packets of one source are missing in a row, for each place where some are; over all payload types."""
    came = sorted(set(extended_sequence(packets)))
    return tuple(after - before - 1 for before, after in pairwise(came) if after - before > 1)


def in_sequence(packets: Sequence[RtpPacket]) -> tuple[RtpPacket, ...]:
    """The packets of one source in the order they were sent, duplicates left out."""
    by_number: dict[int, RtpPacket] = {}
    for number, packet in zip(extended_sequence(packets), packets, strict=True):
        by_number.setdefault(number, packet)
    return tuple(by_number[number] for number in sorted(by_number))


def payloads(packets: Sequence[RtpPacket], payload_type: int) -> tuple[bytes, ...]:
    """The payloads of one payload type in the order they were sent."""
    return tuple(packet.payload for packet in in_sequence(packets) if packet.payload_type == payload_type)


def jitter_ticks(packets: Sequence[RtpPacket], payload_type: int, *, clock_hz: int = 8000) -> tuple[float, ...]:
    """The interarrival jitter after each packet of this payload type but the first, in ticks (RFC 3550, 6.4.1)."""
    estimates: list[float] = []
    jitter = 0.0
    chosen = [packet for packet in packets if packet.payload_type == payload_type]
    for before, after in pairwise(chosen):
        sent = _signed(after.timestamp - before.timestamp, 32)
        jitter += (abs((after.at_ns - before.at_ns) * clock_hz / 1e9 - sent) - jitter) / 16
        estimates.append(jitter)
    return tuple(estimates)


def longest_gap_ms(packets: Sequence[RtpPacket], since_ns: int, until_ns: int) -> float:
    """The longest time in a window in which nothing came at all, in ms; before the first and after the last counts."""
    times = [since_ns, *(packet.at_ns for packet in packets if since_ns <= packet.at_ns < until_ns), until_ns]
    return max(after - before for before, after in pairwise(times)) / 1e6


def disorder(packets: Sequence[RtpPacket]) -> tuple[int, int]:
    """How many packets of one source came after one with a higher number, and how many numbers came again."""
    numbers = extended_sequence(packets)
    highest, late = None, 0
    for number in dict.fromkeys(numbers):
        late += highest is not None and number < highest
        highest = number if highest is None else max(highest, number)
    return late, len(numbers) - len(set(numbers))


def timestamp_faults(packets: Sequence[RtpPacket], payload_type: int) -> tuple[str, ...]:
    """Each wrong step of the time stamp between two packets of this type that follow each other, in words.

    One octet is one tick in PCMU, PCMA and G.722 (RFC 3551, 4.5), so that a packet is as many ticks long as it has
    octets; at the begin of a talk spurt, which the marker tells, time may have passed.
    """
    faults: list[str] = []
    for before, after in _neighbours(packets, payload_type):
        step, due = _signed(after.timestamp - before.timestamp, 32), len(before.payload)
        if step != due and not (after.marker and step > due):
            faults.append(f"{step} ticks after {due} octets")
    return tuple(faults)


def misplaced_markers(packets: Sequence[RtpPacket], payload_type: int) -> int:
    """Markers on packets of this type before which no time passed in silence (RFC 3551, 4.1)."""
    return sum(
        after.marker and _signed(after.timestamp - before.timestamp, 32) == len(before.payload)
        for before, after in _neighbours(packets, payload_type)
    )


def _neighbours(packets: Sequence[RtpPacket], payload_type: int) -> list[tuple[RtpPacket, RtpPacket]]:
    """Pairs of packets of one type with nothing missing and nothing else between them, in the order sent."""
    return [
        (before, after)
        for before, after in pairwise(in_sequence(packets))
        if before.payload_type == after.payload_type == payload_type
        and (after.sequence - before.sequence) & 0xFFFF == 1
    ]


def _signed(difference: int, bits: int) -> int:
    """A difference of counters that wrap, as the nearer of both ways."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
