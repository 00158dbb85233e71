"""What holds of every judgement, whatever was measured, however often and in whatever order it arrived."""

import math
from dataclasses import replace

import pytest
import small_programme as small
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lab_inventory.measurement import Measurement, Unit
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.outcome import outcome
from lab_inventory.programme import Check, DecisionRule, LevelLimit
from lab_inventory.verdict import WORST_FIRST
from orchestrator.lifecycle.verdict import Flag, Judgement, Verdict
from orchestrator.pipeline.judge import judge, undecided
from tests.properties.measured import RATES, attempts, spoilt_values, submissions

CHECKS = [check for requirement in small.SMALL.requirements for check in requirement.checks]
LEVELS = [level.id for level in small.SMALL.levels]
fast = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def judged(*of: small.Attempt, dtmf: bool = True) -> Judgement:
    return judge(small.view(*of, of=small.content(dtmf=dtmf)), small.SMALL)


def levels_met(judgement: Judgement) -> set[str]:
    return {level.level for level in judgement.levels if level.met}


def rank(judgement: Judgement) -> dict[tuple[str, str, str], tuple[int, bool, bool]]:
    """How good each check came out, comparable as numbers: the verdict, then without a fail before, then the guard.

    After a fail the guard plays no part any more: no level is met then, whichever of the passes is quoted.
    """
    return {
        (level.level, requirement.requirement, ground.quantity): (
            WORST_FIRST.index(ground.verdict),
            Flag.UNSTABLE not in ground.flags,
            Flag.MARGINAL not in ground.flags or Flag.UNSTABLE in ground.flags,
        )
        for level in judgement.levels
        for requirement in level.requirements
        for ground in requirement.grounds
    }


@fast
@given(submissions(), st.booleans(), st.data())
def test_neither_order_nor_repetition_of_what_arrived_plays_a_part(
    of: tuple[small.Attempt, ...], dtmf: bool, data: st.DataObject
) -> None:
    view = small.view(*of, of=small.content(dtmf=dtmf))
    again = data.draw(st.lists(st.sampled_from(view.reports))) if view.reports else []
    runs = data.draw(st.permutations(view.runs))
    reports = data.draw(st.permutations([*view.reports, *again]))
    shuffled = replace(view, runs=tuple(runs), reports=tuple(reports))
    assert judge(shuffled, small.SMALL) == judge(view, small.SMALL)
    assert undecided(shuffled, small.SMALL) == undecided(view, small.SMALL)


@fast
@given(spoilt_values())
def test_a_worse_value_never_makes_anything_better(
    pair: tuple[tuple[small.Attempt, ...], tuple[small.Attempt, ...]],
) -> None:
    before, after = judged(*pair[0]), judged(*pair[1])
    assert levels_met(after) <= levels_met(before)
    was = rank(before)
    assert all(rank_after <= was[place] for place, rank_after in rank(after).items())


@fast
@given(submissions(), st.sampled_from(LEVELS))
def test_whatever_comes_after_a_fail_its_level_is_not_met(of: tuple[small.Attempt, ...], level: str) -> None:
    failing = small.attempt(1, *small.all_well(small.ended("TC-1", 2, answered=False)))
    later = tuple(
        small.attempt_of(number, *(report.report.body for report in reports), cases=run.cases)
        for number, (run, reports) in enumerate(of, 2)
    )
    judgement = judged(failing, *later)
    assert level not in levels_met(judgement)
    assert judgement.earned is None
    verdict = small.requirement(judgement, "R-1", level)
    assert verdict.verdict is not Verdict.PASS or Flag.UNSTABLE in verdict.flags


@fast
@given(attempts(1))
def test_more_attempts_never_turn_a_fail_into_a_level_met(first: small.Attempt) -> None:
    alone = judged(first)
    failed = {level.level for level in alone.levels if any(r.verdict is Verdict.FAIL for r in level.requirements)}
    with_more = judged(first, small.attempt(2, *small.all_well()), small.attempt(3, *small.all_well()))
    assert not failed & levels_met(with_more)


@fast
@given(
    st.lists(st.sampled_from([CaseStatus.ERROR, CaseStatus.NOT_RUN]), min_size=1, max_size=3),
    st.sampled_from(list(small.REPEATS)),
)
def test_the_lab_s_own_trouble_never_fails_a_device(statuses: list[CaseStatus], case: str) -> None:
    spoilt = [
        small.attempt(n, *small.all_well(small.not_measured(case, 1, status))) for n, status in enumerate(statuses, 1)
    ]
    verdicts = {r.verdict for level in judged(*spoilt).levels for r in level.requirements}
    assert Verdict.FAIL not in verdicts
    assert verdicts & {Verdict.ERROR, Verdict.NOT_RUN}
    assert judged(*spoilt).earned is None


