"""One measurement against one limit. Pure and total: whatever comes in, one of six verdicts comes out.

The decision rules are those of ILAC-G8:09/2019: simple acceptance; a guard band as wide as the expanded uncertainty;
and the non-binary statement with the same guard band. A value inside the limit but within the guard passes as
*marginal* (non-binary: a conditional pass). A value beyond the limit fails under every rule; under the non-binary one
it fails as *conditional* while it lies within the guard. Where a rule decides, the words name it.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lab_inventory.measurement import Limit, Measurement, Unit, Value
from lab_inventory.programme import Check, DecisionRule, LevelLimit, Programme
from lab_inventory.verdict import Flag, Verdict

STALL_SHARE_MAX = 1 / 3
"""A bench that stalled for more than this share of a limit's tolerance proves nothing about the device."""

EXACT = frozenset({Unit.BOOL, Unit.COUNT})
"""Units in which a measurement that states no uncertainty has none: something held or not, or was counted."""


RULES: Mapping[DecisionRule, str] = {
    DecisionRule.SIMPLE_ACCEPTANCE: "simple acceptance",
    DecisionRule.GUARD_BAND: "guard band",
    DecisionRule.GUARD_BAND_NON_BINARY: "guard band, non-binary",
}
"""The decision rules, for people."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one measurement says about one limit, with the reason in words.

    ``slack``: how far inside the limit the value lies, in its unit; below zero outside, -inf without a value.
    """

    verdict: Verdict
    words: str
    flags: tuple[Flag, ...] = ()
    slack: float = 0.0


def outcome(
    measurement: Measurement, check: Check, limit: LevelLimit, rule: DecisionRule, *, distrust: str = ""
) -> Outcome:
    """Hold one measurement of ``check``'s quantity against ``limit`` under ``rule``.

    What the instrument could not measure properly is inconclusive; what it looked for and did not see is a fail.
    ``distrust``: why its instrument is not to be relied on, or empty.
    """
    doubt = f"{check.quantity} proves nothing: {distrust}" if distrust else _doubt(measurement, check, limit)
    if doubt:
        return Outcome(verdict=Verdict.INCONCLUSIVE, words=doubt)
    asked = f"{limit_in_words(limit, check.unit)} is asked for ({limit.source.text})"
    value = measurement.value
    if value is None:
        seen = measurement.note or "nothing was seen"
        words = f"{check.quantity} had no value: {seen}; {asked}"
        return Outcome(verdict=Verdict.FAIL, words=words, slack=-math.inf)
    was = f"{check.quantity} was {value_in_words(value, check.unit)}"
    if measurement.uncertainty is not None:
        was += f" ± {_number(measurement.uncertainty)}"
    was += f" ({measurement.note})" if measurement.note else ""
    verdict = Verdict.PASS if limit.admits(value) else Verdict.FAIL
    nearness, flags = _by_rule(measurement, value, limit, rule)
    return Outcome(verdict=verdict, words=f"{was}{nearness}; {asked}", flags=flags, slack=_slack(value, limit))


def without_record(of: Outcome, unit: Unit, why: str) -> Outcome:
    """An outcome where the bench has no record of its uncertainty that holds, and one is asked for: no pass of anything
    that has an uncertainty. ``why``: in words; empty where it has one.
    """
    if not why or unit in EXACT or of.verdict is not Verdict.PASS:
        return of
    return replace(of, verdict=Verdict.INCONCLUSIVE, words=f"{of.words}; it is undecided, because {why}", flags=())


def _by_rule(
    measurement: Measurement, value: Value, limit: LevelLimit, rule: DecisionRule
) -> tuple[str, tuple[Flag, ...]]:
    """What the uncertainty makes of a value under a rule: in words that follow the value, and as flags."""
    named = f"(decision rule: {RULES[rule]})"
    if limit.admits(value):
        near = _too_near(measurement, value, limit)
        if not near:
            return "", ()
        if rule is DecisionRule.SIMPLE_ACCEPTANCE:
            return (f", {near} {named}" if measurement.uncertainty is not None else ""), ()
        conditionally = ", a conditional pass" if rule is DecisionRule.GUARD_BAND_NON_BINARY else ""
        return f", {near}{conditionally} {named}", (Flag.MARGINAL,)
    within = measurement.uncertainty is not None and limit.admits(value, guard=-measurement.uncertainty)
    if rule is DecisionRule.GUARD_BAND_NON_BINARY and within:
        return f", beyond the limit by no more than its uncertainty, a conditional fail {named}", (Flag.CONDITIONAL,)
    return "", ()


def stall_allowed(limit: Limit) -> float | None:
    """How much the bench may stall before a value can no longer be held against ``limit``, in its unit.

    None: the limit has no size that a stall could be compared with.
    """
    tolerance = limit.tolerance
    return None if tolerance is None else tolerance * STALL_SHARE_MAX


def stall_budget(programme: Programme) -> dict[str, dict[str, float]]:
    """Per case and quantity, in the quantity's unit: how much the bench may stall before some limit cannot be judged.

    It is the smallest over all levels and requirements, so that one window serves them all.
    """
    budget: dict[str, dict[str, float]] = {}
    for requirement in programme.requirements:
        for check in requirement.checks:
            sizes = [size for limit in check.limits.values() if (size := stall_allowed(limit)) is not None]
            if sizes:
                of_case = budget.setdefault(requirement.case, {})
                of_case[check.quantity] = min([*sizes, of_case.get(check.quantity, sizes[0])])
    return budget


def _doubt(measurement: Measurement, check: Check, limit: Limit) -> str:
    """Why the lab did not measure what is asked for, or nothing."""
    name, value, stall = check.quantity, measurement.value, measurement.bench_stall
    if measurement.unit is not check.unit:
        return f"{name} was measured in {measurement.unit}, but {check.unit} is asked for"
    if not all(_is_number(given) for given in (value, measurement.uncertainty, stall)):
        return f"{name} came with something that is no number"
    if value is not None and isinstance(value, bool) is not (check.unit is Unit.BOOL):
        return f"{name} came as {value!r}, which is no value in {check.unit}"
    allowed = stall_allowed(limit)
    if stall is not None and allowed is not None and stall > allowed:
        return f"the bench itself stalled by {_number(stall)} {check.unit} while {name} was measured"
    return ""


def _is_number(given: Value | None) -> bool:
    """Whether it can be calculated with: no NaN, no infinity, no integer that is larger than any float."""
    return given is None or abs(given) <= sys.float_info.max


def _slack(value: Value, limit: Limit) -> float:
    ends = [value - limit.min] if limit.min is not None else []
    ends += [limit.max - value] if limit.max is not None else []
    return min(ends, default=0.0)


def _too_near(measurement: Measurement, value: Value, limit: Limit) -> str:
    """Why a value inside the limit is not known to be inside, or nothing."""
    guard = measurement.uncertainty
    if guard is None:
        return "" if measurement.unit in EXACT else "whose uncertainty is not known"
    if measurement.unit is Unit.BOOL or limit.admits(value, guard=guard):
        return ""
    return "nearer to the limit than its uncertainty"


def value_in_words(value: Value, unit: Unit) -> str:
    """A value with its unit, for people; units last."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{_number(value)} {unit}" if unit not in (Unit.COUNT, Unit.RATIO) else _number(value)


def limit_in_words(limit: Limit, unit: Unit) -> str:
    """A limit with its unit, for people."""
    return str(limit) if unit in (Unit.BOOL, Unit.COUNT, Unit.RATIO) else f"{limit} {unit}"


def _number(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
