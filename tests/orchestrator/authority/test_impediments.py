"""The rules on dossiers made by hand: each prevents what it is for, nothing else, and all are said at once."""

from dataclasses import replace
from typing import Any

import pytest
import small_programme as small
from waivers_by_hand import scope, waiver

from orchestrator.authority.impediments import (
    EXPECTED,
    Damage,
    Dossier,
    Part,
    Rule,
    against_deciding,
    against_recommending,
    against_reviewing,
)
from orchestrator.authority.review import (
    MACHINE,
    WAITS_IN,
    Entry,
    QuestionAnswered,
    QuestionAsked,
    Recommended,
    ReviewState,
    ReviewView,
)
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.waiver import WaiverState
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.waived import covering

GRANTING = small.programme(demonstration=False)
ASKED = QuestionAsked(submission="sub-1", entry="que-1", by="ruth", words="Which?", at=small.NOW)
ANSWERED = QuestionAnswered(submission="sub-1", entry="ans-1", by="acme", words="That.", question="que-1", at=small.NOW)
RECOMMENDED = Recommended(submission="sub-1", entry="rec-1", by="rita", words="Well.", level="certified", at=small.NOW)


def review(state: ReviewState = ReviewState.RECOMMENDED, *entries: Entry) -> ReviewView:
    return ReviewView(
        submission="sub-1",
        state=state,
        judgement_digest="sha256:" + "0" * 64,
        opened_at=small.NOW,
        decision=None,
        entries=entries or (RECOMMENDED,),
    )


def dossier(**change: Any) -> Dossier:
    """One that nothing speaks against: opal queued it, rita recommends, and all was measured well."""
    view = change.pop("view", None) or small.view(small.attempt(1, *small.all_well()), against=GRANTING)
    fields: dict[str, Any] = {
        "review": review(),
        "view": view,
        "judgement": judge(view, GRANTING),
        "programme": GRANTING,
        "parts": (Part(person="opal", did="queued the batch bat-1"),),
        "vendors": {},
        "damages": (),
        "withdrawn": False,
    }
    return Dossier(**(fields | change))


def rules(made: Dossier, person: str = "dora", level: str | None = "certified") -> list[Rule]:
    return [one.rule for one in against_deciding(made, person, level)]


def test_nothing_speaks_against_what_is_as_it_should_be() -> None:
    for level in ("certified", "works-with", None):
        assert against_deciding(dossier(), "dora", level) == ()
    assert against_recommending(dossier(review=review(ReviewState.OPEN)), "rita", "certified") == ()


ABOUT_PEOPLE = (
    ({"review": review(ReviewState.OPEN, ASKED, ANSWERED)}, [Rule.NO_RECOMMENDATION]),
    ({"review": review(ReviewState.ASKED, ASKED)}, [Rule.NO_RECOMMENDATION, Rule.OPEN_QUESTIONS]),
    ({"review": review(ReviewState.RETURNED)}, [Rule.REVIEW_ENDED, Rule.NO_RECOMMENDATION]),
    ({"review": review(ReviewState.DECIDED)}, [Rule.REVIEW_ENDED]),
    ({"parts": (Part(person="dora", did="held the batch bat-1"),)}, [Rule.DECIDER_TOOK_PART]),
    ({"parts": (Part(person="rita", did="held the batch bat-1"),)}, [Rule.REVIEWER_TOOK_PART]),
    ({"vendors": {"dora": frozenset({"ACME"})}}, [Rule.DECIDER_TOOK_PART]),
    ({"vendors": {"rita": frozenset({" acme "})}}, [Rule.REVIEWER_TOOK_PART]),
    ({"review": review(ReviewState.RECOMMENDED, ASKED.model_copy(update={"by": "dora"}), ANSWERED, RECOMMENDED)},
     [Rule.DECIDER_TOOK_PART]),
    ({"review": review(ReviewState.RECOMMENDED, ASKED, ANSWERED.model_copy(update={"by": "dora"}), RECOMMENDED)},
     [Rule.DECIDER_TOOK_PART]),
    ({"review": review(ReviewState.RECOMMENDED, ASKED, ANSWERED.model_copy(update={"by": "rita"}), RECOMMENDED)},
     [Rule.REVIEWER_TOOK_PART]),
)  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), ABOUT_PEOPLE)
def test_what_is_wrong_with_review_or_people_prevents_every_decision(
    change: dict[str, Any], expected: list[Rule]
) -> None:
    for level in ("certified", None):
        assert rules(dossier(**change), level=level) == expected


def with_run(**change: Any) -> Dossier:
    made = dossier()
    (run,) = made.view.runs
    return replace(made, view=replace(made.view, runs=(replace(run, **change),)))


def ended_late() -> Dossier:
    made = dossier()
    *before, end = made.view.reports
    late = end.report.model_copy(update={"body": end.report.body.model_copy(update={"within_deadline": False})})
    changed = replace(made.view, reports=(*before, replace(end, report=late)))
    return replace(made, view=changed, judgement=judge(changed, GRANTING))


