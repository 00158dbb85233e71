"""The days of a programme: not before it is available, not after it was withdrawn, and warned between."""

from datetime import datetime
from typing import Any

import pytest
import small_lab
import small_programme as small

from lab_inventory.clock import ManualClock
from lab_inventory.ics import holds
from lab_inventory.programme import Programme
from lab_inventory.programme_terms import Lifecycle, LifecycleState
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.batch import BatchAccepted
from orchestrator.lifecycle.prompt import PromptOpened
from orchestrator.pipeline.plan import plan
from orchestrator.pipeline.submit import Accepted, BatchRequest, Refused, submit

DATES = {
    "available_from": "2026-03-01",
    "mandatory_from": "2026-04-01",
    "deprecated_from": "2027-03-01",
    "withdrawn_from": "2028-03-01",
}


def at(day: str, *programmes: Programme, **asked: Any) -> Accepted | Refused:
    fields: dict[str, Any] = {"title": "a batch", "programme": "small", "submissions": (small.content(),)}
    request = BatchRequest.model_validate(fields | asked)
    now = datetime.fromisoformat(day)
    return submit(request, programmes, frozenset({small_lab.key()}), "operator", now, ManualClock().new_id)


def refusal(got: Accepted | Refused) -> str:
    assert isinstance(got, Refused)
    (problem,) = got.problems
    assert problem.path == "programme"
    return problem.wrong


DATED = small.programme(lifecycle=DATES)


def test_a_programme_is_refused_before_it_is_available_and_after_it_was_withdrawn_with_the_day() -> None:
    assert refusal(at("2026-02-28T23:59:59Z", DATED)) == "small 1.0 is not available before 2026-03-01"
    assert isinstance(at("2026-03-01T00:00:00Z", DATED), Accepted)
    assert isinstance(at("2028-02-28T23:59:59Z", DATED), Accepted)
    assert refusal(at("2028-03-01T00:00:00Z", DATED)) == "small 1.0 was withdrawn on 2028-03-01"


def test_days_are_those_of_utc() -> None:
    assert isinstance(at("2026-02-28T20:00:00-05:00", DATED), Accepted)
    assert isinstance(at("2026-03-01T01:00:00+05:00", DATED), Refused)


def test_a_deprecated_programme_is_taken_with_a_warning() -> None:
    before, after = at("2027-02-28T12:00:00Z", DATED), at("2027-03-01T12:00:00Z", DATED)
    assert isinstance(before, Accepted)
    assert before.warnings == ()
    assert isinstance(after, Accepted)
    assert after.warnings == ("small 1.0 is deprecated since 2027-03-01, and taken until 2028-03-01",)


def test_the_newest_version_that_is_available_is_taken_where_none_is_named() -> None:
    newer = small.programme(version="2.0", lifecycle={"available_from": "2026-06-01"})
    versions = {}
    for day in ("2026-05-31T12:00:00Z", "2026-06-01T12:00:00Z"):
        got = at(day, small.SMALL, newer)
        assert isinstance(got, Accepted)
        versions[day[:10]] = got.facts[0].programme_version  # type: ignore[attr-defined]
    assert versions == {"2026-05-31": "1.0", "2026-06-01": "2.0"}


def test_an_older_version_is_not_taken_any_more_once_a_newer_one_is_mandatory() -> None:
    newer = small.programme(version="2.0", lifecycle={"available_from": "2026-06-01", "mandatory_from": "2026-09-01"})
    assert isinstance(at("2026-08-31T12:00:00Z", small.SMALL, newer, programme_version="1.0"), Accepted)
    wrong = refusal(at("2026-09-01T12:00:00Z", small.SMALL, newer, programme_version="1.0"))
    assert wrong == "small 1.0 is not taken since 2026-09-01"


@pytest.mark.parametrize(
    ("day", "state"),
    [
        ("2026-02-28", LifecycleState.ANNOUNCED),
        ("2026-03-01", LifecycleState.AVAILABLE),
        ("2026-04-01", LifecycleState.MANDATORY),
        ("2027-03-01", LifecycleState.DEPRECATED),
        ("2028-03-01", LifecycleState.WITHDRAWN),
    ],
)
def test_a_version_stands_where_its_days_say(day: str, state: LifecycleState) -> None:
    assert Lifecycle.model_validate(DATES).on(datetime.fromisoformat(day).date()) is state


def by_hand(**change: str) -> Programme:
    data = small.SMALL.model_dump(mode="json", exclude_none=True)
    asked = [one | {"case": "", "instructions": "Look."} | change for one in data["requirements"]]
    return Programme.model_validate(data | {"suites": [], "requirements": asked})


def test_a_profile_that_is_manual_throughout_opens_a_prompt_for_each_requirement_and_no_run() -> None:
    got = at("2026-03-01T00:00:00Z", by_hand())
    assert isinstance(got, Accepted)
    batch, *prompts = got.facts
    assert isinstance(batch, BatchAccepted)
    assert [(one.requirement, one.submission) for one in prompts if isinstance(one, PromptOpened)] == [
        (requirement.id, batch.submissions[0].submission) for requirement in small.SMALL.requirements
    ]


def test_where_nothing_applies_that_a_run_or_a_person_could_measure_it_is_refused() -> None:
    programme = by_hand(kind="conditional", condition="dtmf")
    got = at("2026-03-01T00:00:00Z", programme, submissions=(small.content(dtmf=False),))
    assert isinstance(got, Refused)
    (problem,) = got.problems
    assert (problem.path, problem.wrong) == ("submissions[0].ics", "no test case applies to it")


PHONE = next(one for one in shipped_programmes() if one.id == "skype-for-business.ip-phone")
FEATURES = {feature.id: False for feature in PHONE.proforma.features}


@pytest.mark.parametrize("profile", ["digital", "full"])
def test_a_batch_under_the_shipped_phone_programme_is_planned(profile: str) -> None:
    declared = FEATURES | {"audio": "wideband", "codec.g722": True, "codec.pcmu": True, "codec.pcma": True}
    content = small.content(profile=profile).model_copy(update={"ics": declared})
    got = at("2026-11-01T00:00:00Z", *shipped_programmes(), programme=PHONE.id, submissions=(content,))
    assert isinstance(got, Accepted)
    planned = {one.suite: one for one in plan(content, PHONE)}
    signalling = planned["signalling-and-media"]
    asked = {
        one.case
        for one in PHONE.requirements
        if profile in one.profiles and (one.condition is None or holds(one.condition, declared))
    }
    expected = [case for case in PHONE.suites[0].cases if case.id in asked]
    assert signalling.cases == tuple(case.id for case in expected)
    assert signalling.duration_s == pytest.approx(sum(case.duration_s * case.repeats for case in expected))
    assert [suite for suite, one in planned.items() if one.needs] == ["interoperability"] * (profile == "full")
