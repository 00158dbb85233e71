"""Whether what a phone reports by RTCP agrees with what was seen and done on the wire (RFC 3550, 6.2 and 6.4). Pure."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import pairwise

from agents.instruments.rtcp import ReceptionReport, Report
from agents.instruments.rtp import RtpPacket


def intervals_s(reports: Sequence[Report]) -> tuple[float, ...]:
    """The times between reports of one source, in s; the reports of one compound packet count as one."""
    times = sorted({report.at_ns for report in reports})
    return tuple((after - before) / 1e9 for before, after in pairwise(times))


def count_differences(reports: Sequence[Report], packets: Sequence[RtpPacket]) -> tuple[int, ...]:
    """For each sender report: the packets it says were sent, less those that had come from its source by then."""
    found: list[int] = []
    for report in reports:
        if report.sent is not None:
            times = sorted(packet.at_ns for packet in packets if packet.ssrc == report.source)
            found.append(report.sent.packets - bisect_right(times, report.at_ns))
    return tuple(found)


def loss_errors_percent(
    blocks: Sequence[ReceptionReport], *, first_sent: int, left_out: Collection[int]
) -> tuple[float, ...]:
    """By how much each reported fraction is another than the share of packets that were left out, in percent points.

    ``blocks`` are of one source, in the order they came; each is of the packets since the block before, the first of
    those since ``first_sent`` (A.3). Sequence numbers have 16 bits; between two blocks lie fewer than 2^15.
    """
    errors: list[float] = []
    before = (first_sent - 1) & 0xFFFF
    missing = sorted((number - first_sent) & 0xFFFF for number in left_out)
    for block in blocks:
        highest = block.highest_sequence & 0xFFFF
        expected = (highest - before) & 0xFFFF
        if not 0 < expected < 1 << 15:  # nothing new since, so that there is no fraction to tell
            continue
        from_, to = (before + 1 - first_sent) & 0xFFFF, (highest - first_sent) & 0xFFFF
        lost = sum(from_ <= number <= to for number in missing)
        errors.append(abs(block.fraction_lost - lost / expected) * 100)
        before = highest
    return tuple(errors)
