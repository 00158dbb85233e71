"""Placing: a snapshot in, placements and deferrals out. Pure; no clock, no lock, no guess.

Runs are taken by priority (higher first), then by the time they were queued. A run gets a unit whose five keys equal
its own, if all resources it needs are free together: the unit, its slot, the instruments that are not shared, and a
unit with its slot for each device that it needs beside the one under test. Nothing is held while waiting, so nothing
can deadlock. A run that cannot be placed does not keep a later one from a unit it could use. What is in quarantine gets
nothing but its own probation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from orchestrator.lifecycle.run import Need
from orchestrator.lifecycle.snapshot import DeviceView, QueuedRun, Snapshot, UnitKey
from orchestrator.pipeline.schedule.beside import companions_for, why_alone
from orchestrator.pipeline.schedule.explain import Circumstances, Obstacle, obstacle, why_waiting
from orchestrator.pipeline.schedule.index import Index, Unit, index

_BATCH_HELD = Obstacle(slug="batch-held", words="its batch is held by an operator")
_NEXT_PASS = Obstacle(slug="next-pass", words="it is placed in the next pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A run on a unit, with every resource it takes. ``companions``: the unit for each of the run's needs."""

    run: QueuedRun
    device: DeviceView
    companions: tuple[DeviceView, ...] = ()
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """Why a run waits: a slug from a closed set, and words for people."""

    run: str
    slug: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is placed now, and why everything else waits. ``more``: the bound of one pass kept something back."""

    placements: tuple[Placement, ...]
    deferrals: tuple[Deferral, ...]
    more: bool


@dataclass(slots=True, kw_only=True)
class _Kind:
    """What runs of one product and category have in one pass: the units still free, and once none is left, why."""

    free: list[Unit]
    why: Obstacle | None = None


def place(
    snapshot: Snapshot,
    *,
    not_ready: Mapping[str, str],
    placements_max: int,
    refusing: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Place what can be placed. ``not_ready``: hosts whose Ray worker cannot be reached, each with the reason;
    ``refusing``: hosts that are left alone because they refused a run, each with the reason.
    """
    lab = index(snapshot)
    held_by = {resource: lease.run for lease in snapshot.leases for resource in lease.epochs}
    now = Circumstances(
        hosts=snapshot.hosts,
        held_by=held_by,
        not_ready=not_ready,
        refusing=refusing,
        quarantines={resource: view.reason for resource, view in snapshot.quarantines.items()},
    )
    # A probation is there to bring back what is in quarantine, so it alone is placed on it.
    on_probation = replace(now, quarantines={})
    kinds: dict[tuple[UnitKey, str, str | None, bool, tuple[Need, ...]], _Kind] = {}
    placements: list[Placement] = []
    deferrals: list[Deferral] = []
    more = False
    for run in sorted(snapshot.queue, key=lambda run: (-run.priority, run.queued_at, run.run)):
        if run.batch_held:
            deferrals.append(_deferral(run, _BATCH_HELD))
            continue
        wanted = (run.key, run.category, run.unit, run.probation, run.needs)
        circumstances = on_probation if run.probation else now
        kind = kinds.get(wanted)
        if kind is None:
            usable = [unit for unit in _units_for(run, lab) if obstacle(unit, circumstances) is None]
            kind = kinds[wanted] = _Kind(free=usable)
        chosen = _choose(run, kind.free, held_by, lab, now)
        if chosen is None:
            if kind.why is None:
                lacks = partial(_lacks, run.needs, lab, now)
                others = lab.categories.get(run.key, ())
                kind.why = why_waiting(run, _units_for(run, lab), others, circumstances, lacks)
            deferrals.append(_deferral(run, kind.why))
        elif len(placements) >= placements_max:
            deferrals.append(_deferral(run, _NEXT_PASS))
            more = True
        else:
            unit, *companions = chosen
            resources = (*unit.resources, *(resource for beside in companions for resource in beside.own))
            beside_it = tuple(beside.device for beside in companions)
            placements.append(Placement(run=run, device=unit.device, companions=beside_it, resources=resources))
            held_by.update(dict.fromkeys(resources, run.run))
    return Plan(placements=tuple(placements), deferrals=tuple(deferrals), more=more)


def _units_for(run: QueuedRun, lab: Index) -> tuple[Unit, ...]:
    """The units of the product of a run; of one that must run on a certain unit, that one where it is that product.

    A probation asks whether a unit can be measured, whatever it is by now.
    """
    if run.unit is None:
        return lab.units.get((run.key, run.category), ())
    unit = lab.by_device.get(run.unit)
    if unit is None or unit.device.registration.category != run.category:
        return ()
    return (unit,) if run.probation or unit.device.key == run.key else ()


def _deferral(run: QueuedRun, why: Obstacle) -> Deferral:
    return Deferral(run=run.run, slug=why.slug, words=why.words)


def _lacks(needs: tuple[Need, ...], lab: Index, now: Circumstances, unit: Unit) -> Obstacle | None:
    return why_alone(needs, unit, lab, now) if needs else None


def _choose(
    run: QueuedRun, candidates: list[Unit], held_by: Mapping[str, str], lab: Index, now: Circumstances
) -> tuple[Unit, ...] | None:
    """The least used unit of which everything is free, preferably not the one the last attempt was lost on; after it
    those that stand beside it.

    A candidate that was taken in this pass, or lost an instrument or a companion in it, is dropped: it does not come
    free in the pass. What is in quarantine is no companion of a probation either.
    """
    while candidates:
        at = next((at for at, unit in enumerate(candidates) if unit.device.device != run.avoid_device), 0)
        unit = candidates[at]
        if not any(resource in held_by for resource in unit.resources):
            companions = companions_for(run.needs, unit, lab, now) if run.needs else ()
            if companions is not None:
                return unit, *companions
        del candidates[at]
    return None