@fast
@given(st.sampled_from([(body.case, body.repeat) for body in small.all_well()]))
def test_a_repeat_that_was_left_out_is_never_made_up_for_by_the_others(left_out: tuple[str, int]) -> None:
    bodies = [body for body in small.all_well() if (body.case, body.repeat) != left_out]
    judgement = judged(small.attempt(1, *bodies))
    number = left_out[0].removeprefix("TC-")
    assert {small.requirement(judgement, f"R-{number}", level).verdict for level in LEVELS} == {Verdict.NOT_RUN}
    assert judgement.earned is None


@fast
@given(st.floats(-3.5, 3.5), st.floats(0, 0.5), st.floats(0, 0.5))
def test_of_two_attempts_the_value_nearer_to_the_limit_decides_what_is_earned(
    value: float, closer: float, uncertainty: float
) -> None:
    further = value + closer if value > 0 else value - closer
    seen = [small.measured("gain_db", v, uncertainty=uncertainty) for v in (further, value)]
    attempts_made = [small.attempt(n, *small.all_well(small.ended("TC-2", gain_db=m))) for n, m in enumerate(seen, 1)]
    size = abs(further)
    assume(all(abs(size - edge) > 1e-6 for edge in (1 - uncertainty, 1, 3)))
    judgement = judged(*attempts_made)
    assert ("works-with" in levels_met(judgement)) is (size < 3)
    assert ("certified" in levels_met(judgement)) is (size < 1 - uncertainty)


@fast
@given(submissions())
def test_a_run_without_a_bench_check_neither_passes_nor_fails_anything(of: tuple[small.Attempt, ...]) -> None:
    blind = [
        small.attempt_of(
            run.attempt, *(r.report.body for r in reports if isinstance(r.report.body, CaseEnded)), cases=run.cases
        )
        for run, reports in of
    ]
    verdicts = {ground.verdict for level in judged(*blind).levels for r in level.requirements for ground in r.grounds}
    assert not verdicts & {Verdict.PASS, Verdict.FAIL}


@fast
@given(submissions(), st.booleans())
def test_a_level_is_earned_only_where_it_and_all_below_it_stand_on_passes(
    of: tuple[small.Attempt, ...], dtmf: bool
) -> None:
    judgement = judged(*of, dtmf=dtmf)
    for level in judgement.levels:
        applicable = [r for r in level.requirements if r.verdict is not Verdict.NOT_APPLICABLE]
        if level.met:
            assert applicable
            assert {r.verdict for r in applicable} == {Verdict.PASS}
            assert not any(Flag.UNSTABLE in r.flags for r in applicable)
            assert level.level == "works-with" or not any(Flag.MARGINAL in r.flags for r in applicable)
        for requirement in applicable:
            assert requirement.verdict is min((g.verdict for g in requirement.grounds), key=WORST_FIRST.index)
    if judgement.earned is not None:
        below = LEVELS[: LEVELS.index(judgement.earned) + 1]
        assert set(below) <= levels_met(judgement)
    else:
        assert LEVELS[0] not in levels_met(judgement)


@fast
@given(submissions(), st.booleans())
def test_every_verdict_says_why(of: tuple[small.Attempt, ...], dtmf: bool) -> None:
    judgement = judged(*of, dtmf=dtmf)
    for level in judgement.levels:
        assert level.words
        for requirement in level.requirements:
            assert requirement.words
            for ground in requirement.grounds:
                assert ground.quantity in ground.words
                assert ground.verdict is not Verdict.FAIL or ground.source in ground.words


@fast
@given(submissions())
def test_a_case_is_undecided_exactly_where_a_check_of_it_has_no_pass_and_no_fail(of: tuple[small.Attempt, ...]) -> None:
    decisive = {Verdict.PASS, Verdict.FAIL}
    open_cases = {
        f"TC-{requirement.requirement[2:]}"
        for level in judged(*of).levels
        for requirement in level.requirements
        for ground in requirement.grounds
        if ground.verdict not in decisive
    }
    assert set(undecided(small.view(*of), small.SMALL)) == open_cases


@fast
@given(st.sampled_from(sorted(small.UNITS)), st.integers(0, 3), attempts(2))
def test_a_quantity_that_was_left_out_of_every_attempt_never_passes(
    quantity: str, more: int, second: small.Attempt
) -> None:
    def without(body: CaseEnded) -> CaseEnded:
        return body.model_copy(update={"measurements": tuple(m for m in body.measurements if m.quantity != quantity)})

    bare = [
        small.attempt(number, *(without(body) for body in bodies))
        for number, bodies in enumerate(
            [
                small.all_well(),
                tuple(r.report.body for r in second[1] if isinstance(r.report.body, CaseEnded)),
                *[small.all_well()] * more,
            ],
            1,
        )
    ]
    grounds = [
        ground
        for level in judged(*bare).levels
        for requirement in level.requirements
        for ground in requirement.grounds
        if ground.quantity == quantity
    ]
    assert grounds
    assert not {Verdict.PASS, Verdict.FAIL} & {ground.verdict for ground in grounds}


