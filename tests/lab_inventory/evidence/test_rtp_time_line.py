"""The time line of RTP: lateness, losses, keys and marks as they were built into the packets."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from lab_inventory.evidence.rtp_time_line import TimeLine, read_rtp_packets, time_lines
from lab_inventory.evidence.rtp_time_line_svg import in_words, rtp_time_line_svg


def packet(number: int, *, late_ms: float = 0, **otherwise: Any) -> dict[str, Any]:
    at_ns = 5_000_000_000 + round((20 * number + late_ms) * 1e6)
    made = {
        "call": "c",
        "at_ns": at_ns,
        "payload_type": 0,
        "sequence": (65_530 + number) & 0xFFFF,
        "timestamp": (4_294_966_000 + 160 * number) & 0xFFFF_FFFF,
        "ssrc": 7,
        "dscp": 46,
        "encoding": "PCMU",
    }
    return made | otherwise


def line_of(packets: list[dict[str, Any]]) -> TimeLine:
    read = read_rtp_packets("".join(json.dumps(one) + "\n" for one in packets).encode())
    assert read.unreadable == 0
    (found,) = time_lines(read.lines)
    return found


def test_lateness_is_counted_from_the_soonest_packet_over_every_wrap() -> None:
    found = line_of([packet(number, late_ms=30 if number == 20 else 5) for number in range(40)])

    assert [late for _, late in found.lateness] == pytest.approx([25 if n == 20 else 0 for n in range(40)], abs=1e-3)
    assert found.lost == ()


def test_packets_that_never_came_are_lost_and_late_ones_are_not() -> None:
    order = [0, 1, 2, 4, 3, 5, 9, 10]

    found = line_of([packet(number) for number in order])

    assert [(mark.at_s, mark.words) for mark in found.lost] == [(pytest.approx(0.18), "3 lost")]


def test_keys_changed_marks_and_new_time_stamps_are_marked() -> None:
    event = {"payload_type": 101, "encoding": "TELEPHONE-EVENT", "event": 5, "timestamp": 999}
    packets = [packet(0), packet(1), *[packet(number, **event) for number in (2, 3, 4)]]
    packets += [packet(number, dscp=0) for number in (5, 6)]
    packets += [packet(number, dscp=0, timestamp=3_000_000 + 160 * number) for number in (7, 8)]

    found = line_of(packets)

    assert [(mark.at_s, mark.words) for mark in found.keys] == [(0.04, "5")]
    assert [mark.words for mark in found.dscp] == ["DSCP 46", "DSCP 0"]
    assert [mark.at_s for mark in found.restarts] == [0.14]
    assert [late for _, late in found.lateness] == pytest.approx([0] * 6)
    drawn = rtp_time_line_svg(found, in_words(found), alone=True)
    assert {"5", "DSCP 46", "DSCP 0"} <= {one.text for one in ElementTree.fromstring(drawn).iter()}  # noqa: S314


def test_the_picture_of_an_hour_is_no_larger_than_that_of_a_minute() -> None:
    hour = line_of([packet(number, late_ms=number % 7) for number in range(100_000)])

    assert len(rtp_time_line_svg(hour, "an hour")) < 40_000


def test_a_line_that_is_no_packet_is_counted_and_passed_over() -> None:
    wrong = [{"call": "c"}, packet(0, clock_hz=0), packet(0, encoding=4), {"call": "c", "sent": 4}]

    read = read_rtp_packets("".join(json.dumps(one) + "\n" for one in wrong).encode())

    assert (read.lines, read.unreadable) == ((), 3)
