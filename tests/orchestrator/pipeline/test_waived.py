"""A waiver takes one requirement out of what a level hangs on, and leaves every verdict as it is."""

from datetime import datetime, timedelta

import pytest
import small_programme as small
from waivers_by_hand import LATER, PRODUCT, TODAY, scope, waiver

from lab_inventory.messages import CaseEnded
from orchestrator.lifecycle.verdict import Flag, Judgement, LevelVerdict, Verdict
from orchestrator.lifecycle.waiver import WaiverScope, WaiverState, WaiverView
from orchestrator.pipeline.certify import waived_up_to
from orchestrator.pipeline.judge import criteria, judge, undecided
from orchestrator.pipeline.rejudge import Impact, rejudge
from orchestrator.pipeline.waived import covering, waived_in

LOUD = small.ended("TC-2", gain_db=2.0)
"""Inside the limit of works-with, outside that of certified."""
TOO_LOUD = small.ended("TC-2", gain_db=9.0)


def judged(*waivers: WaiverView, of: CaseEnded = TOO_LOUD, now: datetime = small.NOW) -> Judgement:
    view = small.view(small.attempt(1, *small.all_well(of)))
    return judge(view, small.SMALL, covering(waivers, view, small.SMALL, now))


def level(judgement: Judgement, name: str) -> LevelVerdict:
    return next(one for one in judgement.levels if one.level == name)


def test_a_waived_fail_stays_a_fail_and_its_level_is_met_by_waivers() -> None:
    judgement = judged(waiver())
    verdict = small.requirement(judgement, "R-2", "works-with")
    assert (verdict.verdict, verdict.flags) == (Verdict.FAIL, (Flag.WAIVED,))
    assert verdict.waiver is not None
    assert (verdict.waiver.waiver, verdict.waiver.author, verdict.waiver.approver) == ("wai-1", "ann", "dan")
    assert f"waived by wai-1 until {LATER}: fixed in spring (asked for by ann, approved by dan)" in verdict.words
    assert "gain_db" in verdict.words
    works_with = level(judgement, "works-with")
    assert (works_with.met, works_with.verdict) == (True, Verdict.FAIL)
    assert works_with.words == (
        f"Works with: met by waivers; 2 of 3 requirements pass; waived: R-2 (fail, wai-1 until {LATER})"
    )
    assert not level(judgement, "certified").met
    assert judgement.earned == "works-with"


def test_without_a_waiver_a_judgement_is_written_as_it_always_was() -> None:
    assert "waive" not in judged().model_dump_json()


def test_a_level_that_is_not_met_all_the_same_says_what_is_waived() -> None:
    view = small.view(small.attempt(1, *small.all_well(TOO_LOUD, small.ended("TC-3", digits=False))))
    judgement = judge(view, small.SMALL, covering([waiver()], view, small.SMALL, small.NOW))
    words = level(judgement, "works-with").words
    assert words.startswith("Works with: not met; 1 of 3 requirements pass; waived: R-2 (fail")
    assert words.endswith("not passed: R-3")


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(small.not_measured("TC-2"), id="error"),
        pytest.param(small.ended("TC-2", gain_db=small.measured("lost", 0)), id="inconclusive"),
    ],
)
def test_what_cannot_be_judged_may_be_waived_and_is_measured_again_all_the_same(spoilt: CaseEnded) -> None:
    view = small.view(small.attempt(1, *small.all_well(spoilt)))
    waived = covering([waiver()], view, small.SMALL, small.NOW)
    assert level(judge(view, small.SMALL, waived), "works-with").met
    assert undecided(view, small.SMALL) == ("TC-2",)


def test_a_pass_that_is_unstable_or_too_near_to_its_limit_is_waived_like_a_fail() -> None:
    near = small.ended("TC-2", gain_db=0.95)
    assert not level(judged(of=near), "certified").met
    by = waiver(scope("R-2", "certified"))
    verdict = small.requirement(judged(by, of=near), "R-2", "certified")
    assert (verdict.verdict, verdict.flags) == (Verdict.PASS, (Flag.WAIVED, Flag.MARGINAL))
    assert judged(by, of=near).earned == "certified"
    view = small.view(small.attempt(1, *small.all_well(TOO_LOUD)), small.attempt(2, *small.all_well()))
    assert judge(view, small.SMALL).earned is None
    both = covering([waiver(scope("R-2", "works-with", "certified"))], view, small.SMALL, small.NOW)
    assert judge(view, small.SMALL, both).earned == "certified"