NO_NUMBERS = [math.nan, math.inf, -math.inf, 10**400]


def outcomes(measurement: Measurement, check: Check) -> set[Verdict]:
    return {
        outcome(measurement, check, limit, rule).verdict for limit in check.limits.values() for rule in DecisionRule
    }


@pytest.mark.parametrize("nothing", [None, *NO_NUMBERS], ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.quantity)
def test_no_value_and_what_is_no_number_never_passes(check: Check, nothing: float | None) -> None:
    measurement = small.measured(check.quantity, small.GOOD[check.quantity]).model_copy(update={"value": nothing})
    expected = Verdict.FAIL if nothing is None else Verdict.INCONCLUSIVE
    assert outcomes(measurement, check) == {expected}


@pytest.mark.parametrize("field", ["uncertainty", "bench_stall"])
@pytest.mark.parametrize("nothing", NO_NUMBERS, ids=str)
def test_an_uncertainty_or_a_stall_that_is_no_number_never_passes(field: str, nothing: float) -> None:
    check = CHECKS[0]
    measurement = small.measured(check.quantity, small.GOOD[check.quantity]).model_copy(update={field: nothing})
    assert outcomes(measurement, check) == {Verdict.INCONCLUSIVE}


@given(st.sampled_from(CHECKS), st.sampled_from(Unit), st.one_of(st.none(), st.booleans(), st.integers(), RATES))
def test_a_wrong_unit_is_inconclusive_whatever_the_value(check: Check, unit: Unit, value: float | None) -> None:
    assume(unit is not check.unit)
    measurement = Measurement(quantity=check.quantity, unit=unit, value=value, instrument="sip")
    assert outcomes(measurement, check) == {Verdict.INCONCLUSIVE}


@given(st.sampled_from(CHECKS), st.one_of(st.booleans(), st.integers(-9, 9), RATES))
def test_a_value_of_another_kind_is_inconclusive(check: Check, value: float) -> None:
    assume(isinstance(value, bool) is not (check.unit is Unit.BOOL))
    measurement = Measurement(quantity=check.quantity, unit=check.unit, value=value, uncertainty=0.1, instrument="sip")
    assert outcomes(measurement, check) == {Verdict.INCONCLUSIVE}


LIMITS = st.sampled_from([limit for check in CHECKS for limit in check.limits.values() if limit.tolerance])


@given(LIMITS, st.floats(0, 5000), st.floats(-3000, 3000))
def test_a_stall_of_more_than_a_third_of_the_tolerance_makes_any_value_inconclusive(
    limit: LevelLimit, stall: float, value: float
) -> None:
    check = Check(quantity="q", unit=Unit.MILLISECOND, limits={"works-with": limit})
    stalled = Measurement(
        quantity="q", unit=Unit.MILLISECOND, value=value, uncertainty=0.1, bench_stall=stall, instrument="sip"
    )
    assert limit.tolerance is not None
    too_much = stall > limit.tolerance / 3
    got = outcome(stalled, check, limit, DecisionRule.SIMPLE_ACCEPTANCE).verdict
    assert (got is Verdict.INCONCLUSIVE) is too_much


@given(LIMITS, st.floats(-3000, 3000), st.floats(0, 100))
def test_a_pass_within_the_uncertainty_of_the_limit_is_marginal_under_a_guard_band(
    limit: LevelLimit, value: float, guard: float
) -> None:
    check = Check(quantity="q", unit=Unit.MILLISECOND, limits={"works-with": limit})
    measurement = Measurement(quantity="q", unit=Unit.MILLISECOND, value=value, uncertainty=guard, instrument="sip")
    margins = [value - limit.min] if limit.min is not None else []
    margins += [limit.max - value] if limit.max is not None else []
    nearest = min(margins)
    assume(abs(nearest - guard) > 1e-6)
    plain = outcome(measurement, check, limit, DecisionRule.SIMPLE_ACCEPTANCE)
    guarded = outcome(measurement, check, limit, DecisionRule.GUARD_BAND)
    assert plain.verdict is guarded.verdict is (Verdict.PASS if nearest >= 0 else Verdict.FAIL)
    assert not plain.flags
    assert guarded.flags == ((Flag.MARGINAL,) if 0 <= nearest < guard else ())
