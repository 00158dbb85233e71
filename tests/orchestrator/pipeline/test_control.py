"""The charts of a bench from its control runs: which points they have, when they begin anew, and what is a drift."""

from datetime import timedelta

from lab_inventory.clock import ManualClock
from lab_inventory.measurement import Measurement, Unit, Value
from lab_inventory.messages import CaseEnded, CaseStatus
from orchestrator.lifecycle.control import DriftState
from orchestrator.pipeline.control import Chart, ControlRun, DriftView, charts, drifts_found
from orchestrator.pipeline.control_chart import BASELINE_POINTS, ChartRule
from orchestrator.web.chart_svg import chart_svg

CLOCK = ManualClock()
NOW = CLOCK.now()
QUIET = [100.0, 102.0] * (BASELINE_POINTS // 2)
NAME = "CC-1 ringing_ms"


def measured(value: Value | None, unit: Unit = Unit.MILLISECOND, quantity: str = "ringing_ms") -> Measurement:
    return Measurement(quantity=quantity, unit=unit, value=value, instrument="sip")


def run(number: int, *measurements: Measurement, status: CaseStatus = CaseStatus.MEASURED) -> ControlRun:
    """One run an hour; each measurement is of a repeat of its own."""
    return ControlRun(
        run=f"run-{number}",
        at=NOW + timedelta(hours=number),
        ended=tuple(
            CaseEnded(case="CC-1", repeat=repeat, status=status, measurements=(one,), duration_s=1)
            for repeat, one in enumerate(measurements, 1)
        ),
    )


def runs(values: list[float]) -> list[ControlRun]:
    return [run(number, measured(value)) for number, value in enumerate(values)]


def drift(state: DriftState, hour: float = 0.0, *, anew: bool = False) -> DriftView:
    at = None if state is DriftState.OPEN else NOW + timedelta(hours=hour)
    return DriftView(
        drift="dft-1",
        bench="b",
        chart=NAME,
        run="run-20",
        words="",
        state=state,
        found_at=NOW,
        explained_at=at,
        anew=anew,
    )


def chart(values: list[float], *drifts: DriftView) -> Chart:
    (found,) = charts(runs(values), drifts)
    return found


def found(of: Chart, *drifts: DriftView) -> list[str]:
    return [one.run for one in drifts_found("b", [of], drifts, NOW, CLOCK.new_id)]


def test_a_point_is_the_mean_of_its_repeats_and_what_was_seen_or_counted_or_spoilt_is_none() -> None:
    of_one = run(0, measured(100.0), measured(110.0), measured(None), measured(True, Unit.BOOL, "seen"))
    counted = run(1, measured(3, Unit.COUNT, "lost"))
    spoilt = run(2, measured(900.0), status=CaseStatus.ERROR)
    (only,) = charts([of_one, counted, spoilt], ())
    assert (only.name, [point.value for point in only.points], only.known) == (NAME, [105.0], None)


def test_a_point_beyond_the_limits_is_one_drift_until_it_is_explained() -> None:
    out = chart([*QUIET, 130.0, 131.0])
    assert [(one.at, one.rule) for one in out.found] == [(20, ChartRule.BEYOND), (21, ChartRule.BEYOND)]
    assert found(out) == ["run-20"]
    assert found(out, drift(DriftState.OPEN)) == []
    (told,) = drifts_found("b", [out], (), NOW, CLOCK.new_id)
    assert told.words.startswith(f"{NAME} on b was 130 ms in run-20: beyond three standard deviations (")


def test_what_was_there_when_a_drift_was_explained_is_not_told_again_and_what_comes_after_is() -> None:
    explained = drift(DriftState.EXPLAINED, 21.5)
    assert chart([*QUIET, 130.0, 131.0], explained).found == ()
    assert found(chart([*QUIET, 130.0, 131.0, 132.0], explained), explained) == ["run-22"]


def test_a_row_of_eight_is_not_carried_over_an_explanation() -> None:
    explained = drift(DriftState.EXPLAINED, 26.5)
    assert chart([*QUIET, *[101.5] * 7, 101.5], explained).found == ()
    assert [one.rule for one in chart([*QUIET, *[101.5] * 8]).found] == [ChartRule.ROW]


def test_a_chart_that_begins_anew_has_no_limits_before_twenty_points_of_its_own() -> None:
    anew = drift(DriftState.EXPLAINED, 20.5, anew=True)
    before = chart([*QUIET, 130.0, 131.0, 130.0], anew)
    assert (len(before.points), before.known) == (2, None)
    after = chart([*QUIET, 130.0, *[131.0, 130.0] * 10, 145.0], anew)
    assert [point.run for point in (after.points[one.at] for one in after.found)] == ["run-41"]


def test_the_picture_has_a_dot_for_each_value_and_range_and_marks_what_is_out_of_control() -> None:
    many = chart([*QUIET * 25, 130.0])
    picture = chart_svg(many)
    assert picture.count("<circle") == len(many.points) + len(many.points) - 1 == 1001
    assert picture.count('r="3.4"') == 1
    assert 'aria-label="501 points, 1 out of control"' in picture
    assert chart_svg(chart([100.0])).count("<circle") == 1
