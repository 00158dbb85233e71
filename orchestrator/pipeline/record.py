"""Reports of a run against the lease it was granted: recorded, known already, waited with, or quarantined. Pure.

Reports are delivered at least once and in any order; each is recorded exactly once and only in sequence, so that a
gap waits for what is missing (``next_seq`` tells the sender). What counts:

- under a live lease, everything of the holder up to the run's end;
- after the lease lapsed, a delivery that holds everything from what is recorded to the run's end, where that end came
  within the run's own deadline, no later epoch of any of its resources was granted, and the submission is not judged
  yet: then nobody else drove the device, and no judgement is changed behind its back. A delivery without the end waits
  unacknowledged, because only the end tells; it waits no longer than until the submission is judged or cancelled;
- anything else, nothing.

What does not count is quarantined: kept once and shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from lab_inventory.canonical import digest
from lab_inventory.errors import Conflict, Forbidden, NotFound
from lab_inventory.messages import (
    REPORTS_PER_BATCH_MAX,
    Ended,
    ReceivedReport,
    Reception,
    ReportBatch,
    RunOutcome,
    RunReport,
)
from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.lifecycle.lease import LeaseReleased, LeaseState
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import (
    MACHINE,
    EvidenceRecorded,
    ReportQuarantined,
    RunCancelled,
    RunCompleted,
    RunErrored,
    RunStarted,
    RunState,
)
from orchestrator.lifecycle.snapshot import LeaseView, RunView

QUARANTINED_PER_RUN_MAX = 5_000


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What to commit, what to answer for each report, and the sequence number that is waited for.

    A report that is not among ``received`` waits: it is to be sent again.
    """

    facts: tuple[Fact, ...]
    received: tuple[ReceivedReport, ...]
    next_seq: int


def record(batch: ReportBatch, run: RunView | None, host: str, now: datetime) -> Recording:
    """Decide about one delivery. Raises NotFound and Forbidden for runs that are not the host's, Conflict where more
    that does not count would have to be kept than is kept of one run.
    """
    if run is None:
        raise NotFound(f"there is no run {batch.run}")
    if run.lease is None or run.lease.host != host:
        raise Forbidden(f"run {batch.run} was never placed on host {host}")
    reports = sorted(((report, digest(report)) for report in batch.reports), key=lambda entry: entry[0].seq)
    fresh = [report for report, _ in reports if report.seq >= run.next_seq]
    why_not = _why_not(batch, run, run.lease)
    if not why_not and run.lease.state is LeaseState.LAPSED:
        if not _holds_the_end(fresh, run):
            return _Tally(run, run.lease, now).waiting_for_the_end(reports)
        why_not = _why_too_late(fresh)
    tally = _Tally(run, run.lease, now)
    for report, address in reports:
        tally.take(report, address, why_not)
    return tally.recording()