ADDRESS = "sha256:" + "a" * 64
ABOUT_EVIDENCE = (
    (with_run(state=RunState.LAPSED), [Rule.RUN_LATE]),
    (with_run(quarantined=frozenset({(3, ADDRESS)})), [Rule.RUN_LATE]),
    (ended_late(), [Rule.RUN_LATE]),
    (dossier(damages=(Damage(address=ADDRESS, missing=True),)), [Rule.EVIDENCE_MISSING]),
    (dossier(damages=(Damage(address=ADDRESS, missing=False),)), [Rule.EVIDENCE_DAMAGED]),
    (replace(dossier(), view=small.view(small.attempt(1), against=GRANTING)), [Rule.EVIDENCE_NEWER]),
    (dossier(withdrawn=True), [Rule.PROGRAMME_WITHDRAWN]),
    (dossier(drifts=("the bench drifts",)), [Rule.BENCH_DRIFTS]),
)


@pytest.mark.parametrize(("made", "expected"), ABOUT_EVIDENCE)
def test_what_is_wrong_with_evidence_or_programme_prevents_a_grant_and_no_refusal(
    made: Dossier, expected: list[Rule]
) -> None:
    assert rules(made) == expected
    assert rules(made, level=None) == []


def test_a_run_that_was_not_judged_prevents_nothing() -> None:
    made = dossier()
    (run,) = made.view.runs
    lapsed = replace(run, run="run-2", state=RunState.LAPSED, quarantined=frozenset({(1, ADDRESS)}))
    assert rules(replace(made, view=replace(made.view, runs=(run, lapsed)))) == []


def test_only_levels_up_to_the_earned_one_are_granted() -> None:
    view = small.view(small.attempt(1, *small.all_well(small.ended("TC-2", lost=1))), against=GRANTING)
    assert rules(dossier(view=view)) == [Rule.LEVEL_NOT_EARNED]
    assert rules(dossier(view=view), level="works-with") == []
    nothing = small.view(small.attempt(1), against=GRANTING)
    (one,) = against_deciding(dossier(view=nothing), "dora", "works-with")
    assert one.words == "works-with was not earned; no level was"
    opened = dossier(view=nothing, review=review(ReviewState.OPEN, ASKED, ANSWERED))
    assert [one.rule for one in against_recommending(opened, "rita", "certified")] == [Rule.LEVEL_NOT_EARNED]
    assert against_recommending(opened, "rita", None) == ()


def test_all_that_somebody_did_stands_in_one_impediment() -> None:
    parts = tuple(Part(person="dora", did=did) for did in ("queued the batch bat-1", "held the batch bat-1"))
    (one,) = against_deciding(dossier(parts=parts, vendors={"dora": frozenset({"Acme"})}), "dora", None)
    assert one.words == "dora queued the batch bat-1, held the batch bat-1, is or was of the vendor Acme"


def test_a_reviewer_may_review_again_and_who_took_part_may_not_even_ask() -> None:
    assert against_reviewing(dossier(), "rita") == ()
    assert [one.rule for one in against_reviewing(dossier(), "opal")] == [Rule.REVIEWER_TOOK_PART]


def test_each_rule_says_what_it_asks_for_and_each_state_what_it_waits_for() -> None:
    assert set(EXPECTED) == set(Rule)
    assert set(WAITS_IN) == set(ReviewState)
    ends = {state for state in ReviewState if WAITS_IN[state] == "nothing"}
    assert ends == MACHINE.terminal


def waived(state: WaiverState = WaiverState.APPROVED, **change: Any) -> Dossier:
    """One whose level certified rests on a waiver, which stands so now."""
    view = small.view(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=2.0))), against=GRANTING)
    by = covering([waiver(scope("R-2", "certified"))], view, GRANTING, small.NOW)
    made = dossier(view=view, judgement=judge(view, GRANTING, by))
    return replace(made, **({"waivers": {"wai-1": waiver(scope("R-2", "certified"), state)}} | change))


def test_a_level_that_rests_on_a_waiver_in_force_may_be_granted() -> None:
    assert rules(waived()) == []


@pytest.mark.parametrize("state", sorted(set(WaiverState) - {WaiverState.APPROVED}))
def test_a_level_that_rests_on_a_waiver_that_ended_is_not_granted_and_the_level_below_is(state: WaiverState) -> None:
    assert rules(waived(state)) == [Rule.WAIVER_ENDED]
    assert rules(waived(state), level="works-with") == []
    assert rules(waived(state), level=None) == []
    assert rules(waived(waivers={})) == [Rule.WAIVER_ENDED]


def test_a_waiver_whose_approver_took_part_afterwards_carries_no_level() -> None:
    parts = (Part(person="dan", did="queued the batch bat-1"),)
    assert rules(waived(parts=parts)) == [Rule.WAIVER_APPROVER_TOOK_PART]
    assert rules(waived(parts=parts), level=None) == []


def test_who_asked_for_a_waiver_neither_reviews_nor_decides_what_rests_on_it() -> None:
    assert rules(waived(), person="ann") == [Rule.DECIDER_TOOK_PART]
    (found,) = against_reviewing(waived(), "ann")
    assert (found.rule, found.words) == (Rule.REVIEWER_TOOK_PART, "ann asked for the waiver wai-1")
