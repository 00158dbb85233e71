"""The devices that a run needs beside the one under test: which it gets, and why it gets none. Pure.

They stand on the bench of the device under test, in slots for their role, and may be any product of their category.
"""

from collections.abc import Collection, Sequence

from orchestrator.lifecycle.run import Need
from orchestrator.pipeline.schedule.explain import UNITS_NAMED_MAX, Circumstances, Obstacle, obstacle_beside
from orchestrator.pipeline.schedule.index import Index, Unit

SLUG = "no-companion"


def companions_for(needs: Sequence[Need], dut: Unit, lab: Index, now: Circumstances) -> tuple[Unit, ...] | None:
    """One free unit for each need, no unit and no slot twice, and none of them the one under test; the first that fit.

    None where they are not all free together.
    """
    return _fill(needs, dut, lab, now, frozenset(dut.own))


def _fill(
    needs: Sequence[Need], dut: Unit, lab: Index, now: Circumstances, taken: frozenset[str]
) -> tuple[Unit, ...] | None:
    if not needs:
        return ()
    for unit in _fitting(needs[0], dut, lab, taken):
        if obstacle_beside(unit, now) is None:
            rest = _fill(needs[1:], dut, lab, now, taken.union(unit.own))
            if rest is not None:
                return unit, *rest
    return None


def why_alone(needs: Sequence[Need], dut: Unit, lab: Index, now: Circumstances) -> Obstacle | None:
    """Why a unit does not get the devices that a run on it needs; None where it does."""
    if companions_for(needs, dut, lab, now) is not None:
        return None
    for need in dict.fromkeys(needs):
        words = _lacking(need, needs.count(need), dut, lab, now)
        if words:
            return Obstacle(slug=SLUG, words=words)
    roles = " and ".join(dict.fromkeys(f"{need.role} {need.category}" for need in needs))
    return Obstacle(slug=SLUG, words=f"no {roles} are free together on bench {dut.bench}")


def _lacking(need: Need, wanted: int, dut: Unit, lab: Index, now: Circumstances) -> str:
    """Why one need cannot be met whatever becomes of the others, or nothing."""
    what, place = f"{need.role} {need.category}", f"on bench {dut.bench}"
    if (dut.bench, need.role, need.category) not in lab.beside:
        return f"bench {dut.bench} has no slot for a {what}"
    units = _fitting(need, dut, lab, dut.own)
    if not units:
        return f"no {what} is registered {place} beside {dut.device.device}"
    why_not = [found for unit in units if (found := obstacle_beside(unit, now)) is not None]
    if len(units) - len(why_not) >= wanted:
        return ""
    named = "; ".join(found.words for found in why_not[:UNITS_NAMED_MAX]) or "there are no more"
    free = len(units) - len(why_not)
    return f"{f'only {free} of {wanted}' if free else 'no'} {what} is free {place}: {named}"


def _fitting(need: Need, dut: Unit, lab: Index, taken: Collection[str]) -> list[Unit]:
    """The units that may play a role beside the one under test, those first that are for nothing else."""
    units = lab.beside.get((dut.bench, need.role, need.category), ())
    return [unit for unit in units if not any(resource in taken for resource in unit.own)]
