"""What was measured again beside what the lab measured. Pure; it compares with limits and gives no verdict.

A limit is met where its value lies inside, whatever the rule of its level makes of an uncertainty: a vendor's desk is
no bench whose uncertainty was characterised.
"""

from dataclasses import dataclass
from enum import StrEnum

from lab_inventory.evidence.pack import HeldAgainst, Reproduction
from lab_inventory.measurement import Limit, Measurement, Unit
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.noun import Noun


class Came(StrEnum):
    """What became of one limit here. ``unknown``: nothing was measured that could be held against it."""

    MET = "met"
    MISSED = "missed"
    UNKNOWN = "unknown"


class Compared(Noun):
    """One limit: what the lab's value made of it, and what the value here does."""

    limit: HeldAgainst
    here: Came
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All limits of a case. ``ended``: what was measured here."""

    lab: CaseEnded
    ended: CaseEnded
    limits: tuple[Compared, ...]

    @property
    def seen_again(self) -> tuple[Compared, ...]:
        """The limits that failed in the lab and are missed here too."""
        return tuple(one for one in self.limits if one.limit.verdict == "fail" and one.here is Came.MISSED)

    @property
    def status(self) -> int:
        """0: every limit is met; 1: one is missed; 2: none is missed, and something is not known."""
        came = {one.here for one in self.limits}
        if Came.MISSED in came:
            return 1
        return 0 if came <= {Came.MET} and self.ended.status is CaseStatus.MEASURED else 2


def compare(wanted: Reproduction, ended: CaseEnded) -> Comparison:
    """Hold what was measured here against the limits of the pack."""
    measured = {one.quantity: one for one in ended.measurements} if ended.status is CaseStatus.MEASURED else {}
    limits = tuple(_compared(one, measured.get(one.quantity), wanted.stall_budget) for one in wanted.limits)
    return Comparison(lab=wanted.ended, ended=ended, limits=limits)


def _compared(limit: HeldAgainst, measured: Measurement | None, stall_budget: dict[str, float]) -> Compared:
    if measured is None:
        return Compared(limit=limit, here=Came.UNKNOWN, why="it was not measured")
    if measured.unit is not limit.unit:
        return Compared(limit=limit, here=Came.UNKNOWN, why=f"it was measured in {measured.unit}")
    stall, budget = measured.bench_stall, stall_budget.get(limit.quantity)
    if stall is not None and budget is not None and stall > budget:
        return Compared(limit=limit, here=Came.UNKNOWN, why=f"this machine itself stalled by {stall:.3g} {limit.unit}")
    if measured.value is None:
        return Compared(limit=limit, here=Came.MISSED, why=measured.note or "nothing was seen")
    return Compared(limit=limit, here=Came.MET if limit.limit.admits(measured.value) else Came.MISSED)


def in_words(comparison: Comparison) -> str:
    """The comparison for people: each quantity, there and here, and each limit of it."""
    lines: list[str] = []
    there = {one.quantity: one for one in comparison.lab.measurements}
    here = {one.quantity: one for one in comparison.ended.measurements}
    for quantity in dict.fromkeys([*there, *here]):
        lines += [quantity, f"  lab   {_value(there.get(quantity))}", f"  here  {_value(here.get(quantity))}"]
        for one in (one for one in comparison.limits if one.limit.quantity == quantity):
            asked = _limit(one.limit.limit, one.limit.unit)
            why = f" ({one.why})" if one.why else ""
            lines.append(
                f"  {one.limit.requirement} {one.limit.level}: {asked} ({one.limit.source}); "
                f"lab: {one.limit.verdict}; here: {one.here.value}{why}"
            )
    ended = comparison.ended
    if ended.status is CaseStatus.MEASURED and ended.reason:
        lines += ["", ended.reason]
    return "\n".join([*lines, "", _sum(comparison)])


def _sum(comparison: Comparison) -> str:
    ended = comparison.ended
    if ended.status is not CaseStatus.MEASURED:
        return f"Nothing was measured here ({ended.status.value}): {ended.reason}"
    again = comparison.seen_again
    if again:
        return f"What failed in the lab is missed here too: {_named(again)}."
    missed = tuple(one for one in comparison.limits if one.here is Came.MISSED)
    if missed:
        return f"What failed in the lab is met here; but this is missed: {_named(missed)}."
    if comparison.status == 0:
        return "Every limit is met here."
    return "No limit is missed here, and not everything could be measured."


def _named(limits: tuple[Compared, ...]) -> str:
    return ", ".join(f"{one.limit.quantity} for {one.limit.level}" for one in limits)


def _value(measured: Measurement | None) -> str:
    if measured is None:
        return "not measured"
    value = measured.value
    if value is None or isinstance(value, bool):
        words = {None: "no value", True: "yes", False: "no"}[value]
    else:
        words = f"{value:.6g}{_unit(measured.unit)}"
    return words + (f" ({measured.note})" if measured.note else "")


def _limit(limit: Limit, unit: Unit) -> str:
    return f"{limit}{_unit(unit)}"


def _unit(unit: Unit) -> str:
    return "" if unit in (Unit.BOOL, Unit.COUNT, Unit.RATIO) else f" {unit}"