@pytest.mark.parametrize(
    "other",
    [
        scope("R-1"),
        scope("R-2", "certified"),
        scope(version="1.1"),
        scope(programme="other"),
        scope(product=PRODUCT.model_copy(update={"maker": "Bcme"})),
        scope(product=PRODUCT.model_copy(update={"model": "Two"})),
        scope(product=PRODUCT.model_copy(update={"hardware_revision": "B"})),
        scope(submission="sub-2"),
    ],
    ids=lambda of: of.words,
)
def test_a_waiver_for_anything_else_changes_nothing(other: WaiverScope) -> None:
    assert level(judged(waiver(other)), "works-with") == level(judged(), "works-with")


@pytest.mark.parametrize("state", sorted(set(WaiverState) - {WaiverState.APPROVED}))
def test_a_waiver_that_is_not_in_force_changes_nothing(state: WaiverState) -> None:
    assert judged(waiver(state=state)) == judged()


def test_a_waiver_counts_to_the_end_of_its_last_day_and_not_a_moment_longer() -> None:
    by = waiver(ends_on=TODAY)
    end = datetime.combine(TODAY + timedelta(days=1), datetime.min.time(), small.NOW.tzinfo)
    assert level(judged(by, now=end - timedelta(microseconds=1)), "works-with").met
    assert judged(by, now=end) == judged()


def test_what_passes_and_what_does_not_apply_is_not_waived() -> None:
    assert judged(waiver(), of=LOUD) == judged(of=LOUD)
    view = small.view(small.attempt(1, *small.all_well()), of=small.content(dtmf=False))
    by = covering([waiver(scope("R-3"))], view, small.SMALL, small.NOW)
    assert judge(view, small.SMALL, by) == judge(view, small.SMALL)


def test_a_waiver_for_one_submission_is_for_that_one() -> None:
    assert judged(waiver(scope(submission="sub-1"))).earned == "works-with"


def test_of_two_waivers_the_one_that_ends_later_is_named_whatever_their_order() -> None:
    sooner, later = waiver(name="wai-1", ends_on=TODAY), waiver(name="wai-2")
    assert judged(sooner, later) == judged(later, sooner)
    verdict = small.requirement(judged(sooner, later), "R-2", "works-with")
    assert verdict.waiver is not None
    assert verdict.waiver.waiver == "wai-2"


def test_a_probation_knows_no_waivers() -> None:
    view = small.view(small.attempt(1, TOO_LOUD), against=small.PROBATION)
    assert covering([waiver(scope(programme="small-probation"))], view, small.PROBATION, small.NOW) == {}


def test_a_criterion_is_met_by_a_waiver_as_its_level_is() -> None:
    (standard,) = criteria(level(judged(waiver()), "works-with"), small.SMALL)
    assert (standard.met, standard.verdict) == (True, Verdict.FAIL)


def test_what_a_level_was_granted_without_is_listed_up_to_it() -> None:
    judgement = judged(waiver(scope("R-2", "works-with", "certified")))
    assert [(one.level, one.requirement, one.verdict) for one in waived_up_to("certified", judgement)] == [
        ("works-with", "R-2", Verdict.FAIL),
        ("certified", "R-2", Verdict.FAIL),
    ]
    assert [one.level for one in waived_up_to("works-with", judgement)] == ["works-with"]


def test_judging_again_rests_on_the_waivers_of_the_judgement_and_another_version_on_none() -> None:
    view = small.view(small.attempt(1, *small.all_well(TOO_LOUD)))
    was = judged(waiver())
    assert judge(view, small.SMALL, waived_in(was)) == was
    again = rejudge(view, small.SMALL, was)
    assert (again.impact, again.differences) == (Impact.UNCHANGED, ())
    newer = small.programme(version="1.1")
    lost = rejudge(view, small.SMALL, was, newer)
    assert (lost.impact, lost.earned_after) == (Impact.FAILS, None)
    assert "not met: R-2" in lost.words
