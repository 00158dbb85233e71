"""Which units and benches the lab takes out by itself, how they are brought back, and what came of that. Pure.

A run that measured what it was to measure speaks for its unit and its bench, whatever it measured: a device that fails
is well. A run that the lab spoilt speaks against one of them: against the bench where the bench did not pass its own
check, against the unit where it could not be reset, identified or measured. Runs that were cancelled, whose host was
lost or whose agent refused them say nothing of either; nor does a spoilt run that had several devices, for nobody can
say by its reports which of them spoilt it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from lab_inventory.device import Intent, Presence
from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.quarantine import (
    ProbationBegun,
    ProbationFailed,
    Quarantined,
    QuarantineEnded,
    QuarantineState,
    RecoveryGivenUp,
)
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.snapshot import DeviceView, EndedRun, HostView, QuarantineView
from orchestrator.lifecycle.verdict import Judgement, Verdict
from orchestrator.pipeline.submit import BatchRequest, take

ERRORS_IN_A_ROW = 3
RUNS_LOOKED_AT = 20
PROBATIONS_MAX = 3
PROBATION_PRIORITY = 100
REASON_MAX = 2000

_SPOILT = frozenset({Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NOT_RUN})


class Blame(StrEnum):
    """What an ended run says of the unit and the bench it ran on."""

    WELL = "well"
    UNIT = "unit"
    BENCH = "bench"
    NOTHING = "nothing"


def blame(run: EndedRun) -> Blame:
    """Whom an ended run speaks against."""
    if run.state in (RunState.CANCELLED, RunState.LAPSED) or not run.reported:
        return Blame.NOTHING
    if run.bench_passed is False:
        return Blame.BENCH
    if run.state is RunState.ERROR or run.cases_in_error or not run.identified:
        return Blame.NOTHING if run.accompanied else Blame.UNIT
    return Blame.WELL


def against_unit(unit: str, runs: Sequence[EndedRun], now: datetime) -> Quarantined | None:
    """Whether the last runs on a unit, newest first, ask for its quarantine. What its bench spoilt is passed over."""
    said = [run for run in runs if blame(run) in (Blame.WELL, Blame.UNIT)]
    return _in_a_row(f"device:{unit}", said, "could not be measured on", now)


def against_bench(bench: str, runs: Sequence[EndedRun], now: datetime) -> Quarantined | None:
    """Whether the last runs on a bench, newest first, ask for its quarantine.

    They do where the bench failed its own check time after time, and also where nothing was measured on several of its
    units one after the other: what they share is the bench.
    """
    said = [run for run in runs if blame(run) is not Blame.NOTHING]
    checks = [run for run in said if blame(run) is not Blame.UNIT]
    found = _in_a_row(f"bench:{bench}", checks, "did not pass its own check in", now)
    if found is not None:
        return found
    several = len({run.device for run in said[: ERRORS_IN_A_ROW + 1]}) > 1
    if several and len(said) > ERRORS_IN_A_ROW:
        return _in_a_row(f"bench:{bench}", said, "measured nothing on several units in", now, ERRORS_IN_A_ROW + 1)
    return None


def _in_a_row(
    resource: str, runs: Sequence[EndedRun], what: str, now: datetime, number: int = ERRORS_IN_A_ROW
) -> Quarantined | None:
    last = runs[:number]
    if len(last) < number or any(blame(run) is Blame.WELL for run in last):
        return None
    why = last[0].reason or "no reason was given"
    reason = f"it {what} {number} runs in a row; the last: {why}"
    return Quarantined(resource=resource, reason=reason[:REASON_MAX], runs=tuple(run.run for run in last), at=now)


def probation_programme(category: str, programmes: Sequence[Programme]) -> Programme | None:
    """The programme with which a unit of this category is put on probation, or None."""
    return next((p for p in programmes if p.purpose is Purpose.PROBATION and p.category == category), None)


def unit_for(
    resource: str, devices: Sequence[DeviceView], hosts: Mapping[str, HostView], out: Mapping[str, QuarantineView]
) -> DeviceView | None:
    """The unit on which a resource is put on probation: itself, or the best that stands on the bench. None: there is
    none that is there, has a driver and is in service; what a person took out stays out.
    """
    usable = [
        device
        for device in devices
        if device.presence is Presence.PRESENT
        and device.intent is Intent.IN_SERVICE
        and device.registration.driver is not None
    ]
    kind, _, name = resource.partition(":")
    if kind == "device":
        return next((device for device in usable if device.device == name), None)
    on_it = [device for device in usable if bench_of(device, hosts) == name]
    return min(on_it, key=lambda device: (f"device:{device.device}" in out, device.device), default=None)


def bench_of(device: DeviceView, hosts: Mapping[str, HostView]) -> str | None:
    """The bench at which a unit stands, by the lab file."""
    host = hosts.get(device.host)
    place = host.config.slot(device.registration.slot) if host else None
    return place[0].name if place else None


def begin_probation(
    view: QuarantineView,
    device: DeviceView,
    programme: Programme,
    by: str,
    now: datetime,
    new_id: Callable[[str], str],
) -> tuple[Fact, ...]:
    """A batch of one submission, bound to this very unit, that says whether it can be measured again."""
    registration = device.registration
    content = Submission(
        title=f"probation of {view.resource}"[:120],
        vendor=registration.product.maker,
        product=registration.product,
        hardware_revision=registration.hardware_revision,
        mode=registration.mode,
        profile=programme.profiles[0].id,
        ics={},
        unit=device.device,
    )
    request = BatchRequest(
        title=content.title,
        programme=programme.id,
        programme_version=programme.version,
        priority=PROBATION_PRIORITY,
        submissions=(content,),
    )
    batch, *runs = take(request, programme, by, now, new_id)
    begun = ProbationBegun(resource=view.resource, batch=batch.batch, attempt=view.attempts + 1, by=by, at=now)
    return batch, *runs, begun


def end_probation(view: QuarantineView, judgement: Judgement | None, now: datetime) -> tuple[Fact, ...]:
    """What a probation that has ended says. ``judgement`` None: it was cancelled before it was judged.

    The lab must have measured everything; how the device did in it is for certification, not for this.
    """
    spoilt = (
        ["it was cancelled"]
        if judgement is None
        else [
            f"{requirement.requirement}: {requirement.words}"
            for level in judgement.levels
            for requirement in level.requirements
            if requirement.verdict in _SPOILT
        ]
    )
    if not spoilt:
        reason = "everything in its probation was measured"
        return (QuarantineEnded(resource=view.resource, by="assay", reason=reason, at=now),)
    failed = ProbationFailed(resource=view.resource, reason="; ".join(spoilt)[:REASON_MAX], at=now)
    if view.attempts < PROBATIONS_MAX:
        return (failed,)
    return failed, RecoveryGivenUp(resource=view.resource, at=now)


def waits_for(views: Mapping[str, QuarantineView]) -> tuple[QuarantineView, ...]:
    """Those that wait for a probation which nobody has to order."""
    return tuple(view for view in views.values() if view.state is QuarantineState.QUARANTINED)
