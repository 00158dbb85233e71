"""One measurement against one limit."""

from typing import Any

import pytest

from lab_inventory.measurement import Limit, Measurement, Unit, Value
from lab_inventory.outcome import Outcome, limit_in_words, outcome, stall_allowed, value_in_words
from lab_inventory.programme import Check, DecisionRule, LevelLimit, Mark, Source
from orchestrator.lifecycle.verdict import Flag, Verdict

SIMPLE, GUARD = DecisionRule.SIMPLE_ACCEPTANCE, DecisionRule.GUARD_BAND
NON_BINARY = DecisionRule.GUARD_BAND_NON_BINARY


def limit(**ends: Any) -> LevelLimit:
    return LevelLimit(source=Source(text="RFC 1, 2.3", mark=Mark.READ), **ends)


def held(
    value: Value | None,
    against: LevelLimit,
    rule: DecisionRule = SIMPLE,
    *,
    unit: Unit = Unit.MILLISECOND,
    **measured: Any,
) -> Outcome:
    check = Check(quantity="ringing", unit=unit, limits={"works-with": against})
    fields = {"quantity": "ringing", "unit": unit, "value": value, "instrument": "sip", **measured}
    return outcome(Measurement(**fields), check, against, rule)


def test_a_value_on_the_limit_passes_because_limits_are_inclusive() -> None:
    assert held(500, limit(max=500)).verdict is Verdict.PASS


def test_a_fail_says_what_was_measured_and_what_was_asked_for_by_what_right() -> None:
    got = held(612.25, limit(max=500), uncertainty=0.5, note="second call")
    assert got.verdict is Verdict.FAIL
    assert got.words == "ringing was 612.25 ms ± 0.5 (second call); at most 500 ms is asked for (RFC 1, 2.3)"
    assert got.slack == -112.25


def test_what_holds_or_not_is_said_as_yes_or_no() -> None:
    got = held(False, limit(equals=True), unit=Unit.BOOL)
    assert got.verdict is Verdict.FAIL
    assert got.words == "ringing was no; yes is asked for (RFC 1, 2.3)"


def test_what_the_instrument_looked_for_and_did_not_see_is_a_fail() -> None:
    got = held(None, limit(max=500), note="no 180 within 5 s")
    assert got.verdict is Verdict.FAIL
    assert "no 180 within 5 s" in got.words


def test_simple_acceptance_does_not_look_at_the_uncertainty() -> None:
    got = held(499.9, limit(max=500), SIMPLE, uncertainty=50.0)
    assert (got.verdict, got.flags) == (Verdict.PASS, ())


@pytest.mark.parametrize("value", [499.6, 100.4])
def test_under_a_guard_band_a_pass_nearer_to_the_limit_than_its_uncertainty_is_marginal(value: float) -> None:
    got = held(value, limit(min=100, max=500), GUARD, uncertainty=0.5)
    assert (got.verdict, got.flags) == (Verdict.PASS, (Flag.MARGINAL,))
    assert "nearer to the limit than its uncertainty" in got.words


def test_under_a_guard_band_a_value_beyond_the_limit_fails_however_uncertain_it_is() -> None:
    assert held(500.1, limit(max=500), GUARD, uncertainty=50.0).verdict is Verdict.FAIL


def test_under_a_guard_band_an_unknown_uncertainty_is_never_taken_for_none() -> None:
    got = held(1, limit(max=500), GUARD)
    assert (got.verdict, got.flags) == (Verdict.PASS, (Flag.MARGINAL,))


@pytest.mark.parametrize(
    ("value", "verdict", "flags"),
    [
        (490.0, Verdict.PASS, ()),
        (490.5, Verdict.PASS, (Flag.MARGINAL,)),
        (500.0, Verdict.PASS, (Flag.MARGINAL,)),
        (500.5, Verdict.FAIL, (Flag.CONDITIONAL,)),
        (510.0, Verdict.FAIL, (Flag.CONDITIONAL,)),
        (510.5, Verdict.FAIL, ()),
        (None, Verdict.FAIL, ()),
    ],
)
def test_the_non_binary_rule_has_a_conditional_pass_and_a_conditional_fail_on_either_side_of_the_limit(
    value: float | None, verdict: Verdict, flags: tuple[Flag, ...]
) -> None:
    got = held(value, limit(max=500), NON_BINARY, uncertainty=10.0)
    assert (got.verdict, got.flags) == (verdict, flags)
    below = held(None if value is None else -value, limit(min=-500), NON_BINARY, uncertainty=10.0)
    assert (below.verdict, below.flags) == (verdict, flags)


def test_a_conditional_fail_explains_itself_with_value_limit_rule_and_source() -> None:
    got = held(505.0, limit(max=500), NON_BINARY, uncertainty=10.0)
    assert got.words == (
        "ringing was 505 ms ± 10, beyond the limit by no more than its uncertainty, a conditional fail "
        "(decision rule: guard band, non-binary); at most 500 ms is asked for (RFC 1, 2.3)"
    )


