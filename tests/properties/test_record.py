"""Reports that are lost, repeated, reordered, late or forged: what counts is the same, and what does not never does."""

from dataclasses import replace
from typing import Any

import small_lab
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lab_inventory.canonical import digest
from lab_inventory.messages import (
    CaseStarted,
    Ended,
    Reception,
    ReportBatch,
    ReportBody,
    RunOutcome,
    RunReport,
    Started,
)
from orchestrator.lifecycle import lease as leases
from orchestrator.lifecycle import run as runs
from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.lifecycle.lease import LeaseReleased, LeaseState
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import EvidenceRecorded, ReportQuarantined, RunCompleted, RunState
from orchestrator.lifecycle.snapshot import RunView
from orchestrator.pipeline.lease import lapse
from orchestrator.pipeline.record import Recording, record, reports_digest

LENGTH = 6


def reports_of_a_run(*, within_deadline: bool = True) -> tuple[RunReport, ...]:
    bodies: list[ReportBody] = [Started(suite_version="1", pid=1)]
    bodies += [CaseStarted(case="TC-1", repeat=repeat) for repeat in range(1, LENGTH - 1)]
    bodies.append(Ended(outcome=RunOutcome.COMPLETED, within_deadline=within_deadline))
    return tuple(RunReport(seq=seq, at=small_lab.NOW, body=body) for seq, body in enumerate(bodies, 1))


def after(run: RunView, facts: tuple[Fact, ...]) -> RunView:
    """The run as the store would show it once ``facts`` are committed; Conflict where a machine makes no such move."""
    for fact in facts:
        lease = run.lease
        assert lease is not None
        if isinstance(fact, EvidenceRecorded):
            assert fact.report.seq == run.next_seq
            run = replace(
                run,
                digests={**run.digests, fact.report.seq: fact.digest},
                next_seq=run.next_seq + 1,
                ended=run.ended or isinstance(fact.report.body, Ended),
            )
        elif isinstance(fact, ReportQuarantined):
            run = replace(run, quarantined=run.quarantined | {(fact.report.seq, fact.digest)})
        elif fact.machine == "run":
            state = RunState(runs.MACHINE.next(run.state, fact))
            run = replace(run, state=state, lease=replace(lease, run_state=state))
        elif fact.machine == "lease":
            run = replace(run, lease=replace(lease, state=LeaseState(leases.MACHINE.next(lease.state, fact))))
    return run


def delivery(*reports: RunReport, stale: bool = False) -> ReportBatch:
    epochs = {resource: epoch - stale for resource, epoch in small_lab.EPOCHS.items()}
    return ReportBatch(run="run-1", epochs=epochs, reports=reports)


def deliver(run: RunView, *reports: RunReport) -> tuple[RunView, Recording]:
    recording = record(delivery(*reports), run, "host-1", small_lab.NOW)
    return after(run, recording.facts), recording


PIECES = st.lists(st.lists(st.sampled_from(reports_of_a_run()), min_size=1, max_size=LENGTH + 2), max_size=8)


@settings(deadline=None)
@given(PIECES)
def test_any_order_and_repetition_of_deliveries_records_the_same(pieces: list[list[RunReport]]) -> None:
    reports = reports_of_a_run()
    run = small_lab.run_view()
    facts: list[Fact] = []
    for piece in [*pieces, list(reports)]:
        run, recording = deliver(run, *piece)
        facts += recording.facts
    assert run.digests == {report.seq: digest(report) for report in reports}
    recorded = [fact.report for fact in facts if isinstance(fact, EvidenceRecorded)]
    assert tuple(recorded) == reports
    (completed,) = [fact for fact in facts if isinstance(fact, RunCompleted)]
    assert completed.reports_digest == reports_digest({report.seq: digest(report) for report in reports})
    assert not run.quarantined
    assert len([fact for fact in facts if isinstance(fact, LeaseReleased)]) == 1


@settings(deadline=None)
@given(PIECES)
def test_every_report_of_a_delivery_is_acknowledged_or_waits_for_what_is_missing(pieces: list[list[RunReport]]) -> None:
    run = small_lab.run_view()
    for piece in pieces:
        run, recording = deliver(run, *piece)
        answered = {received.seq for received in recording.received}
        waiting = {report.seq for report in piece} - answered
        assert recording.next_seq == run.next_seq
        assert all(seq > recording.next_seq for seq in waiting)
        assert answered <= {report.seq for report in piece}


FORFEITS: dict[str, dict[str, Any]] = {
    "a later epoch was granted": {"later_epoch_granted": True},
    "the submission was judged": {"submission_state": SubmissionState.JUDGED},
    "the submission was cancelled": {"submission_state": SubmissionState.CANCELLED},
}


