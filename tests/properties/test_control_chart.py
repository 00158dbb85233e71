"""The control chart against theory: how often it cries wolf over stationary values, and how soon it sees a shift."""

import random  # noqa: TID251 - seeded, and gauss

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.pipeline.control_chart import BASELINE_POINTS, IN_A_ROW, Baseline, ChartRule, baseline, signals

KNOWN = Baseline(centre=0.0, sd=1.0)
FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def points_to_alarm(chance: random.Random, shift: float) -> int:
    """Points until the first signal, the one that raises it included."""
    values: list[float] = []
    while True:
        values += [chance.gauss(shift, 1.0) for _ in range(16 + len(values))]
        found = signals(values, KNOWN)
        if found:
            return found[0].at + 1


def test_over_stationary_values_a_false_alarm_comes_as_seldom_as_theory_says() -> None:
    chance = random.Random(20260101)
    runs = 1500
    mean = sum(points_to_alarm(chance, 0.0) for _ in range(runs)) / runs
    # 152.7 on average; a run length is nearly geometric, so the mean of 1500 has a standard error of 3.9
    assert 152.7 - 4 * 3.95 < mean < 152.7 + 4 * 3.95


def test_a_shift_of_three_standard_deviations_is_seen_within_two_points_on_average_and_never_late() -> None:
    chance = random.Random(7)
    took = [points_to_alarm(chance, 3.0) for _ in range(2000)]
    # Beyond 3 sd lies every second point of a process that has shifted by 3 sd: two points on average (sd 1.41)
    assert sum(took) / len(took) == pytest.approx(2.0, abs=4 * 1.41 / 2000**0.5)
    assert max(took) <= 2 * IN_A_ROW


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(-1e3, 1e3), st.floats(0.01, 1e3))
def test_a_shift_of_three_deviations_of_an_estimated_baseline_is_seen_within_eight_points(
    seed: int, centre: float, sd: float
) -> None:
    chance = random.Random(seed)
    known = baseline([chance.gauss(centre, sd) for _ in range(BASELINE_POINTS)])
    assert known is not None
    shifted = [known.centre + 3.0 * known.sd * chance.uniform(0.5, 1.5) for _ in range(IN_A_ROW)]
    assert signals(shifted, known)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, min_size=BASELINE_POINTS, max_size=60), st.floats(0.1, 10), st.floats(-100, 100))
def test_another_scale_and_origin_change_no_limit_but_by_them(values: list[float], scale: float, move: float) -> None:
    known, moved = baseline(values), baseline([scale * value + move for value in values])
    assert known is not None
    assert moved is not None
    assert moved.centre == pytest.approx(scale * known.centre + move, rel=1e-6, abs=1e-3)
    assert moved.sd == pytest.approx(scale * known.sd, rel=1e-6, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, max_size=BASELINE_POINTS - 1))
def test_there_is_no_baseline_before_twenty_points(values: list[float]) -> None:
    assert baseline(values) is None


def test_eight_in_a_row_are_told_at_the_eighth_and_once() -> None:
    found = signals([0.1] * 15, KNOWN)
    assert [(one.at, one.rule) for one in found] == [(7, ChartRule.ROW)]
    assert signals([*[0.1] * 7, -0.1, *[0.1] * 7], KNOWN) == ()


def test_values_that_never_varied_are_in_control_and_the_first_that_does_is_not() -> None:
    known = baseline([0.1 + 0.2] * BASELINE_POINTS)
    assert known is not None
    assert signals([0.3] * 30, known) == ()
    assert [one.rule for one in signals([0.3, 0.4], known)] == [ChartRule.BEYOND]
