"""What holds under every decision rule, at whichever level it stands: worse never helps, order never matters."""

from dataclasses import replace
from datetime import timedelta

import small_programme as small
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lab_inventory.lab import Calibration, Instrument
from lab_inventory.measurement import Measurement, Unit
from lab_inventory.messages import BenchChecked, DeviceIdentified, Ended, RunOutcome, Started
from lab_inventory.outcome import outcome
from lab_inventory.programme import Check, DecisionRule, LevelLimit, Programme
from orchestrator.lifecycle.verdict import Flag, Judgement, Verdict
from orchestrator.pipeline.attempts import Distrust, attempts_by_case
from orchestrator.pipeline.judge import criteria, judge, judge_on
from tests.properties.measured import (
    RATES,
    attempts,
    measurement_at,
    places,
    spoilt_values,
    submissions,
    with_measurement,
)

fast = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CHECKS = [check for requirement in small.SMALL.requirements for check in requirement.checks]
Of = tuple[small.Attempt, ...]


def under(works: DecisionRule, certified: DecisionRule) -> Programme:
    """The small programme with these rules, and a requirement each of three criteria."""
    fields = small.SMALL.model_dump(mode="json")
    levels = [{**level, "rule": rule} for level, rule in zip(fields["levels"], (works, certified), strict=True)]
    named = zip(fields["requirements"], ("standard", "quality", "enterprise"), strict=True)
    return small.programme(levels=levels, requirements=[{**one, "criterion": criterion} for one, criterion in named])


PROGRAMMES = st.sampled_from([under(works, certified) for works in DecisionRule for certified in DecisionRule])


def judged(of: Of, programme: Programme) -> Judgement:
    return judge(small.view(*of, against=programme), programme)


def met(of: Of, programme: Programme) -> set[str]:
    return {level.level for level in judged(of, programme).levels if level.met}


def counts_fully(measurement: Measurement, programme: Programme, level: str) -> bool:
    """Whether it passes a level by itself, and is not marginal."""
    (check,) = [check for check in CHECKS if check.quantity == measurement.quantity]
    if level not in check.limits:
        return True
    got = outcome(measurement, check, check.limits[level], programme.level(level).rule)
    return got.verdict is Verdict.PASS and not got.flags


@fast
@given(spoilt_values(), PROGRAMMES)
def test_a_value_further_from_what_is_asked_never_meets_a_level_that_was_not_met(
    pair: tuple[Of, Of], programme: Programme
) -> None:
    assert met(pair[1], programme) <= met(pair[0], programme)


@fast
@given(submissions(), PROGRAMMES, st.floats(0, 1000), st.data())
def test_more_uncertainty_never_meets_a_level_that_was_not_met(
    of: Of, programme: Programme, more: float, data: st.DataObject
) -> None:
    known = [place for place in places(of) if measurement_at(of, place).uncertainty is not None]
    assume(known)
    place = data.draw(st.sampled_from(known))
    was = measurement_at(of, place)
    assert was.uncertainty is not None
    wider = was.model_copy(update={"uncertainty": was.uncertainty + more})
    unknown = was.model_copy(update={"uncertainty": None})
    assert met(with_measurement(of, place, wider), programme) <= met(of, programme)
    if DecisionRule.SIMPLE_ACCEPTANCE not in {level.rule for level in programme.levels}:
        assert met(with_measurement(of, place, unknown), programme) <= met(of, programme)


@fast
@given(attempts(1), PROGRAMMES, st.data())
def test_a_measurement_left_out_of_the_only_attempt_never_meets_a_level_that_was_not_met(
    alone: small.Attempt, programme: Programme, data: st.DataObject
) -> None:
    assume(places((alone,)))
    place = data.draw(st.sampled_from(places((alone,))))
    assert met(with_measurement((alone,), place, None), programme) <= met((alone,), programme)


@fast
@given(submissions(), PROGRAMMES, st.data())
def test_of_several_attempts_only_what_spoke_against_a_level_can_meet_it_by_being_left_out(
    of: Of, programme: Programme, data: st.DataObject
) -> None:
    assume(places(of))
    place = data.draw(st.sampled_from(places(of)))
    gained = met(with_measurement(of, place, None), programme) - met(of, programme)
    assert not any(counts_fully(measurement_at(of, place), programme, level) for level in gained)


@fast
@given(submissions(), PROGRAMMES, st.sampled_from(["TC-1", "TC-2", "TC-3"]))
def test_one_more_attempt_that_fails_meets_no_level(of: Of, programme: Programme, case: str) -> None:
    worst = {
        "TC-1": small.ended("TC-1", 1, answered=False),
        "TC-2": small.ended("TC-2", gain_db=50.0),
        "TC-3": small.ended("TC-3", digits=False),
    }[case]
    for failing in (
        small.attempt(9, *small.all_well(worst)),
        small.attempt(9, worst, cases=[case]),
    ):
        assert not met((*of, failing), programme)