def test_under_the_non_binary_rule_an_unknown_uncertainty_makes_no_fail_milder() -> None:
    inside, beyond = held(499, limit(max=500), NON_BINARY), held(501, limit(max=500), NON_BINARY)
    assert (inside.verdict, inside.flags) == (Verdict.PASS, (Flag.MARGINAL,))
    assert (beyond.verdict, beyond.flags) == (Verdict.FAIL, ())


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (SIMPLE, "nearer to the limit than its uncertainty (decision rule: simple acceptance)"),
        (GUARD, "nearer to the limit than its uncertainty (decision rule: guard band)"),
        (NON_BINARY, "a conditional pass (decision rule: guard band, non-binary)"),
    ],
)
def test_where_the_rule_decides_the_words_name_it(rule: DecisionRule, words: str) -> None:
    assert words in held(499.6, limit(max=500), rule, uncertainty=0.5).words
    assert "decision rule" not in held(1, limit(max=500), rule, uncertainty=0.5).words


@pytest.mark.parametrize("rule", DecisionRule)
@pytest.mark.parametrize("value", [1.0, 9999.0, None])
def test_what_an_instrument_that_is_not_relied_on_measured_neither_passes_nor_fails(
    rule: DecisionRule, value: float | None
) -> None:
    check = Check(quantity="ringing", unit=Unit.MILLISECOND, limits={"works-with": limit(max=500)})
    seen = Measurement(quantity="ringing", unit=Unit.MILLISECOND, value=value, instrument="sip")
    got = outcome(seen, check, limit(max=500), rule, distrust="sip was dropped")
    assert (got.verdict, got.words) == (Verdict.INCONCLUSIVE, "ringing proves nothing: sip was dropped")


@pytest.mark.parametrize(
    ("unit", "value", "asked"), [(Unit.COUNT, 6, {"min": 6, "max": 6}), (Unit.BOOL, True, {"equals": True})]
)
def test_what_is_counted_or_holds_is_exact(unit: Unit, value: Value, asked: dict[str, Any]) -> None:
    for rule in (GUARD, NON_BINARY):
        got = held(value, limit(**asked), rule, unit=unit)
        assert (got.verdict, got.flags) == (Verdict.PASS, ())


def test_a_bench_that_stalled_for_more_than_a_third_of_the_tolerance_proves_nothing() -> None:
    assert held(9999, limit(max=300), bench_stall=100.0).verdict is Verdict.FAIL
    got = held(9999, limit(max=300), bench_stall=100.1)
    assert got.verdict is Verdict.INCONCLUSIVE
    assert "the bench itself stalled by 100.1 ms" in got.words


def test_the_stall_allowed_is_a_third_of_half_the_width_and_none_for_what_holds_or_not() -> None:
    assert stall_allowed(Limit(min=10, max=40)) == pytest.approx(5)
    assert stall_allowed(Limit(max=0)) == 0
    assert stall_allowed(Limit(equals=True)) is None


def test_another_unit_than_is_asked_for_is_inconclusive() -> None:
    check = Check(quantity="ringing", unit=Unit.MILLISECOND, limits={"works-with": limit(max=500)})
    measurement = Measurement(quantity="ringing", unit=Unit.SECOND, value=0.1, instrument="sip")
    got = outcome(measurement, check, limit(max=500), SIMPLE)
    assert got.verdict is Verdict.INCONCLUSIVE
    assert got.words == "ringing was measured in s, but ms is asked for"


@pytest.mark.parametrize(("unit", "value", "asked"), [(Unit.COUNT, True, {"max": 6}), (Unit.BOOL, 1, {"equals": True})])
def test_a_value_of_another_kind_is_the_lab_s_mistake_and_no_fail(
    unit: Unit, value: Value, asked: dict[str, Any]
) -> None:
    assert held(value, limit(**asked), unit=unit).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (True, Unit.BOOL, "yes"),
        (6, Unit.COUNT, "6"),
        (0.9005, Unit.RATIO, "0.9005"),
        (12.0, Unit.MILLISECOND, "12 ms"),
        (500.04, Unit.MILLISECOND, "500.04 ms"),
        (0.1, Unit.PERCENT, "0.1 %"),
    ],
)
def test_a_value_is_said_with_its_unit(value: Value, unit: Unit, words: str) -> None:
    assert value_in_words(value, unit) == words


@pytest.mark.parametrize(
    ("asked", "unit", "words"),
    [
        (Limit(max=500), Unit.MILLISECOND, "at most 500 ms"),
        (Limit(min=0.5, max=0.9), Unit.RATIO, "0.5 to 0.9"),
        (Limit(min=6, max=6), Unit.COUNT, "6"),
        (Limit(equals=False), Unit.BOOL, "no"),
    ],
)
def test_a_limit_is_said_with_its_unit(asked: Limit, unit: Unit, words: str) -> None:
    assert limit_in_words(asked, unit) == words
