"""Requirements that no procedure measures never pass; optional ones are reported and decide nothing."""

from typing import Any

import small_programme as small
from hypothesis import given
from hypothesis import strategies as st

from lab_inventory.programme import Programme
from orchestrator.lifecycle.verdict import Judgement, LevelVerdict, Verdict
from orchestrator.pipeline.judge import judge, undecided
from orchestrator.pipeline.plan import plan


def changed(number: int, **change: Any) -> Programme:
    """The small programme with one requirement changed; a case that it leaves behind is left out."""
    data = small.SMALL.model_dump(mode="json", exclude_none=True)
    requirement = data["requirements"][number] | change
    data["requirements"][number] = requirement
    asked = {one.get("case") for one in data["requirements"]}
    data["suites"][0]["cases"] = [case for case in data["suites"][0]["cases"] if case["id"] in asked]
    return Programme.model_validate(data)


MANUAL = changed(1, case="", instructions="Weigh it.")
OPTIONAL = changed(1, kind="optional")


def judged(programme: Programme, *attempts: small.Attempt) -> Judgement:
    return judge(small.view(*attempts, against=programme), programme)


def levels(judgement: Judgement) -> dict[str, LevelVerdict]:
    return {level.level: level for level in judgement.levels}


def test_a_manual_requirement_is_not_run_says_why_and_keeps_every_level_from_being_met() -> None:
    judgement = judged(MANUAL, small.attempt(1, *small.all_well()))
    assert judgement.earned is None
    for name, level in levels(judgement).items():
        verdict = small.requirement(judgement, "R-2", name)
        assert verdict.verdict is Verdict.NOT_RUN
        assert verdict.words == "is manual: no procedure measures it, and nobody was asked to; Weigh it."
        assert not level.met
        assert level.words.endswith("not passed: R-2")


def test_a_manual_requirement_is_no_reason_for_another_attempt() -> None:
    view = small.view(small.attempt(1, *small.all_well()), against=MANUAL)
    assert undecided(view, MANUAL) == ()
    (planned,) = plan(small.content(), MANUAL)
    assert planned.cases == ("TC-1", "TC-3")


def test_a_manual_requirement_that_a_level_does_not_ask_for_does_not_apply_there() -> None:
    checks = [small.SMALL.requirements[1].checks[1].model_dump(mode="json", exclude_none=True)]
    programme = changed(1, case="", instructions="Weigh it.", checks=checks)
    judgement = judged(programme, small.attempt(1, *small.all_well()))
    assert judgement.earned == "works-with"


@given(st.lists(st.sampled_from(sorted(small.REPEATS)), max_size=3), st.booleans())
def test_whatever_a_run_reports_a_manual_requirement_never_passes(left_out: list[str], twice: bool) -> None:
    attempts = [small.attempt(n, *small.all_well(leave_out=left_out)) for n in range(1, 3 if twice else 2)]
    judgement = judged(MANUAL, *attempts)
    assert judgement.earned is None
    for name, level in levels(judgement).items():
        assert not level.met
        assert small.requirement(judgement, "R-2", name).verdict is Verdict.NOT_RUN


def test_an_optional_requirement_that_fails_is_reported_and_keeps_no_level_back() -> None:
    judgement = judged(OPTIONAL, small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=9.0))))
    assert judgement.earned == "certified"
    verdict = small.requirement(judgement, "R-2", "certified")
    assert (verdict.verdict, verdict.optional) == (Verdict.FAIL, True)
    assert levels(judgement)["certified"].verdict is Verdict.PASS
    assert levels(judgement)["certified"].words == "Certified: met; 2 of 2 requirements pass"


def test_optional_requirements_alone_meet_no_level() -> None:
    data = small.SMALL.model_dump(mode="json", exclude_none=True)
    for requirement in data["requirements"]:
        requirement["kind"] = "optional"
    judgement = judged(Programme.model_validate(data), small.attempt(1, *small.all_well()))
    assert judgement.earned is None


def test_a_judgement_without_optional_requirements_is_written_as_before() -> None:
    assert "optional" not in judged(small.SMALL, small.attempt(1, *small.all_well())).model_dump_json()