@fast
@given(submissions(), PROGRAMMES, st.data())
def test_order_and_repetition_play_no_part(of: Of, programme: Programme, data: st.DataObject) -> None:
    view = small.view(*of, against=programme)
    again = data.draw(st.lists(st.sampled_from(view.reports))) if view.reports else []
    reports = data.draw(st.permutations([*view.reports, *again]))
    shuffled = replace(view, runs=tuple(data.draw(st.permutations(view.runs))), reports=tuple(reports))
    assert judge(shuffled, programme) == judge(view, programme)


@fast
@given(attempts(1), PROGRAMMES)
def test_an_instrument_that_is_not_relied_on_takes_levels_away_and_gives_none(
    alone: small.Attempt, programme: Programme
) -> None:
    view = small.view(alone, against=programme)
    kept = attempts_by_case(view, Distrust(instrument="sip"))
    asked = [(r, kept.get(r.case, ())) for r in programme.requirements]
    judgement = judge_on(view, programme, asked)
    assert not any(level.met for level in judgement.levels)
    verdicts = {ground.verdict for level in judgement.levels for r in level.requirements for ground in r.grounds}
    assert not verdicts & {Verdict.PASS, Verdict.FAIL}


@fast
@given(submissions(), PROGRAMMES, st.integers(-2, 2))
def test_an_overdue_calibration_neither_passes_nor_fails_anything(of: Of, programme: Programme, days: int) -> None:
    calibration = Calibration(method="by the maker", due_on=small.NOW.date() - timedelta(days=days))
    sip = Instrument(name="sip", kind="any", calibration=calibration)
    before = (
        Started(suite_version="1", pid=1, instruments=(sip,)),
        BenchChecked(passed=True, measurements=()),
        DeviceIdentified(same=True, user_agent="Acme One"),
    )
    end = Ended(outcome=RunOutcome.COMPLETED, within_deadline=True)
    alike = []
    for first in (before, (Started(suite_version="1", pid=1), *before[1:])):
        made = [
            small.attempt_of(
                run.attempt,
                *first,
                *(r.report.body for r in reports if r.report.body.kind == "case-ended"),
                end,
                cases=run.cases,
            )
            for run, reports in of
        ]
        alike.append(judged(tuple(made), programme))
    if days <= 0:
        assert alike[0].levels == alike[1].levels
        return
    verdicts = {ground.verdict for level in alike[0].levels for r in level.requirements for ground in r.grounds}
    assert not verdicts & {Verdict.PASS, Verdict.FAIL}


@fast
@given(submissions(), PROGRAMMES)
def test_a_level_is_met_exactly_where_each_of_its_criteria_is(of: Of, programme: Programme) -> None:
    for level in judged(of, programme).levels:
        of_level = criteria(level, programme)
        assert level.met == all(one.met for one in of_level if one.verdict is not Verdict.NOT_APPLICABLE)


LIMITS = st.sampled_from([limit for check in CHECKS for limit in check.limits.values() if limit.tolerance])


@given(LIMITS, st.floats(-3000, 3000), st.floats(0, 100), st.sampled_from(DecisionRule))
def test_the_flags_of_an_outcome_are_those_of_the_standard_s_picture_of_its_rule(
    limit: LevelLimit, value: float, guard: float, rule: DecisionRule
) -> None:
    check = Check(quantity="q", unit=Unit.MILLISECOND, limits={"works-with": limit})
    seen = Measurement(quantity="q", unit=Unit.MILLISECOND, value=value, uncertainty=guard, instrument="sip")
    ends = ([value - limit.min] if limit.min is not None else []) + (
        [limit.max - value] if limit.max is not None else []
    )
    inside = min(ends)
    assume(abs(abs(inside) - guard) > 1e-6)
    got = outcome(seen, check, limit, rule)
    near = abs(inside) < guard
    expected: tuple[Flag, ...] = ()
    if inside >= 0 and near and rule is not DecisionRule.SIMPLE_ACCEPTANCE:
        expected = (Flag.MARGINAL,)
    if inside < 0 and near and rule is DecisionRule.GUARD_BAND_NON_BINARY:
        expected = (Flag.CONDITIONAL,)
    assert (got.verdict, got.flags) == (Verdict.PASS if inside >= 0 else Verdict.FAIL, expected)
    decided = bool(expected) or (inside >= 0 and near)
    assert ("decision rule" in got.words) is decided


@given(st.sampled_from(CHECKS), st.sampled_from(Unit), st.one_of(st.none(), st.booleans(), RATES))
def test_a_wrong_unit_never_passes_and_never_fails(check: Check, unit: Unit, value: float | None) -> None:
    assume(unit is not check.unit)
    seen = Measurement(quantity=check.quantity, unit=unit, value=value, uncertainty=0.1, instrument="sip")
    got = {outcome(seen, check, limit, rule).verdict for limit in check.limits.values() for rule in DecisionRule}
    assert got == {Verdict.INCONCLUSIVE}
