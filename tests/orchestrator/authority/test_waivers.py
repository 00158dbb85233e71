"""What stands against asking for a waiver and against approving one: all at once, each by its place or its rule."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import small_programme as small
from waivers_by_hand import LATER, TODAY, scope, waiver

from lab_inventory.programme import Kind, Purpose
from orchestrator.authority.impediments import Part, Rule
from orchestrator.authority.waivers import against_approving, against_proposing, last_end
from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.lifecycle.waiver import WaiverScope

VIEW = small.view(small.attempt(1, *small.all_well()))


def places(of: WaiverScope, ends_on: date = LATER, **change: Any) -> list[str]:
    given: dict[str, Any] = {"programme": small.SMALL, "view": None} | change
    return [one.path for one in against_proposing(of, ends_on, today=TODAY, **given)]


def test_a_scope_that_says_everything_is_taken() -> None:
    assert places(scope("R-2", "works-with", "certified")) == []
    assert places(scope(submission="sub-1"), view=VIEW) == []


def test_every_mistake_is_named_at_once() -> None:
    assert places(scope("R-9", "all", "certified"), TODAY - timedelta(days=1)) == ["requirement", "levels.0", "ends_on"]


@pytest.mark.parametrize(
    ("ends_on", "wrong"), [(TODAY, []), (last_end(TODAY), []), (last_end(TODAY) + timedelta(1), ["ends_on"])]
)
def test_a_waiver_ends_within_a_year(ends_on: date, wrong: list[str]) -> None:
    assert places(scope(), ends_on) == wrong


def test_a_year_from_the_day_that_is_not_in_every_year_is_a_day_that_there_is() -> None:
    assert last_end(date(2028, 2, 29)) == date(2029, 2, 28)
    assert last_end(date(2026, 11, 26)) == date(2027, 11, 26)


def test_what_no_level_hangs_on_needs_no_waiver() -> None:
    optional = small.SMALL.requirements[1].model_copy(update={"kind": Kind.OPTIONAL})
    first, _, third = small.SMALL.requirements
    of = small.programme(requirements=[one.model_dump(mode="json") for one in (first, optional, third)])
    assert places(scope(), programme=of) == ["requirement"]
    certified_only = [check for check in small.SMALL.requirements[1].checks if "works-with" not in check.limits]
    second = small.SMALL.requirements[1].model_copy(update={"checks": tuple(certified_only)})
    of = small.programme(requirements=[one.model_dump(mode="json") for one in (first, second, third)])
    assert places(scope(), programme=of) == ["levels.0"]


def test_a_probation_is_not_waived() -> None:
    assert small.PROBATION.purpose is Purpose.PROBATION
    assert "programme" in places(scope(programme="small-probation"), programme=small.PROBATION)


def test_a_submission_that_is_judged_or_under_another_programme_is_not_waived() -> None:
    judged = replace(VIEW, state=SubmissionState.JUDGED)
    assert places(scope(submission="sub-1"), view=judged) == ["submission"]
    assert places(scope(submission="sub-1"), view=replace(VIEW, programme_digest="sha256:" + "0" * 64)) == ["programme"]


def rules(by: str = "dan", now: datetime = small.NOW, **change: Any) -> list[Rule]:
    given: dict[str, Any] = {
        "parts": (Part(person="opal", did="queued the batch bat-1"),),
        "vendors": {"Acme"},
        "of": (),
    }
    return [one.rule for one in against_approving(waiver(), by, now=now, **(given | change))]


def test_another_person_who_took_no_part_may_approve() -> None:
    assert rules() == []


def test_each_reason_against_an_approver_has_its_rule_and_all_are_said_at_once() -> None:
    assert rules("ann") == [Rule.APPROVER_IS_AUTHOR]
    assert rules("opal") == [Rule.APPROVER_TOOK_PART]
    assert rules(of=(" ACME",)) == [Rule.APPROVER_TOOK_PART]
    assert rules(of=("Other",)) == []
    over = datetime.combine(LATER + timedelta(days=1), datetime.min.time(), small.NOW.tzinfo)
    assert rules(now=over) == [Rule.WAIVER_OVER]
    did = (Part(person="ann", did="held the batch bat-1"),)
    assert rules("ann", over, parts=did) == [
        Rule.APPROVER_IS_AUTHOR,
        Rule.APPROVER_TOOK_PART,
        Rule.WAIVER_OVER,
    ]
