"""From reports to verdicts, on a programme small enough to be judged by hand."""

from dataclasses import replace

import pytest
import small_programme as small

from lab_inventory.errors import InvariantBroken
from lab_inventory.messages import CaseStatus, Ended, RunOutcome
from lab_inventory.programme import Programme
from orchestrator.lifecycle.verdict import Flag, Judgement, LevelVerdict, Verdict
from orchestrator.pipeline.judge import criteria, judge, undecided


def judged(*attempts: small.Attempt, dtmf: bool = True) -> Judgement:
    return judge(small.view(*attempts, of=small.content(dtmf=dtmf)), small.SMALL)


def level(judgement: Judgement, name: str) -> LevelVerdict:
    return next(verdict for verdict in judgement.levels if verdict.level == name)


def test_a_device_that_meets_everything_earns_the_highest_level() -> None:
    judgement = judged(small.attempt(1, *small.all_well()))
    assert judgement.earned == "certified"
    assert level(judgement, "certified").words == "Certified: met; 3 of 3 requirements pass"


def test_a_value_between_the_limits_of_two_levels_earns_the_lower() -> None:
    judgement = judged(small.attempt(1, *small.all_well(small.ended("TC-1", 2, ringing_ms=700.0))))
    assert judgement.earned == "works-with"
    verdict = small.requirement(judgement, "R-1", "certified")
    assert verdict.verdict is Verdict.FAIL
    assert verdict.words == "ringing_ms was 700 ms ± 1; at most 500 ms is asked for (clause on ringing_ms)"


def test_the_worst_repeat_decides_and_is_quoted() -> None:
    repeats = [small.ended("TC-1", 1, ringing_ms=80.0), small.ended("TC-1", 2, ringing_ms=300.0)]
    judgement = judged(small.attempt(1, *small.all_well(*repeats)))
    grounds = small.requirement(judgement, "R-1", "certified").grounds[0]
    assert (grounds.value, grounds.repeat, grounds.run) == (300.0, 2, "run-1")


def test_of_two_fails_the_worse_is_quoted() -> None:
    repeats = [small.ended("TC-1", 1, ringing_ms=1600.0), small.ended("TC-1", 2, ringing_ms=None)]
    judgement = judged(small.attempt(1, *small.all_well(*repeats)))
    assert small.requirement(judgement, "R-1", "works-with").grounds[0].repeat == 2


def test_the_worst_check_decides_a_requirement() -> None:
    judgement = judged(small.attempt(1, *small.all_well(small.ended("TC-2", lost=1))))
    assert small.requirement(judgement, "R-2", "works-with").verdict is Verdict.PASS
    verdict = small.requirement(judgement, "R-2", "certified")
    assert verdict.verdict is Verdict.FAIL
    assert verdict.words == "lost was 1; at most 0 is asked for (clause on lost)"


def test_a_marginal_pass_counts_at_the_lower_level_and_never_at_the_certified_one() -> None:
    judgement = judged(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=0.95))))
    verdict = small.requirement(judgement, "R-2", "certified")
    assert (verdict.verdict, verdict.flags) == (Verdict.PASS, (Flag.MARGINAL,))
    assert judgement.earned == "works-with"
    assert "not shown to be inside the limit: R-2" in level(judgement, "certified").words


def non_binary(*levels: str) -> Programme:
    """The small programme with the non-binary rule at some levels."""
    fields = small.SMALL.model_dump(mode="json")["levels"]
    made = [{**one, "rule": "guard-band-non-binary" if one["id"] in levels else one["rule"]} for one in fields]
    return small.programme(levels=made)


def test_under_the_non_binary_rule_a_conditional_pass_counts_but_never_at_the_most_stringent_level() -> None:
    programme = non_binary("works-with", "certified")
    near = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=small.measured("gain_db", 0.9, uncertainty=3))))
    judgement = judge(small.view(near, against=programme), programme)
    assert [small.requirement(judgement, "R-2", at).flags for at in ("works-with", "certified")] == [
        (Flag.MARGINAL,)
    ] * 2
    assert judgement.earned == "works-with"
    assert level(judgement, "works-with").words.endswith(
        "passed conditionally, which counts at this level: R-2 (decision rule: guard band, non-binary)"
    )
    assert "not shown to be inside the limit: R-2 (decision rule" in level(judgement, "certified").words


def test_a_conditional_fail_meets_no_level_and_a_plain_one_is_quoted_before_it() -> None:
    programme = non_binary("works-with")
    mild = small.ended("TC-1", 1, ringing_ms=small.measured("ringing_ms", 1600.0, uncertainty=200.0))
    alone = judge(small.view(small.attempt(1, *small.all_well(mild)), against=programme), programme)
    verdict = small.requirement(alone, "R-1", "works-with")
    assert (verdict.verdict, verdict.flags, alone.earned) == (Verdict.FAIL, (Flag.CONDITIONAL,), None)
    plain = small.ended("TC-1", 2, ringing_ms=1502.0)
    both = judge(small.view(small.attempt(1, *small.all_well(mild, plain)), against=programme), programme)
    assert small.requirement(both, "R-1", "works-with").grounds[0].value == 1502.0


