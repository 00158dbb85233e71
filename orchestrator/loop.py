"""The loop: what came in → what ended → judge → place → dispatch. It never waits.

``tick(inbox)`` takes what came since the last pass and gives what is to be done outside: the same code runs in the
server and under a simulator. Everything it decides is committed before it is returned as an effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lab_inventory.canonical import digest
from lab_inventory.clock import Clock
from lab_inventory.errors import InvariantBroken
from lab_inventory.messages import Acceptance
from orchestrator.authority.review import opened
from orchestrator.care import PROBATION_WAITS_S, Care
from orchestrator.certificates import expire
from orchestrator.control import Control
from orchestrator.desk import Desk
from orchestrator.granting import Granting, SignsCertificates
from orchestrator.lifecycle.batch import BatchCompleted, SubmissionState
from orchestrator.lifecycle.lease import LeaseReleased
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.prompt import CLOSED
from orchestrator.lifecycle.run import (
    EvidenceRecorded,
    ReportQuarantined,
    RunCancelled,
    RunCompleted,
    RunErrored,
    RunStarted,
    RunState,
    RunTaken,
)
from orchestrator.lifecycle.snapshot import HostView, LeaseView, SubmissionView
from orchestrator.lifecycle.verdict import SubmissionJudged
from orchestrator.pipeline.certify import NeedsDecision, decide
from orchestrator.pipeline.judge import judge, undecided
from orchestrator.pipeline.lease import grant, lapse, lapsed, refuse
from orchestrator.pipeline.plan import Exhausted, assignment, next_attempt
from orchestrator.pipeline.publish import Notice
from orchestrator.pipeline.register import silent
from orchestrator.pipeline.schedule.place import Deferral, place
from orchestrator.pipeline.waived import NONE_WAIVED
from orchestrator.prompts import lapse_prompts
from orchestrator.store import keeping, views
from orchestrator.store.store import JournalHead, Reading
from orchestrator.waiving import lapse_waivers, waived_now

PLACEMENTS_PER_TICK_MAX = 200
SETTLED_PER_TICK_MAX = 50
DISPATCHES_PER_TICK_MAX = 50
DISPATCH_AGAIN_S = 3.0


@dataclass(frozen=True, kw_only=True)
class DispatchAnswered:
    """What came of a dispatch. ``answer`` None: nobody knows (the call failed); the lease decides."""

    run: str
    answer: Acceptance | None
    reason: str = ""
    ray_node: str = ""
    ray_actor: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerReady:
    """The Ray worker of a host can be reached."""

    host: str


@dataclass(frozen=True, kw_only=True)
class WorkerLost:
    """The Ray worker of a host cannot be reached, with the reason in words."""

    host: str
    reason: str


Event = DispatchAnswered | WorkerReady | WorkerLost

_CHANGES_NO_PLACING = (RunTaken, RunStarted, EvidenceRecorded, ReportQuarantined)
"""Facts of running work, of which many come, and after which no run could be placed that could not before."""
_SLUGS_END_RUNS = frozenset({RunCompleted.__name__, RunErrored.__name__})
_TOPICS_OF_CONTROL = frozenset({"devices", "drifts"})
_SLUGS_CHANGE_NO_PLACING = frozenset(kind.__name__ for kind in _CHANGES_NO_PLACING)


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Hand an assignment to the Ray worker of a host. Repeating it is harmless."""

    run: str
    host: str
    inbox: str
    assignment_json: str


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What is to be done now; ``again``: the bound of one pass was reached, so another should follow at once."""

    dispatches: tuple[Dispatch, ...]
    again: bool


class Loop:
    """One leader's passes over the lab."""

    def __init__(
        self,
        desk: Desk,
        signer: SignsCertificates,
        *,
        lease_ttl_s: float,
        host_silent_s: float,
        probation_waits_s: Sequence[float] = PROBATION_WAITS_S,
    ) -> None:
        self.care = Care(desk, probation_waits_s=probation_waits_s)
        self.control = Control(desk)
        self._desk = desk
        self._store = desk.store
        self._clock: Clock = desk.clock
        self._watch = desk.watch
        self._granting = Granting(signer, desk.clock)
        self._signer = signer
        self._lease_ttl_s = lease_ttl_s
        self._host_silent_s = host_silent_s
        self._dirty = True
        self._nothing_to_try: set[str] = set()
        """Submissions that wait for people alone: none of their runs is to be repeated."""
        self.waiting: Mapping[str, Deferral] = {}
        desk.store.listen(self._committed)

    def _committed(self, facts: Sequence[Fact]) -> None:
        self._dirty |= any(not isinstance(fact, _CHANGES_NO_PLACING) for fact in facts)

    def changed_elsewhere(self, told: Sequence[Notice]) -> None:
        """This was committed by another server."""
        self._dirty |= any(notice.slug not in _SLUGS_CHANGE_NO_PLACING for notice in told)
        self.care.heard(notice.entity for notice in told if notice.slug in _SLUGS_END_RUNS)
        if any(notice.slug in _SLUGS_END_RUNS or notice.topic in _TOPICS_OF_CONTROL for notice in told):
            self.control.heard()

    def tick(self, inbox: Sequence[Event]) -> Effects:
        """One pass."""
        with self._desk.deciding:
            now, now_s = self._clock.now(), self._clock.boottime_s()
            for event in inbox:
                self._take(event, now, now_s)
            self._lapse(now, now_s)
            self._hear_silence(now, now_s)
            lapsed_more = lapse_waivers(self._store, now)
            lapsed_prompts = lapse_prompts(self._store, now, self._clock.new_id)
            settled = self._settle(now, now_s)
            expired = expire(self._store, self._signer, now)
            self.care.look(now, now_s)
            self.control.look(now, now_s)
            more = self._place(now, now_s)
            dispatches = self._dispatch(now_s)
            full = len(dispatches) >= DISPATCHES_PER_TICK_MAX
            again = more or settled or expired or full or lapsed_more or lapsed_prompts
            return Effects(dispatches=dispatches, again=again)

    def _take(self, event: Event, now: datetime, now_s: float) -> None:
        if isinstance(event, WorkerReady):
            self._watch.not_ready.pop(event.host, None)
            self._dirty = True
        elif isinstance(event, WorkerLost):
            self._watch.not_ready[event.host] = event.reason
            self._dirty = True
        else:
            self._take_answer(event, now, now_s)

    def _take_answer(self, event: DispatchAnswered, now: datetime, now_s: float) -> None:
        """An unknown answer changes nothing: the dispatch is repeated until the agent answers or the lease lapses."""
        with self._store.deciding() as connection:
            untaken = views.untaken(connection, event.run)
            if not untaken or event.answer is None:
                return
            (lease,) = untaken
            if event.answer in (Acceptance.ACCEPTED, Acceptance.ALREADY):
                self._watch.refused.pop(lease.host, None)
                # The agent counts its ttl from now on, so the lease must not lapse here before it does there.
                self._watch.renewed_at_s[lease.lease] = now_s
                self._store.commit([self._taken(event, lease, now, now_s)])
            elif lease.run_state is RunState.PLACED:
                self._watch.refuse(lease.host, event.reason, now_s)
                reason = f"the agent of {lease.host} did not take it ({event.answer}): {event.reason}"
                self._store.commit(refuse(lease, reason, now))
            elif lease.run_state is RunState.STOPPING:
                # It was stopped before anybody had it; an agent that runs it would have said so.
                reason = lease.stop_reason or "it was told to stop"
                self._store.commit(
                    [LeaseReleased(lease=lease.lease, at=now), RunCancelled(run=event.run, reason=reason, at=now)]
                )

    def _taken(self, event: DispatchAnswered, lease: LeaseView, now: datetime, now_s: float) -> RunTaken:
        """The latency counts from the placing; by the wall clock where the server was restarted in between."""
        placed_at_s = self._watch.placed_at_s.get(event.run)
        latency_s = (now - lease.granted_at).total_seconds() if placed_at_s is None else now_s - placed_at_s
        return RunTaken(
            run=event.run,
            ray_node=event.ray_node,
            ray_actor=event.ray_actor,
            dispatch_latency_s=max(0.0, latency_s),
            at=now,
        )

    def _lapse(self, now: datetime, now_s: float) -> None:
        with self._store.deciding() as connection:
            leases = views.live_leases(connection)
            # Read in the transaction that lapses: what a follower answered before is known, and after it is too late.
            told = keeping.all_heard(connection)
            self._watch.hear(told, now_s)
            self._watch.follow(((lease.lease, lease.run) for lease in leases), now_s)
            over = {name for kind, name in told if kind == keeping.LEASE} - {lease.lease for lease in leases}
            if over:
                keeping.forget_heard(connection, keeping.LEASE, over)
            for lease in lapsed(leases, self._watch.renewed_at_s, now_s):
                self._store.commit(lapse(lease, now))

    def _hear_silence(self, now: datetime, now_s: float) -> None:
        with self._store.deciding() as connection:
            hosts = self._watch.silent(views.hosts_of_units(connection), now_s, self._host_silent_s)
            known = views.known_units(connection) if hosts else {}
            facts = silent(known, hosts, now)
            if facts:
                self._store.commit(facts)

    def _settle(self, now: datetime, now_s: float) -> bool:
        """Judge what is fully measured, try again what the lab failed to measure, complete batches.

        What was measured on a bench with a drift that nobody has explained waits.
        """
        with self._store.reading() as connection:
            drifting = self.control.held_back(connection, now_s)
            ready = views.unjudged(connection, SETTLED_PER_TICK_MAX, but=drifting)
            asking = views.waiting_for_people(connection)
        self._nothing_to_try.intersection_update(asking)
        ready += tuple(one for one in asking if one not in self._nothing_to_try)[:SETTLED_PER_TICK_MAX]
        for submission in ready:
            with self._store.deciding() as connection:
                view = views.submission(connection, submission)
                if view is not None and view.state is SubmissionState.OPEN:
                    self._settle_submission(view, now)
        with self._store.deciding() as connection:
            finished = views.finished_batches(connection, SETTLED_PER_TICK_MAX)
            for batch in finished:
                self._store.commit([BatchCompleted(batch=batch, by="assay")])
        return max(len(ready), len(finished)) >= SETTLED_PER_TICK_MAX

    def _settle_submission(self, view: SubmissionView, now: datetime) -> None:
        with self._store.reading() as connection:
            programme = views.programme(connection, view.programme_digest)
            lab = views.lab(connection)
            waived = waived_now(connection, view, programme, now) if programme else NONE_WAIVED
        if programme is None:
            raise InvariantBroken(f"programme {view.programme_digest} of {view.submission} is not kept")
        open_cases = undecided(view, programme)
        suites = dict.fromkeys(run.suite for run in view.runs)
        again = [next_attempt(view, suite, open_cases, programme, now, self._clock.new_id) for suite in suites]
        attempts = [attempt for attempt in again if attempt is not None and not isinstance(attempt, Exhausted)]
        if attempts:
            self._store.commit(attempts)
            return
        if any(prompt.state not in CLOSED for prompt in view.prompts):
            self._nothing_to_try.add(view.submission)
            return
        judgement = judge(view, programme, waived)
        judged = SubmissionJudged(
            submission=view.submission, batch=view.batch, judgement=judgement, digest=digest(judgement), at=now
        )
        decision = decide(judgement, programme, now, self._clock.new_id)

        def facts(head: JournalHead) -> list[Fact]:
            if isinstance(decision, NeedsDecision):
                return [judged, *opened(programme, judged)]
            granted = self._granting.facts(decision, judgement, view, programme, lab=lab, head=head, now=now)
            return [judged, *granted]

        self._store.commit(facts)

    def _place(self, now: datetime, now_s: float) -> bool:
        """Place what can be placed, where anything has changed since the last pass."""
        waited = self._watch.forget_refusals(now_s)
        if not (self._dirty or self._watch.lab_changed or waited):
            return False
        self._dirty = self._watch.lab_changed = False
        with self._store.reading() as connection:
            snapshot = views.snapshot(connection)
        plan = place(
            snapshot,
            not_ready=self._watch.not_ready,
            refusing=self._watch.refusing(),
            placements_max=PLACEMENTS_PER_TICK_MAX,
        )
        self.waiting = {deferral.run: deferral for deferral in plan.deferrals}
        if not plan.placements:
            return False
        grants = [grant(p, snapshot, self._lease_ttl_s, now, self._clock.new_id) for p in plan.placements]
        answers = self._store.commit_each(grants)
        for placement, conflict in zip(plan.placements, answers, strict=True):
            if conflict is None:
                self._watch.placed_at_s[placement.run.run] = now_s
        self._dirty = plan.more or any(answers)
        return self._dirty

    def _dispatch(self, now_s: float) -> tuple[Dispatch, ...]:
        """The runs that no agent has said yet it took, those never asked for first, but none asked for a moment ago.

        One that already runs, or was told to stop, is asked as well: the answer names the Ray node that carried it,
        and whether there is anybody to stop.
        """
        asked_s = self._watch.dispatched_at_s
        dispatches: list[Dispatch] = []
        with self._store.reading() as connection:
            due = [
                lease
                for lease in views.untaken(connection)
                if lease.run not in asked_s or now_s - asked_s[lease.run] >= DISPATCH_AGAIN_S
            ]
            hosts = views.hosts(connection) if due else {}
            for lease in sorted(due, key=lambda lease: asked_s.get(lease.run, 0.0)):
                if len(dispatches) == DISPATCHES_PER_TICK_MAX:
                    break
                dispatch = self._dispatch_of(connection, lease, hosts.get(lease.host))
                if dispatch is not None:
                    asked_s[lease.run] = now_s
                    dispatches.append(dispatch)
        return tuple(dispatches)

    @staticmethod
    def _dispatch_of(connection: Reading, lease: LeaseView, host: HostView | None) -> Dispatch | None:
        run = views.run(connection, lease.run)
        registration = views.placed_unit(connection, lease.run)
        content = views.content(connection, run.submission) if run else None
        if run is None or registration is None or host is None or host.inbox is None or content is None:
            return None
        programme = views.programme(connection, content[1])
        if programme is None or host.config.slot(lease.slot) is None:
            return None
        companions = views.placed_companions(connection, lease.run)
        if any(host.config.slot(beside.slot) is None for beside in companions):
            return None
        made = assignment(run, lease, registration, host.config, content[0], programme, companions)
        return Dispatch(run=run.run, host=lease.host, inbox=host.inbox, assignment_json=made.model_dump_json())
