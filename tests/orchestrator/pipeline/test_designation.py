"""Designations beside a level: earned by their own requirements, and never without the level."""

import pytest

from lab_inventory.programme_terms import Designation
from orchestrator.lifecycle.verdict import Flag, RequirementVerdict, Verdict
from orchestrator.pipeline.designation import designate

WIRELESS = Designation(
    id="wireless", title="Wireless", statement="It works without its dongle.", requirements=("A", "B")
)


def of(name: str, verdict: Verdict = Verdict.PASS, *flags: Flag) -> RequirementVerdict:
    fields = {"requirement": name, "title": name, "criterion": "quality", "words": "said", "level": "certified"}
    return RequirementVerdict.model_validate(fields | {"verdict": verdict, "flags": flags, "optional": True})


def words(*verdicts: RequirementVerdict, met: bool = True, counts_marginal: bool = False) -> list[tuple[bool, str]]:
    found = designate([WIRELESS], verdicts, met=met, counts_marginal=counts_marginal)
    return [(one.earned, one.words) for one in found]


def test_it_is_earned_where_all_of_it_passes_and_the_level_is_met() -> None:
    assert words(of("A"), of("B")) == [(True, "Wireless: earned. It works without its dongle.")]


def test_it_is_not_earned_without_the_level() -> None:
    assert words(of("A"), of("B"), met=False) == [(False, "Wireless: not earned; the level is not met")]


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PASS])
def test_whatever_is_no_pass_does_not_count(verdict: Verdict) -> None:
    assert words(of("A"), of("B", verdict)) == [(False, "Wireless: not earned; does not count: B")]


@pytest.mark.parametrize("flag", [Flag.UNSTABLE, Flag.MARGINAL])
def test_a_pass_that_is_unstable_or_too_near_does_not_count(flag: Flag) -> None:
    assert words(of("A"), of("B", Verdict.PASS, flag)) == [(False, "Wireless: not earned; does not count: B")]


def test_a_pass_that_is_near_counts_where_the_level_counts_it() -> None:
    assert words(of("A"), of("B", Verdict.PASS, Flag.MARGINAL), counts_marginal=True)[0][0]


def test_a_fail_that_is_waived_for_the_level_earns_no_designation() -> None:
    assert not words(of("A"), of("B", Verdict.FAIL, Flag.WAIVED))[0][0]


def test_a_requirement_that_the_profile_does_not_have_does_not_count() -> None:
    assert words(of("A")) == [(False, "Wireless: not earned; does not count: B")]


def test_of_a_designation_of_which_nothing_was_asked_nothing_is_said() -> None:
    assert words(of("A", Verdict.NOT_APPLICABLE), of("B", Verdict.NOT_APPLICABLE)) == []
    assert words() == []