def test_each_criterion_has_a_verdict_of_its_own_derived_from_the_level() -> None:
    fields = [dict(r) for r in small.SMALL.model_dump(mode="json")["requirements"]]
    fields[1]["criterion"] = "quality"
    programme = small.programme(requirements=fields)
    near = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=0.95)))
    judgement = judge(small.view(near, against=programme), programme)
    standard, quality = criteria(level(judgement, "certified"), programme)
    assert (standard.criterion, standard.met, standard.words) == ("standard", True, "2 of 2 requirements pass")
    assert (quality.criterion, quality.met, quality.verdict) == ("quality", False, Verdict.PASS)
    assert "not shown to be inside the limit: R-2" in quality.words
    assert all(one.met for one in criteria(level(judgement, "works-with"), programme))


def test_a_fail_that_passes_in_a_later_attempt_is_an_unstable_pass_that_meets_no_level() -> None:
    first = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=5.0)))
    judgement = judged(first, small.attempt(2, *small.all_well()))
    verdict = small.requirement(judgement, "R-2", "works-with")
    assert (verdict.verdict, verdict.flags) == (Verdict.PASS, (Flag.UNSTABLE,))
    assert "but in attempt 1 gain_db was 5 dB" in verdict.words
    assert judgement.earned is None


def test_a_pass_that_fails_in_a_later_attempt_is_a_fail() -> None:
    later = small.attempt(2, *small.all_well(small.ended("TC-2", gain_db=5.0)))
    judgement = judged(small.attempt(1, *small.all_well()), later)
    assert small.requirement(judgement, "R-2", "works-with").verdict is Verdict.FAIL


def test_a_marginal_pass_is_not_repeated_away() -> None:
    first = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=0.95)))
    judgement = judged(first, small.attempt(2, *small.all_well()))
    assert small.requirement(judgement, "R-2", "certified").flags == (Flag.MARGINAL,)


def test_an_error_is_superseded_by_a_later_attempt_that_decides() -> None:
    first = small.attempt(1, *small.all_well(small.not_measured("TC-2", reason="driver gone")))
    assert small.requirement(judged(first), "R-2", "works-with").verdict is Verdict.ERROR
    judgement = judged(first, small.attempt(2, small.ended("TC-2"), cases=["TC-2"]))
    assert judgement.earned == "certified"


def test_an_error_does_not_hide_a_fail_in_the_same_attempt() -> None:
    mixed = [small.ended("TC-1", 1, answered=False), small.not_measured("TC-1", 2)]
    judgement = judged(small.attempt(1, *small.all_well(*mixed)))
    assert small.requirement(judgement, "R-1", "works-with").verdict is Verdict.FAIL


def test_an_error_after_a_pass_takes_nothing_back() -> None:
    later = small.attempt(2, small.not_measured("TC-2"), cases=["TC-2"])
    assert judged(small.attempt(1, *small.all_well()), later).earned == "certified"


def test_where_nothing_was_decided_the_last_attempt_that_tried_is_quoted() -> None:
    first = small.attempt(1, *small.all_well(small.not_measured("TC-2", reason="driver gone")))
    gone = Ended(outcome=RunOutcome.ERROR, reason="host lost", within_deadline=True)
    judgement = judged(first, small.attempt_of(2, gone, cases=["TC-2"]))
    assert "driver gone" in small.requirement(judgement, "R-2", "works-with").words


def test_a_repeat_that_is_missing_was_not_run_whatever_the_others_are_numbered() -> None:
    misnumbered = small.attempt(1, small.ended("TC-1", 1), small.ended("TC-1", 3), *small.all_well(leave_out=["TC-1"]))
    verdict = small.requirement(judged(misnumbered), "R-1", "works-with")
    assert verdict.verdict is Verdict.NOT_RUN
    assert "1 of 2 repeats not run" in verdict.words


def test_a_case_that_was_never_come_to_was_not_run_and_says_why() -> None:
    ended = Ended(outcome=RunOutcome.ERROR, reason="phone hung", within_deadline=True)
    judgement = judged(small.attempt_of(1, ended))
    assert {r.verdict for at in judgement.levels for r in at.requirements} == {Verdict.NOT_RUN}
    assert "phone hung" in small.requirement(judgement, "R-3", "certified").words


def test_a_measured_case_without_the_quantity_is_inconclusive() -> None:
    bare = small.ended("TC-3").model_copy(update={"measurements": ()})
    judgement = judged(small.attempt(1, *small.all_well(bare)))
    verdict = small.requirement(judgement, "R-3", "works-with")
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.words == "TC-3 did not measure digits"