class _Tally:
    """Goes through one delivery in sequence and collects what comes of it."""

    def __init__(self, run: RunView, lease: LeaseView, now: datetime) -> None:
        self._run = run
        self._lease = lease
        self._late = lease.state is not LeaseState.LIVE
        self._now = now
        self._digests = dict(run.digests)
        self._quarantined = set(run.quarantined)
        self._ended = run.ended
        self._next_seq = run.next_seq
        self._facts: list[Fact] = []
        self._received: list[ReceivedReport] = []

    def take(self, report: RunReport, address: str, why_not: str) -> None:
        """Decide about one report. ``why_not``: why nothing new of this delivery counts, or empty."""
        known = self._digests.get(report.seq)
        if known == address:
            self._received.append(ReceivedReport(seq=report.seq, reception=Reception.DUPLICATE))
        elif known:
            self._quarantine(report, address, f"report {report.seq} was recorded before with another content")
        elif why_not or self._ended:
            self._quarantine(report, address, why_not or "it came after the report that the run ended")
        elif report.seq == self._next_seq:
            self._record(report, address)

    def waiting_for_the_end(self, reports: Sequence[tuple[RunReport, str]]) -> Recording:
        """Acknowledge what is known already, and nothing else."""
        for report, address in reports:
            if self._digests.get(report.seq) == address:
                self._received.append(ReceivedReport(seq=report.seq, reception=Reception.DUPLICATE))
        return self.recording()

    def recording(self) -> Recording:
        """All that came of the delivery."""
        return Recording(facts=tuple(self._facts), received=tuple(self._received), next_seq=self._next_seq)

    def _quarantine(self, report: RunReport, address: str, reason: str) -> None:
        """Keep a report apart, once, however often it is sent."""
        if (report.seq, address) not in self._quarantined:
            if len(self._quarantined) >= QUARANTINED_PER_RUN_MAX:
                raise Conflict(f"{len(self._quarantined)} reports of {self._run.run} are kept apart; no more are taken")
            self._quarantined.add((report.seq, address))
            self._facts.append(
                ReportQuarantined(
                    run=self._run.run, report=report, digest=address, reason=reason, late=self._late, at=self._now
                )
            )
        self._received.append(ReceivedReport(seq=report.seq, reception=Reception.QUARANTINED, reason=reason))

    def _record(self, report: RunReport, address: str) -> None:
        self._digests[report.seq] = address
        self._next_seq += 1
        recorded = EvidenceRecorded(run=self._run.run, report=report, digest=address, late=self._late, at=self._now)
        self._facts.append(recorded)
        self._received.append(ReceivedReport(seq=report.seq, reception=Reception.RECORDED))
        self._ended = isinstance(report.body, Ended)
        if self._run.state in MACHINE.terminal:
            return  # a lapsed run stays lapsed, though its reports count
        if report.seq == 1:
            self._facts.append(RunStarted(run=self._run.run, at=self._now))
        if isinstance(report.body, Ended):
            self._facts.append(_end_of(self._run, report.body, self._digests, self._now))
            self._facts.append(LeaseReleased(lease=self._lease.lease, at=self._now))


def reports_digest(digests: Mapping[int, str]) -> str:
    """The digest of all reports of a run: canonical JSON of their digests, by seq."""
    return digest([digests[seq] for seq in sorted(digests)])


def _end_of(run: RunView, body: Ended, digests: Mapping[int, str], now: datetime) -> Fact:
    """How a run under a live lease ended. One that stopped though nobody told it to is the lab's error."""
    if run.state is RunState.STOPPING:
        return RunCancelled(run=run.run, reason=body.reason or "it was told to stop", at=now)
    if body.outcome is not RunOutcome.COMPLETED:
        return RunErrored(run=run.run, reason=body.reason or f"the run ended {body.outcome}", at=now)
    if not body.within_deadline:
        return RunErrored(run=run.run, reason="it ended after its deadline", at=now)
    return RunCompleted(run=run.run, reports_digest=reports_digest(digests), at=now)


def _why_not(batch: ReportBatch, run: RunView, lease: LeaseView) -> str:
    """Why nothing new of a delivery counts whatever is in it, or nothing."""
    if dict(lease.epochs) != batch.epochs:
        return "it names other epochs than those the run was granted"
    if run.later_epoch_granted:
        return "a later epoch was granted: another run may have driven the device since"
    if lease.state is LeaseState.LIVE:
        return ""
    if lease.state is not LeaseState.LAPSED:
        return f"the run had ended ({run.state}) and its lease was {lease.state}"
    if run.ended:
        return "it came after the report that the run ended"
    if run.state is not RunState.LAPSED or run.submission_state is SubmissionState.CANCELLED:
        return "the lease had lapsed and the run was cancelled"
    if run.submission_state is not SubmissionState.OPEN:
        return f"the lease had lapsed and the submission was {run.submission_state} without it"
    return ""


def _holds_the_end(fresh: Sequence[RunReport], run: RunView) -> bool:
    """Whether a late delivery holds everything from what is recorded to the run's end, or can never do so."""
    whole = bool(fresh) and fresh[0].seq == run.next_seq and all(b.seq <= a.seq + 1 for a, b in pairwise(fresh))
    has_end = any(isinstance(report.body, Ended) for report in fresh)
    return (whole and has_end) or len(fresh) >= REPORTS_PER_BATCH_MAX


def _why_too_late(fresh: Sequence[RunReport]) -> str:
    """Why a late delivery that holds the run's end does not count after all, or nothing."""
    ends = [report.body for report in fresh if isinstance(report.body, Ended)]
    if not ends:
        return f"the lease had lapsed, and {REPORTS_PER_BATCH_MAX} reports came without the run's end"
    if not all(end.within_deadline for end in ends):
        return "the lease had lapsed, and the run did not end within its deadline"
    return ""
