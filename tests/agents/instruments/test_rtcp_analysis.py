"""RTCP read, built, and held against what was sent and left out."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.rtcp import ReceptionReport, Report, SenderInfo, build_report, reports
from agents.instruments.rtcp_analysis import count_differences, intervals_s, loss_errors_percent
from agents.instruments.rtp import RtpPacket

SECOND_NS = 1_000_000_000


def block(highest: int, fraction: float) -> ReceptionReport:
    return ReceptionReport(at_ns=0, source=1, lost=0, highest_sequence=highest, fraction_lost=fraction)


def sender_report(at_s: float, packets: int, *, source: int = 7) -> Report:
    sent = SenderInfo(ntp=0, timestamp=0, packets=packets, octets=0)
    return Report(at_ns=round(at_s * SECOND_NS), source=source, sent=sent, heard=())


def packets(number: int) -> list[RtpPacket]:
    return [
        RtpPacket(
            at_ns=index * 20_000_000,
            payload_type=0,
            marker=False,
            sequence=index,
            timestamp=160 * index,
            ssrc=7,
            payload=b"",
        )
        for index in range(number)
    ]


@given(
    source=st.integers(0, 0xFFFF_FFFF),
    lost=st.integers(-0x80_0000, 0x7F_FFFF),
    share=st.integers(0, 255),
    highest=st.integers(0, 0xFFFF_FFFF),
    jitter=st.integers(0, 0xFFFF_FFFF),
    name=st.text(max_size=40),
    sends=st.booleans(),
)
def test_what_is_built_is_read_again(
    source: int, lost: int, share: int, highest: int, jitter: int, name: str, sends: bool
) -> None:
    heard = ReceptionReport(
        at_ns=3, source=9, lost=lost, highest_sequence=highest, fraction_lost=share / 256, jitter_ticks=jitter
    )
    sent = SenderInfo(ntp=1 << 63, timestamp=5, packets=6, octets=7) if sends else None
    built = build_report(source, sent=sent, heard=(heard,), name=name)
    assert len(built) % 4 == 0
    assert reports(built, 3) == (Report(at_ns=3, source=source, sent=sent, heard=(heard,)),)


def test_a_report_that_ends_before_its_blocks_gives_those_that_are_whole() -> None:
    whole = build_report(1, sent=None, heard=(block(5, 0.5),), name="x")
    cut = struct.pack("!BBH", 0x82, 201, 7) + whole[4:32]  # two blocks are told, and one is there
    (read,) = reports(cut, 0)
    assert [found.highest_sequence for found in read.heard] == [5]


def test_intervals_are_between_compound_packets() -> None:
    assert intervals_s([sender_report(1, 0), sender_report(1, 0), sender_report(3.5, 0)]) == (2.5,)


def test_a_count_is_held_against_what_had_come_by_then() -> None:
    came = packets(100)  # the fiftieth at 0.98 s
    assert count_differences([sender_report(0.99, 50), sender_report(1.99, 106)], came) == (0, 6)
    assert count_differences([sender_report(0.99, 50, source=8)], came) == (50,)


def test_the_share_of_each_report_is_of_the_packets_since_the_one_before() -> None:
    left_out = range(65_509, 65_536, 10)  # 65509, 65519, 65529: over the wrap there is none
    right = [block(65_519, 2 / 20), block(0x1_0003, 1 / 20)]
    assert loss_errors_percent(right, first_sent=65_500, left_out=left_out) == pytest.approx((0, 0))
    untold = [block(65_519, 0.0), block(0x1_0003, 0.0)]
    assert loss_errors_percent(untold, first_sent=65_500, left_out=left_out) == pytest.approx((10, 5))


def test_a_report_with_nothing_new_since_the_one_before_tells_no_share() -> None:
    assert loss_errors_percent([block(19, 0.0), block(19, 0.0)], first_sent=0, left_out=()) == (0.0,)