def test_a_quantity_that_this_bench_cannot_measure_is_inconclusive_with_the_reason_for_it() -> None:
    why = "digits was not measured: with driver operator nobody knows when the key goes down"
    bare = small.ended("TC-3").model_copy(update={"measurements": (), "reason": why})
    judgement = judged(small.attempt(1, *small.all_well(bare)))
    verdict = small.requirement(judgement, "R-3", "certified")
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.words == f"TC-3 did not measure digits: {why}"


def test_of_two_measurements_of_a_quantity_the_worse_decides() -> None:
    twice = small.ended("TC-3")
    no = small.measured("digits", False)
    both = twice.model_copy(update={"measurements": (*twice.measurements, no)})
    judgement = judged(small.attempt(1, *small.all_well(both)))
    assert small.requirement(judgement, "R-3", "works-with").grounds[0].value is False


def test_a_bench_that_did_not_check_itself_measured_nothing() -> None:
    judgement = judged(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=9.0)), preamble=False))
    assert {r.verdict for at in judgement.levels for r in at.requirements} == {Verdict.ERROR}
    assert "the bench did not check itself" in small.requirement(judgement, "R-2", "works-with").words


def test_a_conditional_requirement_applies_only_where_it_is_declared() -> None:
    judgement = judged(small.attempt(1, *small.all_well(leave_out=["TC-3"])), dtmf=False)
    verdict = small.requirement(judgement, "R-3", "works-with")
    assert (verdict.verdict, verdict.words) == (Verdict.NOT_APPLICABLE, "applies only where the ICS declares dtmf")
    assert judgement.earned == "certified"


def test_what_a_level_does_not_ask_for_does_not_apply_at_it() -> None:
    only_certified = [dict(r) for r in small.SMALL.model_dump(mode="json")["requirements"]]
    del only_certified[2]["checks"][0]["limits"]["works-with"]
    programme = small.programme(requirements=only_certified)
    judgement = judge(small.view(small.attempt(1, *small.all_well()), against=programme), programme)
    verdict = small.requirement(judgement, "R-3", "works-with")
    assert (verdict.verdict, verdict.words) == (Verdict.NOT_APPLICABLE, "is not asked at the level Works with")


def test_a_profile_of_which_nothing_applies_earns_nothing() -> None:
    judgement = judge(small.view(small.attempt(1), of=small.content(profile="none")), small.SMALL)
    assert [at.verdict for at in judgement.levels] == [Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE]
    assert judgement.earned is None


def test_a_level_is_earned_only_if_the_one_below_is_met_too() -> None:
    fields = small.SMALL.model_dump(mode="json")
    levels, requirements = fields["levels"], fields["requirements"]
    levels[0]["rule"], levels[1]["rule"] = levels[1]["rule"], levels[0]["rule"]
    limits = requirements[1]["checks"][0]["limits"]
    limits["works-with"] = limits["certified"]
    programme = small.programme(levels=levels, requirements=requirements)
    near = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=0.95)))
    judgement = judge(small.view(near, against=programme), programme)
    assert [at.met for at in judgement.levels] == [False, True]
    assert judgement.earned is None


def test_another_programme_than_the_submission_is_bound_to_is_refused() -> None:
    view = small.view(small.attempt(1, *small.all_well()))
    with pytest.raises(InvariantBroken):
        judge(replace(view, programme_digest="sha256:" + "0" * 64), small.SMALL)


def test_a_judgement_survives_being_written_down() -> None:
    judgement = judged(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=0.95))))
    assert Judgement.model_validate_json(judgement.model_dump_json()) == judgement


def test_the_runs_of_a_judgement_are_those_whose_reports_were_judged_in_their_order() -> None:
    judgement = judged(small.attempt(2, *small.all_well()), small.attempt(1, *small.all_well()))
    assert judgement.runs == ("run-1", "run-2")


def test_undecided_are_the_cases_that_the_lab_spoilt_and_no_others() -> None:
    spoilt = small.not_measured("TC-1", 2, CaseStatus.NOT_RUN)
    first = small.attempt(1, *small.all_well(spoilt, small.ended("TC-2", gain_db=9.0)))
    assert undecided(small.view(first), small.SMALL) == ("TC-1",)


def test_a_designation_stands_beside_the_level_that_it_was_judged_at() -> None:
    beside = {"id": "swift", "title": "Swift", "statement": "It rings at once.", "requirements": ["R-1"]}
    programme = Programme.model_validate(small.SMALL.model_dump(mode="json") | {"designations": [beside]})
    slow = small.all_well(small.ended("TC-1", 2, ringing_ms=700.0))
    view = replace(small.view(small.attempt(1, *slow)), programme_digest=programme.digest)
    judgement = judge(view, programme)
    assert judgement.earned == "works-with"
    assert [one.words for one in level(judgement, "works-with").designations] == ["Swift: earned. It rings at once."]
    (at_the_top,) = level(judgement, "certified").designations
    assert at_the_top.words == "Swift: not earned; does not count: R-1; the level is not met"
