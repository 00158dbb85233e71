"""Leases over a long life of a lab: one live lease for each resource, and epochs that only grow."""

from dataclasses import replace

import small_lab
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lab_inventory.clock import ManualClock
from lab_inventory.lab import Role
from lab_inventory.messages import Renewal, Standing
from orchestrator.lifecycle import lease as leases
from orchestrator.lifecycle import run as runs
from orchestrator.lifecycle.lease import LeaseGranted, LeaseState
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import Need, RunPlaced, RunState, RunStopRequested
from orchestrator.lifecycle.snapshot import LeaseView, QueuedRun, Snapshot
from orchestrator.pipeline.lease import grant, lapse, lapsed, refuse, release, standing
from orchestrator.pipeline.schedule.place import place

TTL_S = 60.0
COMPANION = Need(role=Role.COMPANION, category="ip-phone")
HOSTS = ("host-1", "host-2")


class Lab(RuleBasedStateMachine):
    """Six units in two hosts, one with an exclusive instrument; runs, some with a companion, come, are placed, renewed,
    ended and lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.hosts = [
            small_lab.host_view(
                small_lab.host(
                    name,
                    [f"{name}-slot-{n}" for n in range(3)],
                    exclusive=name == "host-2",
                    roles={f"{name}-slot-2": (Role.DUT, Role.COMPANION)},
                )
            )
            for name in HOSTS
        ]
        self.devices = [
            small_lab.device(f"dev-of-{name}-{n}", f"{name}-slot-{n}", name) for name in HOSTS for n in range(3)
        ]
        self.queue: list[QueuedRun] = []
        self.leases: dict[str, LeaseView] = {}
        self.epochs: dict[str, int] = {}
        self.granted: dict[str, list[int]] = {}
        self.renewed_at_s: dict[str, float] = {}
        self.accompanied: set[str] = set()

    @property
    def live(self) -> list[LeaseView]:
        return [lease for lease in self.leases.values() if lease.state is LeaseState.LIVE]

    def snapshot(self) -> Snapshot:
        return small_lab.snapshot(self.queue, self.devices, self.live, self.hosts, dict(self.epochs))

    def commit(self, facts: tuple[Fact, ...]) -> None:
        """What the store does: every fact through its machine, and no resource under two live leases."""
        for fact in facts:
            if isinstance(fact, LeaseGranted):
                self.leases[fact.lease] = small_lab.lease(
                    fact.run,
                    dict(fact.epochs),
                    lease=fact.lease,
                    host=fact.host,
                    ttl_s=fact.ttl_s,
                    run_state=RunState.WAITING,
                )
                for resource, epoch in fact.epochs.items():
                    self.granted.setdefault(resource, []).append(epoch)
                    self.epochs[resource] = epoch
                self.renewed_at_s[fact.lease] = self.clock.boottime_s()
            elif fact.machine == "run":
                (of,) = [lease for lease in self.leases.values() if lease.run == fact.entity]
                state = RunState(runs.MACHINE.next(of.run_state, fact))
                self.leases[of.lease] = replace(of, run_state=state)
                if isinstance(fact, RunPlaced):
                    assert fact.lease == of.lease
                    self.queue = [run for run in self.queue if run.run != fact.run]
            else:
                of = self.leases[fact.entity]
                self.leases[of.lease] = replace(of, state=LeaseState(leases.MACHINE.next(of.state, fact)))

    @rule(priority=st.sampled_from([10, 50]), accompanied=st.booleans())
    def queue_a_run(self, priority: int, accompanied: bool) -> None:
        name = self.clock.new_id("run")
        needs = (COMPANION,) if accompanied else ()
        self.accompanied |= {name} if accompanied else set()
        self.queue.append(small_lab.queued(name, priority=priority, queued_at=self.clock.now(), needs=needs))

    @rule(placements_max=st.integers(1, 6))
    def place_and_grant(self, placements_max: int) -> None:
        snapshot = self.snapshot()
        for placement in place(snapshot, not_ready={}, placements_max=placements_max).placements:
            self.commit(grant(placement, snapshot, TTL_S, self.clock.now(), self.clock.new_id))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.leases.values(), key=lambda lease: lease.lease)))
        reply = standing(Renewal(run=lease.run, epochs=dict(lease.epochs)), lease.host, lease)
        goes_on = lease.state is LeaseState.LIVE and lease.run_state is not RunState.STOPPING
        assert (reply.standing is Standing.RENEWED) is goes_on
        assert (reply.ttl_s > 0) is goes_on
        if goes_on:
            self.renewed_at_s[lease.lease] = self.clock.boottime_s()

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def somebody_else_asks_for_it(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.leases.values(), key=lambda lease: lease.lease)))
        stale = {resource: epoch + 1 for resource, epoch in lease.epochs.items()}
        assert standing(Renewal(run=lease.run, epochs=stale), lease.host, lease).standing is Standing.UNKNOWN
        other = next(host for host in HOSTS if host != lease.host)
        renewal = Renewal(run=lease.run, epochs=dict(lease.epochs))
        assert standing(renewal, other, lease).standing is Standing.UNKNOWN

    @precondition(lambda self: self.live)
    @rule(data=st.data(), refused=st.booleans())
    def end(self, data: st.DataObject, refused: bool) -> None:
        lease = data.draw(st.sampled_from(self.live))
        now = self.clock.now()
        refusable = refused and lease.run_state is RunState.PLACED
        self.commit(refuse(lease, "no", now) if refusable else (release(lease, now),))

    @precondition(lambda self: any(lease.run_state is RunState.PLACED for lease in self.live))
    @rule(data=st.data())
    def tell_to_stop(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from([lease for lease in self.live if lease.run_state is RunState.PLACED]))
        self.commit((RunStopRequested(run=lease.run, reason="enough", at=self.clock.now()),))
        told = standing(Renewal(run=lease.run, epochs=dict(lease.epochs)), lease.host, self.leases[lease.lease])
        assert told.standing is Standing.CANCELLED

    @rule(seconds=st.floats(0, TTL_S * 1.5))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        now_s = self.clock.boottime_s()
        gone = {lease.lease for lease in lapsed(self.leases.values(), self.renewed_at_s, now_s)}
        assert gone == {lease.lease for lease in self.live if now_s - self.renewed_at_s[lease.lease] > TTL_S}
        for name in gone:
            self.commit(lapse(self.leases[name], self.clock.now()))

    @invariant()
    def no_resource_has_two_live_leases(self) -> None:
        held = [resource for lease in self.live for resource in lease.epochs]
        assert len(held) == len(set(held))

    @invariant()
    def a_run_has_all_its_devices_and_their_slots_or_none(self) -> None:
        for lease in self.leases.values():
            kinds = sorted(resource.partition(":")[0] for resource in lease.epochs)
            devices = 2 if lease.run in self.accompanied else 1
            assert (kinds.count("device"), kinds.count("slot")) == (devices, devices)

    @invariant()
    def every_grant_has_the_epoch_after_the_last(self) -> None:
        for epochs in self.granted.values():
            assert epochs == list(range(1, len(epochs) + 1))

    @invariant()
    def a_live_lease_has_the_newest_epoch_of_all_it_covers(self) -> None:
        for lease in self.live:
            assert all(self.epochs[resource] == epoch for resource, epoch in lease.epochs.items())

    @invariant()
    def the_exclusive_instrument_serves_one_run(self) -> None:
        assert len([lease for lease in self.live if lease.host == "host-2"]) <= 1


TestLab = Lab.TestCase
TestLab.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
