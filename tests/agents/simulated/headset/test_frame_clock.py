"""The elastic bus clock, with times given by hand."""

import pytest

from agents.simulated.headset.frame_clock import FrameClock

SPEAKER, MIC = 0x01, 0x82


def test_frames_are_milliseconds_while_nobody_streams() -> None:
    clock = FrameClock(10.0)
    assert clock.frame(10.5) == pytest.approx(500)
    assert clock.stretch_ms == 0


def test_transfers_of_one_endpoint_follow_each_other_without_a_gap() -> None:
    clock = FrameClock(0.0)
    assert [clock.queue(MIC, 8, 0.0005) for _ in range(3)] == [3, 11, 19]


def test_the_clock_stands_still_where_an_endpoint_has_nothing_queued() -> None:
    clock = FrameClock(0.0)
    start = clock.queue(MIC, 8, 0.0)
    assert clock.frame(0.050) == start + 8
    assert clock.stretch_ms == pytest.approx(50 - (start + 8))
    assert clock.queue(MIC, 8, 0.060) == start + 8
    assert clock.frame(0.064) == pytest.approx(start + 8 + 4)


def test_one_standstill_is_counted_once_however_often_it_is_looked_at() -> None:
    clock = FrameClock(0.0)
    clock.queue(MIC, 8, 0.0)
    for ms in range(20, 60):
        clock.frame(ms / 1000)
    assert clock.stops == 1
    assert clock.stretch_ms == pytest.approx(59 - 10)


def test_the_slower_of_two_endpoints_holds_both() -> None:
    clock = FrameClock(0.0)
    clock.queue(SPEAKER, 8, 0.0)
    clock.queue(MIC, 100, 0.0)
    assert clock.frame(0.050) == 10
    clock.stop(SPEAKER, 0.050)
    assert clock.frame(0.060) == pytest.approx(20)


def test_an_endpoint_that_its_host_forgot_holds_nobody_for_ever() -> None:
    clock = FrameClock(0.0)
    clock.queue(SPEAKER, 8, 0.0)
    for ms in range(20, 2_100):
        clock.frame(ms / 1000)
    assert clock.forgotten == 1
    assert clock.frame(2.2) > 100
