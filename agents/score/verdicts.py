"""What requirements come to in one run, by the rule of the judge (``lab_inventory.outcome``). Pure."""

from collections.abc import Sequence

from lab_inventory.ics import Answers, holds
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.outcome import outcome
from lab_inventory.programme import Check, Level, Programme, Requirement
from lab_inventory.verdict import WORST_FIRST, Verdict

Verdicts = dict[tuple[str, str], tuple[Verdict, str]]
"""By level and requirement: the verdict, and the words of what decided it."""

_OF_STATUS = {CaseStatus.ERROR: Verdict.ERROR, CaseStatus.NOT_RUN: Verdict.NOT_RUN}


def requirements_in(programme: Programme, profile: str) -> tuple[Requirement, ...]:
    """The requirements of a profile that a procedure measures."""
    return tuple(r for r in programme.requirements if profile in r.profiles and not r.manual)


def verdicts_of(programme: Programme, profile: str, ics: Answers, ended: Sequence[CaseEnded]) -> Verdicts:
    """Every measured requirement of a profile at every level, over the repeats of one run; the worst repeat decides."""
    found: Verdicts = {}
    for level in programme.levels:
        for requirement in requirements_in(programme, profile):
            found[level.id, requirement.id] = _verdict(requirement, level, ics, ended)
    return found


def _verdict(requirement: Requirement, level: Level, ics: Answers, ended: Sequence[CaseEnded]) -> tuple[Verdict, str]:
    checks = [check for check in requirement.checks if level.id in check.limits]
    if not checks or (requirement.condition is not None and not holds(requirement.condition, ics)):
        return Verdict.NOT_APPLICABLE, ""
    repeats = [one for one in ended if one.case == requirement.case]
    if not repeats:
        return Verdict.NOT_RUN, f"{requirement.case} was not carried out"
    seen = [_seen(check, level, one) for check in checks for one in repeats]
    return min(seen, key=lambda one: WORST_FIRST.index(one[0]))


def _seen(check: Check, level: Level, ended: CaseEnded) -> tuple[Verdict, str]:
    if ended.status in _OF_STATUS:
        return _OF_STATUS[ended.status], ended.reason
    measured = next((one for one in ended.measurements if one.quantity == check.quantity), None)
    if measured is None:
        return Verdict.NOT_RUN, f"{check.quantity} was not measured"
    found = outcome(measured, check, check.limits[level.id], level.rule)
    return found.verdict, found.words
