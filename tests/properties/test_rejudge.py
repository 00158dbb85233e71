"""What holds of judging again, whatever was measured."""

from dataclasses import replace

import small_programme as small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab_inventory.programme import Programme
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.pipeline.attempts import Distrust
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.rejudge import Impact, Rejudged, rejudge
from tests.properties.measured import submissions

fast = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Of = tuple[small.Attempt, ...]


def another_method(case: int) -> Programme:
    """A next version that measures one case otherwise."""
    suites = small.SMALL.model_dump(mode="json")["suites"]
    suites[0]["cases"][case]["method_version"] = 2
    return small.programme(version="2.0", suites=suites)


def again(view: SubmissionView, after: Programme | None = None, distrust: Distrust | None = None) -> Rejudged:
    return rejudge(view, small.SMALL, judge(view, small.SMALL), after, distrust)


@fast
@given(submissions(), st.booleans())
def test_by_the_same_version_everything_comes_out_as_it_was(of: Of, dtmf: bool) -> None:
    view = small.view(*of, of=small.content(dtmf=dtmf))
    was = judge(view, small.SMALL)
    for got in (again(view), again(view, small.programme(version="2.0")), again(view, None, Distrust(instrument="x"))):
        assert (got.impact, got.differences, got.again, got.measurements) == (Impact.UNCHANGED, (), (), 0)
        assert (got.earned_before, got.earned_after) == (was.earned, was.earned)
        assert [one.after for one in got.levels] == [level.met for level in was.levels]


@fast
@given(submissions(), st.integers(0, 2))
def test_what_was_measured_by_another_method_meets_no_level_that_asks_for_it(of: Of, case: int) -> None:
    got = again(small.view(*of), another_method(case))
    assert not any(level.after for level in got.levels)
    assert got.earned_after is None
    assert got.impact is not Impact.GAINS
    verdicts = {one.after for one in got.differences if one.requirement == f"R-{case + 1}"}
    assert verdicts <= {"not-run"}


@fast
@given(submissions(), st.data())
def test_order_and_repetition_play_no_part_in_judging_again(of: Of, data: st.DataObject) -> None:
    view = small.view(*of)
    again_sent = data.draw(st.lists(st.sampled_from(view.reports))) if view.reports else []
    reports = data.draw(st.permutations([*view.reports, *again_sent]))
    shuffled = replace(view, runs=tuple(data.draw(st.permutations(view.runs))), reports=tuple(reports))
    for after, distrust in ((another_method(1), None), (None, Distrust(instrument="sip"))):
        assert again(shuffled, after, distrust) == again(view, after, distrust)


@fast
@given(submissions())
def test_what_an_instrument_measured_that_is_left_out_neither_passes_nor_fails(of: Of) -> None:
    got = again(small.view(*of), None, Distrust(instrument="sip"))
    assert got.earned_after is None
    assert got.impact in (Impact.UNCHANGED, Impact.NOT_JUDGEABLE)
    assert not {one.after.partition(" ")[0] for one in got.differences} & {"pass", "fail"}
