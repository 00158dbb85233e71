"""How much of a window a host lost because nothing on it was woken."""

import pytest

from agents.instruments.host_pace import standstill_share
from agents.instruments.wakeups import TICK_NS


def late(*ms: float) -> list[int]:
    return [int(value * 1e6) for value in ms]


def test_a_host_that_wakes_in_time_lost_nothing() -> None:
    assert standstill_share(late(*[0.1] * 1000)) == 0.0
    assert standstill_share([]) == 0.0


def test_wake_ups_that_are_only_late_are_a_matter_of_schedule_and_lose_nothing() -> None:
    assert standstill_share(late(*[0.1, 15.0, 0.2, 12.0] * 100)) == 0.0


def test_a_pause_counts_once_however_long_it_takes_to_catch_up() -> None:
    caught_up = [200.0 - 4 * tick for tick in range(50)]
    share = standstill_share(late(*[0.0] * 450, *caught_up, *[0.0] * 500))
    assert share == pytest.approx(200e6 / (1000 * TICK_NS))


def test_every_pause_counts() -> None:
    share = standstill_share(late(0.0, 100.0, 0.0, 100.0, 0.0))
    assert share == pytest.approx(200e6 / (5 * TICK_NS))
