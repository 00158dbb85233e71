"""What another version of a programme changes, and what that asks of a product that passed the one before. Pure.

Three things can be asked. *Measure*: something is measured that was not, or in another way, so the product must be
tested again there. *Judge*: the same is measured and more is asked of it, so the evidence that is kept is enough.
*Nothing*: whoever passed passes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab_inventory.programme import Check, Kind, Programme, Requirement, TestCase


class Asks(StrEnum):
    """What a change asks of a product that passed before."""

    MEASURE = "measure again"
    JUDGE = "judge again"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference. ``level`` empty: at every level. ``case``: the test case that measures it now, where one does."""

    what: str
    level: str
    before: str
    after: str
    asks: Asks
    case: str = ""


def changes(before: Programme, after: Programme) -> tuple[Change, ...]:
    """Everything that differs between two versions, requirement by requirement in the order of the newer one."""
    return (*_frame(before, after), *_requirements(before, after))


def again(found: Sequence[Change], level: str) -> tuple[str, ...]:
    """The test cases that a holder of a level must be measured in again, in the order of the changes."""
    mine = [one for one in found if one.asks is Asks.MEASURE and one.level in ("", level) and one.case]
    return tuple(dict.fromkeys(one.case for one in mine))


def _frame(before: Programme, after: Programme) -> Iterator[Change]:
    old_levels = {level.id: level for level in before.levels}
    for level in after.levels:
        was = old_levels.pop(level.id, None)
        if was is None:
            yield Change(what="level", level=level.id, before="–", after="added", asks=Asks.NOTHING)
        elif was.rule is not level.rule:
            asks = Asks.JUDGE
            yield Change(what="decision rule", level=level.id, before=was.rule, after=level.rule, asks=asks)
    for name in old_levels:
        yield Change(what="level", level=name, before="there", after="removed", asks=Asks.NOTHING)
    old_features = {feature.id: feature for feature in before.proforma.features}
    for feature in after.proforma.features:
        was_asked = old_features.pop(feature.id, None)
        if was_asked is None:
            what = f"feature {feature.id}"
            yield Change(what=what, level="", before="–", after="to be declared", asks=Asks.JUDGE)
        elif was_asked != feature:
            yield Change(
                what=f"feature {feature.id}",
                level="",
                before=was_asked.question,
                after=feature.question,
                asks=Asks.JUDGE,
            )
    for name in old_features:
        yield Change(what=f"feature {name}", level="", before="declared", after="not asked for", asks=Asks.NOTHING)


def _requirements(before: Programme, after: Programme) -> Iterator[Change]:
    old = {requirement.id: requirement for requirement in before.requirements}
    for requirement in after.requirements:
        was = old.pop(requirement.id, None)
        if was is None:
            yield from _added(requirement)
            continue
        yield from _applies(was, requirement)
        yield from _method(was, requirement, before.case(was.case), after.case(requirement.case))
        yield from _checks(was, requirement, [level.id for level in after.levels])
    for requirement in old.values():
        yield Change(what=requirement.id, level="", before=requirement.title, after="removed", asks=Asks.NOTHING)


def _added(requirement: Requirement) -> Iterator[Change]:
    levels = dict.fromkeys(level for check in requirement.checks for level in check.limits)
    for level in levels:
        yield Change(
            what=requirement.id,
            level=level,
            before="–",
            after=f"added: {requirement.title}" + (f", where {requirement.condition}" if requirement.condition else ""),
            asks=Asks.MEASURE,
            case=requirement.case,
        )


def _applies(was: Requirement, now: Requirement) -> Iterator[Change]:
    """To whom it applies."""
    if (was.kind, was.condition) != (now.kind, now.condition):
        wider = now.kind is Kind.MANDATORY or was.kind is not Kind.MANDATORY
        yield Change(
            what=f"{now.id} applies",
            level="",
            before=was.condition or "always",
            after=now.condition or "always",
            asks=Asks.MEASURE if wider else Asks.NOTHING,
            case=now.case if wider else "",
        )
    for profile in sorted(set(was.profiles) ^ set(now.profiles)):
        added = profile in now.profiles
        yield Change(
            what=f"{now.id} in profile {profile}",
            level="",
            before="no" if added else "yes",
            after="yes" if added else "no",
            asks=Asks.MEASURE if added else Asks.NOTHING,
            case=now.case if added else "",
        )


def _method(was: Requirement, now: Requirement, old: TestCase | None, new: TestCase | None) -> Iterator[Change]:
    """How it is measured."""
    if old is None or new is None:
        return
    for what, before, after in (
        ("test case", was.case, now.case),
        ("procedure", old.procedure, new.procedure),
        ("method version", str(old.method_version), str(new.method_version)),
        ("roles", ", ".join(old.roles), ", ".join(new.roles)),
        ("parameters", _parameters(old), _parameters(new)),
    ):
        if before != after:
            what_ = f"{now.id} {what}"
            yield Change(what=what_, level="", before=before, after=after, asks=Asks.MEASURE, case=now.case)
    if old.repeats != new.repeats:
        asks = Asks.MEASURE if new.repeats > old.repeats else Asks.NOTHING
        case = now.case if asks is Asks.MEASURE else ""
        what_ = f"{now.id} repeats"
        yield Change(what=what_, level="", before=str(old.repeats), after=str(new.repeats), asks=asks, case=case)


def _parameters(case: TestCase) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(case.parameters.items())) or "none"


def _checks(was: Requirement, now: Requirement, levels: Sequence[str]) -> Iterator[Change]:
    """What is asked of each quantity."""
    old = {check.quantity: check for check in was.checks}
    for check in now.checks:
        yield from _limits(now, old.pop(check.quantity, None), check, levels)
    for name in old:
        yield Change(what=f"{now.id}/{name}", level="", before="measured", after="removed", asks=Asks.NOTHING)


def _limits(now: Requirement, was: Check | None, check: Check, levels: Sequence[str]) -> Iterator[Change]:
    what = f"{now.id}/{check.quantity}"
    same_quantity = was is not None and was.unit is check.unit
    for level in levels:
        new = check.limits.get(level)
        old = was.limits.get(level) if was is not None else None
        shown = (f"{old} {was.unit}" if was and old else "–", f"{new} {check.unit}" if new else "–")
        if shown[0] == shown[1]:
            continue
        if new is None:
            asks = Asks.NOTHING
        elif not same_quantity:
            asks = Asks.MEASURE
        elif old is not None and old.at_least_as_strict_as(new):
            asks = Asks.NOTHING
        else:
            asks = Asks.JUDGE
        case = now.case if asks is Asks.MEASURE else ""
        yield Change(what=what, level=level, before=shown[0], after=shown[1], asks=asks, case=case)
