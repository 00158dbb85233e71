"""Where agents and people are answered at once: heartbeats, renewals, reports, submissions, operators' orders.

Each method reads, lets a pure stage decide, commits, and answers after the commit. Reading and committing are one
step: against the loop and other threads by a lock, against other servers by one transaction.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lab_inventory.canonical import digest
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, NotFound, Unavailable
from lab_inventory.lab import Lab
from lab_inventory.messages import (
    BenchChecked,
    CaseEnded,
    Heartbeat,
    HeartbeatReply,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    RunReport,
    Standing,
)
from lab_inventory.noun import Noun
from lab_inventory.programme import Programme
from orchestrator.lifecycle.batch import BatchCancelled, BatchHeld, BatchReleased, SubmissionCancelled
from orchestrator.lifecycle.device import DeviceHeld, DeviceReleased
from orchestrator.lifecycle.host import HostDrained, HostUndrained
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.prompt import PromptAborted
from orchestrator.lifecycle.run import HOLDS_A_LEASE, RunCancelled, RunQueued, RunState, RunStopRequested
from orchestrator.pipeline.lease import standing
from orchestrator.pipeline.record import record
from orchestrator.pipeline.register import register
from orchestrator.pipeline.submit import BatchRequest, Refused, VendorBound, against_vendor, submit
from orchestrator.store import keeping, prompt_views, views
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.store import IdempotentReply, Reading, Store
from orchestrator.watch import Watch

HEARTBEAT_S = 5.0
WAITING_RUNS_MAX = 20_000
OPEN_PROMPTS_MAX = 20_000
PASS_ON_S = 2.0
PASSED_ON_MAX = 20_000


class BatchReply(Noun):
    """What a submitter is told."""

    batch: str
    submissions: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The synchronous side of the orchestrator; safe to be called from several threads.

    ``leads``: whether this server's own loop is the one that looks at ``watch``; what a follower hears goes to the
    leader through the database (docs/decisions/0004).
    """

    store: Store
    artifacts: Artifacts
    clock: Clock
    watch: Watch
    deciding: threading.RLock
    wake: Callable[[], None]
    leads: Callable[[], bool] = lambda: True

    def heartbeat(self, host: str, heartbeat: Heartbeat) -> HeartbeatReply:
        """Take what a host is and has; answer with its bench as the lab file gives it."""
        with self.deciding:
            with self.store.deciding() as connection:
                view = views.hosts(connection).get(host)
                known = views.known_units(connection)
                if view is None:
                    raise NotFound(f"host {host} is not in the lab file; apply a lab file that has it")
                passed_on = self._pass_on(connection, keeping.HOST, {host: PASS_ON_S}) if not self.leads() else {}
                self.watch.heard_at_s[host] = self.clock.boottime_s()
                self.watch.ray_trouble[host] = heartbeat.ray
                registered = register(heartbeat, view.config, known, self.clock.now(), self.clock.new_id)
                changed = keeping.keep_heartbeat(connection, host, heartbeat, registered.refusals)
                if changed:
                    self.store.lab_changed()
                if registered.facts:
                    self.store.commit(registered.facts)
            self.watch.passed_on_s.update(passed_on)
            self.watch.lab_changed |= changed
            if registered.facts or changed:
                self.wake()
        return HeartbeatReply(next_s=HEARTBEAT_S, host=view.config)

    def renew(self, host: str, request: RenewRequest) -> RenewReply:
        """Say of each lease whether it goes on; the only way in which a run is told to stop."""
        leading = self.leads()
        replies = []
        renewed: dict[str, float] = {}
        with self.deciding:
            with self.store.reading() if leading else self.store.deciding() as connection:
                for renewal in request.renewals:
                    lease = views.lease_of_run(connection, renewal.run)
                    reply = standing(renewal, host, lease)
                    if lease is not None and reply.standing is Standing.RENEWED:
                        renewed[lease.lease] = min(PASS_ON_S, lease.ttl_s / 6)
                    replies.append(reply)
                passed_on = {} if leading else self._pass_on(connection, keeping.LEASE, renewed)
            self.watch.passed_on_s.update(passed_on)
            if leading:
                self.watch.renewed_at_s.update(dict.fromkeys(renewed, self.clock.boottime_s()))
                if not self.leads():
                    # Whoever leads now counts from its take-over; what was noted here, nobody looks at.
                    raise Unavailable("another server is taking over; ask again")
        return RenewReply(leases=tuple(replies))

    def _pass_on(self, connection: Reading, kind: str, names: Mapping[str, float]) -> dict[tuple[str, str], float]:
        """Have the leader hear of leases or hosts; for each at most once in so many seconds. Gives when, for which.

        The answer to the agent comes after this is committed, and what is left out was committed a moment ago: so the
        leader counts a ttl from later than the agent does, or from so little before that the agent has stopped long
        before it is over.
        """
        now_s = self.clock.boottime_s()
        at_s = self.watch.passed_on_s
        due = sorted(name for name, every_s in names.items() if now_s - at_s.get((kind, name), -every_s) >= every_s)
        keeping.hear(connection, kind, due)
        while len(at_s) > PASSED_ON_MAX:
            del at_s[next(iter(at_s))]
        return dict.fromkeys(((kind, name) for name in due), now_s)

    def receive(self, host: str, batch: ReportBatch) -> ReportReply:
        """Record reports of a run. From the first report on whose evidence is missing, nothing is taken."""
        missing: list[str] = []
        whole = 0
        for report in batch.reports:
            missing.extend(address for address in _evidence_of(report) if not self.artifacts.has(address))
            if not missing:
                whole += 1
        with self.deciding:
            with self.store.deciding() as connection:
                run = views.run(connection, batch.run)
                taken = batch.model_copy(update={"reports": batch.reports[:whole]})
                recording = record(taken, run, host, self.clock.now())
                if recording.facts:
                    self.store.commit(recording.facts)
            if recording.facts:
                self.wake()
        return ReportReply(
            received=recording.received,
            missing_evidence=tuple(dict.fromkeys(missing)),
            next_seq=recording.next_seq,
        )

    def submit(self, by: str, request: BatchRequest, key: str, bound: VendorBound | None = None) -> BatchReply:
        """Take a batch: the same key and body get the same reply, whatever happened in between.

        Raises BadInput with every reason against it, Conflict for the same key with another body or a full queue.
        """
        body_digest = digest(request)
        with self.deciding, self.store.deciding() as connection:
            before = keeping.reply_to(connection, by, key)
            programmes = views.programmes(connection)
            units = frozenset(unit.key for unit in views.devices(connection))
            benches = [bench for host in views.hosts(connection).values() for bench in host.config.benches]
            waiting = views.waiting(connection)
            if before is not None:
                if before.body_digest != body_digest:
                    raise Conflict(f"the idempotency key {key} was used before with another body")
                return BatchReply.model_validate_json(before.reply)
            if bound is not None:
                problems = against_vendor(request, bound, views.open_submissions_of_vendor(connection, bound.vendor))
                if problems:
                    raise BadInput(f"{bound.vendor} cannot submit this", problems=problems)
            answer = submit(request, programmes, units, by, self.clock.now(), self.clock.new_id, benches)
            if isinstance(answer, Refused):
                raise BadInput("the batch is not accepted", problems=answer.problems)
            runs = sum(isinstance(fact, RunQueued) for fact in answer.facts)
            if waiting + runs > WAITING_RUNS_MAX:
                raise Conflict(f"{waiting} runs wait already; at most {WAITING_RUNS_MAX} are taken")
            asked = prompt_views.count_open(connection)
            if asked + len(answer.facts) - 1 - runs > OPEN_PROMPTS_MAX:
                raise Conflict(f"{asked} prompts are open already; at most {OPEN_PROMPTS_MAX} are taken")
            reply = BatchReply(batch=answer.batch, submissions=answer.submissions, warnings=answer.warnings)
            kept = IdempotentReply(principal=by, key=key, body_digest=body_digest, reply=reply.model_dump_json())
            self.store.commit(answer.facts, idempotent=kept)
        self.wake()
        return reply

    def hold_batch(self, batch: str, by: str, reason: str) -> None:
        """Nothing more of it is placed."""
        self._order(BatchHeld(batch=batch, by=by, reason=reason))

    def release_batch(self, batch: str, by: str) -> None:
        """It goes on."""
        self._order(BatchReleased(batch=batch, by=by))

    def cancel_batch(self, batch: str, by: str, reason: str) -> None:
        """What waits is cancelled at once; what runs is told to stop with its next renewal."""
        now = self.clock.now()
        with self.deciding, self.store.deciding() as connection:
            runs = views.runs_of_batch(connection, batch)
            submissions = views.open_submissions_of_batch(connection, batch)
            facts: list[Fact] = [BatchCancelled(batch=batch, by=by, reason=reason)]
            facts += [SubmissionCancelled(submission=submission, batch=batch) for submission in submissions]
            why = f"the batch was cancelled by {by}" + (f": {reason}" if reason else "")
            for run, state in runs:
                if state is RunState.WAITING:
                    facts.append(RunCancelled(run=run, reason=why, at=now))
                elif state in HOLDS_A_LEASE and state is not RunState.STOPPING:
                    facts.append(RunStopRequested(run=run, reason=why, at=now))
            facts += [
                PromptAborted(prompt=prompt, entry=self.clock.new_id("abt"), by=by, words=why, at=now)
                for prompt in prompt_views.waiting_of(connection, batch=batch)
            ]
            self.store.commit(facts)
        self.wake()

    def hold_device(self, device: str, by: str, reason: str) -> None:
        """Take a unit out; what runs on it goes on to its end."""
        self._order(DeviceHeld(device=device, by=by, reason=reason))

    def release_device(self, device: str, by: str) -> None:
        """Put a unit back in service."""
        self._order(DeviceReleased(device=device, by=by))

    def drain_host(self, host: str, by: str, reason: str) -> None:
        """Place nothing more at a host; what runs there goes on to its end."""
        self._order(HostDrained(host=host, by=by, reason=reason, at=self.clock.now()))

    def undrain_host(self, host: str, by: str) -> None:
        """Put a host back in service."""
        self._order(HostUndrained(host=host, by=by, at=self.clock.now()))

    def apply_lab(self, lab: Lab, by: str) -> None:
        """Make this the lab file; hosts get their part of it with their next heartbeat."""
        with self.deciding, self.store.administering() as connection:
            keeping.keep_lab(connection, lab, self.clock.now())
            self.store.lab_changed()
            self.watch.lab_changed = True
        self.wake()

    def keep_programmes(self, programmes: Iterable[Programme]) -> None:
        """Keep programmes by their digest; an accepted batch stays bound to the one it was accepted under."""
        with self.deciding, self.store.administering() as connection:
            keeping.keep_programmes(connection, programmes)

    def _order(self, *facts: Fact) -> None:
        with self.deciding:
            self.store.commit(facts)
        self.wake()


def _evidence_of(report: RunReport) -> Iterator[str]:
    """Every content address that a report rests on, in its order."""
    body = report.body
    if isinstance(body, CaseEnded):
        yield from (evidence.digest for evidence in body.evidence)
    if isinstance(body, CaseEnded | BenchChecked):
        for measurement in body.measurements:
            yield from measurement.evidence
