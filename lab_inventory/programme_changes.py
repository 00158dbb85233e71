"""What another version of a programme changes, and what that asks of a product that passed the one before. Pure.

Three things can be asked. *Measure*: something is measured that was not, or in another way, so the product must be
tested again there. *Judge*: the same is measured and more is asked of it, so the evidence that is kept is enough.
*Nothing*: whoever passed passes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab_inventory.noun import Noun
from lab_inventory.programme import Check, Kind, Programme, Requirement, TestCase
from lab_inventory.programme_terms import Benefit, Designation, Lifecycle, Platform, Relation, Stipulation


class Asks(StrEnum):
    """What a change asks of a product that passed before."""

    MEASURE = "measure again"
    JUDGE = "judge again"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference. ``level`` empty: at every level. ``case``: the test case that measures it now; empty: none."""

    what: str
    level: str
    before: str
    after: str
    asks: Asks
    case: str = ""


def changes(before: Programme, after: Programme) -> tuple[Change, ...]:
    """Everything that differs between two versions, requirement by requirement in the order of the newer one."""
    return (*_frame(before, after), *_terms(before, after), *_requirements(before, after))


def again(found: Sequence[Change], level: str) -> tuple[str, ...]:
    """The test cases that a holder of a level must be measured in again, in the order of the changes."""
    mine = [one for one in found if one.asks is Asks.MEASURE and one.level in ("", level) and one.case]
    return tuple(dict.fromkeys(one.case for one in mine))


def by_hand(found: Sequence[Change], level: str) -> tuple[str, ...]:
    """What a holder of a level must be measured in again by people, in the order of the changes."""
    mine = [one for one in found if one.asks is Asks.MEASURE and one.level in ("", level) and not one.case]
    return tuple(dict.fromkeys(one.what.split("/")[0].split(" ")[0] for one in mine))


_TERMS = ("mark", "lifecycle", "designations", "benefits", "holders_of", "platforms", "stipulations")


def _terms(before: Programme, after: Programme) -> Iterator[Change]:
    """What holds beside the requirements; a designation is judged from what its requirements measured."""
    for name in _TERMS:
        old, new = getattr(before, name), getattr(after, name)
        if not isinstance(new, tuple):
            if old != new:
                yield Change(what=name, level="", before=_shown(old), after=_shown(new), asks=Asks.NOTHING)
            continue
        was = {_name(one): one for one in old}
        for one in new:
            before_it = was.pop(_name(one), None)
            if before_it != one:
                asks = Asks.JUDGE if name == "designations" else Asks.NOTHING
                what = f"{name} {_name(one)}"
                yield Change(what=what, level="", before=_shown(before_it), after=_shown(one), asks=asks)
        for gone, one in was.items():
            yield Change(what=f"{name} {gone}", level="", before=_shown(one), after="removed", asks=Asks.NOTHING)


def _name(one: Designation | Benefit | Relation | Platform | Stipulation) -> str:
    if isinstance(one, Benefit):
        return one.device_type
    return one.programme if isinstance(one, Relation) else one.id


def _shown(one: Noun | None) -> str:
    """A term in as many words as it has."""
    match one:
        case None:
            return "–"
        case Platform():
            return "ends " + ", then ".join(str(end.day) for end in one.ends)
        case Lifecycle():
            days = ((name.replace("_", " "), getattr(one, name)) for name in Lifecycle.model_fields)
            return ", ".join(f"{name} {day}" for name, day in days if day is not None)
        case Relation():
            return f"{'count' if one.count else 'do not count'}: {one.because}"
        case Designation():
            return ", ".join(one.requirements)
        case Benefit():
            return f"in {', '.join(one.categories)}: {' '.join(one.benefits)}"
        case Stipulation():
            return one.text
        case _:
            return ", ".join(str(part) for part in one.model_dump().values())


def _frame(before: Programme, after: Programme) -> Iterator[Change]:
    if before.demonstration is not after.demonstration:
        shown = ("a demonstration", "no demonstration")
        old, new = shown[not before.demonstration], shown[not after.demonstration]
        yield Change(what="it is", level="", before=old, after=new, asks=Asks.NOTHING)
    if before.requires_characterised_bench is not after.requires_characterised_bench:
        shown = ("characterised, for the most stringent level", "not asked to be characterised")
        old, new = shown[not before.requires_characterised_bench], shown[not after.requires_characterised_bench]
        yield Change(what="the bench is", level="", before=old, after=new, asks=Asks.JUDGE)
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
            asks=Asks.NOTHING if requirement.kind is Kind.OPTIONAL else Asks.MEASURE,
            case=requirement.case,
        )


def _applies(was: Requirement, now: Requirement) -> Iterator[Change]:
    """To whom it applies."""
    if (was.kind, was.condition) != (now.kind, now.condition):
        wider = now.kind is not Kind.OPTIONAL and (now.condition is None or was.kind is not Kind.MANDATORY)
        yield Change(
            what=f"{now.id} applies",
            level="",
            before=_to_whom(was),
            after=_to_whom(now),
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


def _to_whom(requirement: Requirement) -> str:
    whom = requirement.condition or "always"
    return f"optional, {whom}" if requirement.kind is Kind.OPTIONAL else whom


def _method(was: Requirement, now: Requirement, old: TestCase | None, new: TestCase | None) -> Iterator[Change]:
    """How it is measured."""
    if was.manual is not now.manual:
        how = ("manual", "by a procedure")
        before, after = how[not was.manual], how[not now.manual]
        yield Change(
            what=f"{now.id} is measured", level="", before=before, after=after, asks=Asks.MEASURE, case=now.case
        )
    elif was.instructions != now.instructions:
        what = f"{now.id} instructions"
        asks = Asks.MEASURE if now.manual else Asks.NOTHING
        yield Change(what=what, level="", before=was.instructions, after=now.instructions, asks=asks, case=now.case)
    yield from _by_hand(was, now)
    if old is None or new is None:
        return
    for what, before, after in (
        ("test case", was.case, now.case),
        ("procedure", old.procedure, new.procedure),
        ("method version", str(old.method_version), str(new.method_version)),
        ("roles", _roles(old), _roles(new)),
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


def _roles(case: TestCase) -> str:
    return ", ".join(f"{role} of {case.categories[role]}" if role in case.categories else role for role in case.roles)


def _by_hand(was: Requirement, now: Requirement) -> Iterator[Change]:
    """How people are asked, of what is manual in both."""
    if not (was.manual and now.manual):
        return
    if was.picture != now.picture:
        before, after = "a picture" if was.picture else "none", ("another picture" if now.picture else "none")
        yield Change(what=f"{now.id} picture", level="", before=before, after=after, asks=Asks.MEASURE)
    if was.second_person is not now.second_person:
        persons = ("one person", "two persons")
        yield Change(
            what=f"{now.id} is measured by",
            level="",
            before=persons[was.second_person],
            after=persons[now.second_person],
            asks=Asks.MEASURE if now.second_person else Asks.NOTHING,
        )
    if was.timeout_h != now.timeout_h:
        before, after = f"within {was.timeout_h:g} h", f"within {now.timeout_h:g} h"
        yield Change(what=f"{now.id} is measured", level="", before=before, after=after, asks=Asks.NOTHING)


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