@settings(deadline=None)
@given(PIECES, st.integers(0, 8), st.sampled_from(sorted(FORFEITS)))
def test_nothing_of_a_lapsed_run_counts_once_it_is_forfeit(
    pieces: list[list[RunReport]], lapses_at: int, forfeit: str
) -> None:
    run = small_lab.run_view()
    for number, piece in enumerate([*pieces, list(reports_of_a_run())]):
        if number == min(lapses_at, len(pieces)) and run.lease is not None and run.lease.state is LeaseState.LIVE:
            run = replace(after(run, lapse(run.lease, small_lab.NOW)), **FORFEITS[forfeit])
        before = run
        run, recording = deliver(run, *piece)
        if before.state is RunState.LAPSED:
            assert run.digests == before.digests
            assert run.state is RunState.LAPSED
            kept_out = {Reception.QUARANTINED, Reception.DUPLICATE}
            assert {received.reception for received in recording.received} <= kept_out
            assert len(recording.received) == len(piece)


class Delivery(RuleBasedStateMachine):
    """A run whose agent sends what it likes, while its lease lapses, is superseded, and its submission is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.run = small_lab.run_view()
        self.sent = reports_of_a_run()
        self.counting: dict[int, str] = {}
        self.ends: list[Fact] = []
        self.kept_apart: list[tuple[int, str]] = []

    def take(self, batch: ReportBatch, *, may_count: bool) -> Recording:
        recording = record(batch, self.run, "host-1", small_lab.NOW)
        for fact in recording.facts:
            if isinstance(fact, EvidenceRecorded):
                assert may_count, "evidence was recorded that must not count"
                self.counting[fact.report.seq] = fact.digest
            elif isinstance(fact, ReportQuarantined):
                self.kept_apart.append((fact.report.seq, fact.digest))
            elif type(fact).__name__ in ("RunCompleted", "RunErrored", "RunCancelled", "LeaseReleased"):
                self.ends.append(fact)
        self.run = after(self.run, recording.facts)
        return recording

    @property
    def may_count(self) -> bool:
        lease = self.run.lease
        assert lease is not None
        live = lease.state is LeaseState.LIVE
        in_time = lease.state is LeaseState.LAPSED and self.run.submission_state is SubmissionState.OPEN
        return not self.run.later_epoch_granted and (live or in_time)

    @rule(pick=st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=LENGTH))
    def send(self, pick: list[int]) -> None:
        self.take(delivery(*(self.sent[at] for at in pick)), may_count=self.may_count)

    @rule()
    def send_all(self) -> None:
        self.take(delivery(*self.sent), may_count=self.may_count)

    @rule(pick=st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=LENGTH))
    def send_under_other_epochs(self, pick: list[int]) -> None:
        self.take(delivery(*(self.sent[at] for at in pick), stale=True), may_count=False)

    @rule(at=st.integers(0, LENGTH - 1))
    def send_another_report_under_a_recorded_number(self, at: int) -> None:
        if self.sent[at].seq in self.run.digests:
            forged = RunReport(seq=at + 1, at=small_lab.NOW, body=CaseStarted(case="TC-9", repeat=9))
            waits = self.run.state is RunState.LAPSED and not self.run.ended
            receptions = [received.reception for received in self.take(delivery(forged), may_count=False).received]
            assert receptions == [Reception.QUARANTINED] or (waits and not receptions)

    @precondition(lambda self: not self.run.ended)
    @rule()
    def the_run_turns_out_late(self) -> None:
        self.sent = (*self.sent[:-1], reports_of_a_run(within_deadline=False)[-1])

    @precondition(lambda self: self.run.lease.state is LeaseState.LIVE)
    @rule()
    def lapse(self) -> None:
        assert self.run.lease is not None
        self.run = after(self.run, lapse(self.run.lease, small_lab.NOW))

    @precondition(lambda self: self.run.lease.state is not LeaseState.LIVE)
    @rule()
    def another_run_gets_the_unit(self) -> None:
        self.run = replace(self.run, later_epoch_granted=True)

    @precondition(lambda self: self.run.lease.state is not LeaseState.LIVE)
    @rule(state=st.sampled_from([SubmissionState.JUDGED, SubmissionState.CANCELLED]))
    def the_submission_ends(self, state: SubmissionState) -> None:
        self.run = replace(self.run, submission_state=state)

    @invariant()
    def what_counts_is_in_sequence_and_what_was_sent(self) -> None:
        assert self.counting == dict(self.run.digests)
        assert sorted(self.counting) == list(range(1, self.run.next_seq))
        genuine = {digest(report) for report in (*reports_of_a_run(), *reports_of_a_run(within_deadline=False))}
        assert set(self.counting.values()) <= genuine

    @invariant()
    def it_ends_at_most_once_and_never_after_a_lapse(self) -> None:
        assert len(self.ends) in (0, 2)
        if self.run.state is RunState.LAPSED:
            assert not self.ends

    @invariant()
    def what_counts_of_a_lapsed_run_that_ended_is_within_its_deadline(self) -> None:
        late = digest(reports_of_a_run(within_deadline=False)[-1])
        if self.run.state is RunState.LAPSED:
            assert late not in self.counting.values()

    @invariant()
    def what_does_not_count_is_kept_once(self) -> None:
        assert len(self.kept_apart) == len(set(self.kept_apart))


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
