"""Leases: granting all resources together, answering renewals, and seeing which have lapsed. Pure.

An epoch belongs to a resource and only grows; each grant gets the one after the last.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from lab_inventory.messages import Renewal, RenewedLease, Standing
from orchestrator.lifecycle.lease import LeaseGranted, LeaseLapsed, LeaseReleased, LeaseRevoked, LeaseState
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import PlacedCompanion, RunErrored, RunLapsed, RunPlaced, RunState
from orchestrator.lifecycle.snapshot import LeaseView, Snapshot
from orchestrator.pipeline.plan import PROMPT_PRESS_S, deadline_s
from orchestrator.pipeline.schedule.place import Placement


def grant(
    placement: Placement, snapshot: Snapshot, ttl_s: float, now: datetime, new_id: Callable[[str], str]
) -> tuple[Fact, ...]:
    """The lease of a placement with the run's move: committed together or not at all."""
    lease = new_id("lea")
    facts = placement.device.registration.driver_facts
    press_timeout_s = facts.press_timeout_s if facts else PROMPT_PRESS_S
    epochs = {resource: snapshot.epochs.get(resource, 0) + 1 for resource in placement.resources}
    return (
        LeaseGranted(
            lease=lease,
            run=placement.run.run,
            host=placement.device.host,
            epochs=epochs,
            ttl_s=ttl_s,
            deadline_s=deadline_s(
                placement.run.duration_s, recovers=placement.run.probation, press_timeout_s=press_timeout_s
            ),
            at=now,
        ),
        RunPlaced(
            run=placement.run.run,
            lease=lease,
            device=placement.device.device,
            host=placement.device.host,
            slot=placement.device.registration.slot,
            registration=placement.device.registration,
            companions=tuple(
                PlacedCompanion(
                    role=need.role,
                    device=device.device,
                    slot=device.registration.slot,
                    registration=device.registration,
                )
                for need, device in zip(placement.run.needs, placement.companions, strict=True)
            ),
            waited_s=(now - placement.run.queued_at).total_seconds(),
            at=now,
        ),
    )


def standing(renewal: Renewal, host: str, lease: LeaseView | None) -> RenewedLease:
    """What has become of the lease of a run that ``host`` wants to keep."""

    def answer(of: Standing, reason: str, ttl_s: float = 0.0) -> RenewedLease:
        return RenewedLease(run=renewal.run, standing=of, ttl_s=ttl_s, reason=reason)

    if lease is None or lease.host != host or dict(lease.epochs) != renewal.epochs:
        return answer(Standing.UNKNOWN, "this host holds no such lease")
    if lease.state is LeaseState.LAPSED:
        return answer(Standing.LAPSED, "its ttl passed without a renewal")
    if lease.state is not LeaseState.LIVE:
        return answer(Standing.REVOKED, f"the lease is {lease.state}")
    if lease.run_state is RunState.STOPPING:
        return answer(Standing.CANCELLED, lease.stop_reason or "it is to be stopped")
    return answer(Standing.RENEWED, "", lease.ttl_s)


def lapsed(leases: Iterable[LeaseView], renewed_at_s: Mapping[str, float], now_s: float) -> tuple[LeaseView, ...]:
    """The live leases whose ttl has passed since they were granted or last renewed, on this process's own clock.

    A lease that is missing in ``renewed_at_s`` has just been granted and is not looked at.
    """
    return tuple(
        lease
        for lease in leases
        if lease.state is LeaseState.LIVE
        and lease.lease in renewed_at_s
        and now_s - renewed_at_s[lease.lease] > lease.ttl_s
    )


def lapse(lease: LeaseView, now: datetime) -> tuple[Fact, ...]:
    """The facts of a lapse: the lease and its run."""
    return LeaseLapsed(lease=lease.lease, at=now), RunLapsed(run=lease.run, at=now)


def release(lease: LeaseView, now: datetime) -> Fact:
    """Given back."""
    return LeaseReleased(lease=lease.lease, at=now)


def refuse(lease: LeaseView, reason: str, now: datetime) -> tuple[Fact, ...]:
    """The facts of a run that its agent would not take: an error of the lab, and the lease is taken away."""
    return (
        LeaseRevoked(lease=lease.lease, reason=reason, at=now),
        RunErrored(run=lease.run, reason=reason, at=now),
    )
