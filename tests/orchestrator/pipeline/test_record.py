"""One delivery of reports against the lease of its run."""

from typing import Any

import pytest
import small_lab

from lab_inventory.canonical import digest
from lab_inventory.errors import Conflict, Forbidden, NotFound
from lab_inventory.messages import (
    REPORTS_PER_BATCH_MAX,
    CaseStarted,
    Ended,
    Reception,
    ReportBatch,
    ReportBody,
    RunOutcome,
    RunReport,
    Started,
)
from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.lifecycle.lease import LeaseReleased, LeaseState
from orchestrator.lifecycle.run import (
    EvidenceRecorded,
    ReportQuarantined,
    RunCancelled,
    RunCompleted,
    RunErrored,
    RunStarted,
    RunState,
)
from orchestrator.lifecycle.snapshot import RunView
from orchestrator.pipeline.record import Recording, record, reports_digest

STARTED = Started(suite_version="1", pid=1)
CASE = CaseStarted(case="TC-1", repeat=1)
WELL = Ended(outcome=RunOutcome.COMPLETED, within_deadline=True)


def report(seq: int, body: ReportBody) -> RunReport:
    return RunReport(seq=seq, at=small_lab.NOW, body=body)


WHOLE = (report(1, STARTED), report(2, CASE), report(3, WELL))


def taken(run: RunView | None, *reports: RunReport, host: str = "host-1", **epochs: int) -> Recording:
    batch = ReportBatch(run="run-1", epochs=epochs or dict(small_lab.EPOCHS), reports=reports)
    return record(batch, run, host, small_lab.NOW)


def lapsed(**change: Any) -> RunView:
    lease = small_lab.lease("run-1", state=LeaseState.LAPSED, run_state=RunState.LAPSED)
    return small_lab.run_view(**({"state": RunState.LAPSED, "lease": lease} | change))


def kinds(recording: Recording) -> list[str]:
    return [type(fact).__name__ for fact in recording.facts]


def receptions(recording: Recording) -> dict[int, Reception]:
    return {received.seq: received.reception for received in recording.received}


def reasons(recording: Recording) -> set[str]:
    return {received.reason for received in recording.received}


def test_the_first_report_starts_the_run() -> None:
    recording = taken(small_lab.run_view(), report(1, STARTED))
    assert kinds(recording) == ["EvidenceRecorded", "RunStarted"]
    assert recording.next_seq == 2


def test_a_whole_run_is_recorded_completed_and_its_lease_released() -> None:
    recording = taken(small_lab.run_view(), *WHOLE)
    assert kinds(recording) == [
        "EvidenceRecorded",
        "RunStarted",
        "EvidenceRecorded",
        "EvidenceRecorded",
        "RunCompleted",
        "LeaseReleased",
    ]
    assert set(receptions(recording).values()) == {Reception.RECORDED}
    completed = recording.facts[-2]
    assert isinstance(completed, RunCompleted)
    assert completed.reports_digest == reports_digest({each.seq: digest(each) for each in WHOLE})


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Ended(outcome=RunOutcome.ERROR, reason="bench broken", within_deadline=True), "bench broken"),
        (Ended(outcome=RunOutcome.STOPPED, within_deadline=True), "the run ended stopped"),
        (Ended(outcome=RunOutcome.COMPLETED, within_deadline=False), "it ended after its deadline"),
    ],
    ids=["error", "stopped though nobody told it to", "too late"],
)
def test_a_run_that_did_not_end_well_is_an_error_of_the_lab(ended: Ended, reason: str) -> None:
    recording = taken(small_lab.run_view(), report(1, STARTED), report(2, ended))
    errored, released = recording.facts[-2:]
    assert isinstance(errored, RunErrored)
    assert errored.reason == reason
    assert isinstance(released, LeaseReleased)


def test_a_run_that_was_told_to_stop_is_cancelled_however_it_ended() -> None:
    lease = small_lab.lease("run-1", run_state=RunState.STOPPING)
    recording = taken(small_lab.run_view(state=RunState.STOPPING, lease=lease), *WHOLE)
    assert isinstance(recording.facts[-2], RunCancelled)
    assert isinstance(recording.facts[-1], LeaseReleased)


def test_after_a_gap_nothing_is_taken_until_what_is_missing_comes() -> None:
    recording = taken(small_lab.run_view(), WHOLE[0], WHOLE[2])
    assert receptions(recording) == {1: Reception.RECORDED}
    assert recording.next_seq == 2


def test_what_is_known_already_is_a_duplicate() -> None:
    run = small_lab.run_view(state=RunState.RUNNING, digests={1: digest(WHOLE[0])}, next_seq=2)
    recording = taken(run, *WHOLE[:2])
    assert receptions(recording) == {1: Reception.DUPLICATE, 2: Reception.RECORDED}
    assert kinds(recording) == ["EvidenceRecorded"]


def test_another_content_under_a_known_number_is_kept_apart_and_changes_nothing() -> None:
    run = small_lab.run_view(state=RunState.RUNNING, digests={1: digest(WHOLE[0])}, next_seq=2)
    recording = taken(run, report(1, CASE), WHOLE[1])
    assert receptions(recording) == {1: Reception.QUARANTINED, 2: Reception.RECORDED}
    assert "another content" in recording.received[0].reason


def test_what_was_kept_apart_before_is_acknowledged_and_not_kept_again() -> None:
    run = small_lab.run_view(
        state=RunState.RUNNING,
        digests={1: digest(WHOLE[0])},
        quarantined=frozenset({(1, digest(report(1, CASE)))}),
        next_seq=2,
    )
    recording = taken(run, report(1, CASE))
    assert receptions(recording) == {1: Reception.QUARANTINED}
    assert recording.facts == ()


def test_nothing_follows_the_end_of_a_run() -> None:
    recording = taken(small_lab.run_view(), *WHOLE, report(4, CASE))
    assert receptions(recording)[4] is Reception.QUARANTINED
    assert "after the report that the run ended" in recording.received[-1].reason


@pytest.mark.parametrize("epochs", [{"device:dev-1": 2, "slot:host-1/slot-1": 5}, {"device:dev-1": 3}])
def test_reports_under_other_epochs_never_count(epochs: dict[str, int]) -> None:
    recording = taken(small_lab.run_view(), *WHOLE, **epochs)
    assert set(kinds(recording)) == {"ReportQuarantined"}
    assert reasons(recording) == {"it names other epochs than those the run was granted"}


def test_reports_of_another_host_are_forbidden() -> None:
    with pytest.raises(Forbidden):
        taken(small_lab.run_view(), *WHOLE, host="host-2")


def test_reports_of_a_run_that_was_never_placed_are_forbidden() -> None:
    with pytest.raises(Forbidden):
        taken(small_lab.run_view(lease=None, state=RunState.WAITING), *WHOLE)


def test_reports_of_a_run_that_is_not_known_have_no_place() -> None:
    with pytest.raises(NotFound):
        taken(None, *WHOLE)


@pytest.mark.parametrize(
    ("state", "lease"),
    [
        (RunState.COMPLETED, LeaseState.RELEASED),
        (RunState.ERROR, LeaseState.REVOKED),
        (RunState.CANCELLED, LeaseState.RELEASED),
    ],
)
def test_after_a_run_ended_nothing_new_counts(state: RunState, lease: LeaseState) -> None:
    run = small_lab.run_view(state=state, lease=small_lab.lease("run-1", state=lease, run_state=state))
    recording = taken(run, *WHOLE)
    assert set(kinds(recording)) == {"ReportQuarantined"}
    assert reasons(recording) == {f"the run had ended ({state}) and its lease was {lease}"}


def test_a_late_delivery_with_its_end_counts_if_nobody_else_drove_the_device() -> None:
    recording = taken(lapsed(), *WHOLE)
    assert kinds(recording) == ["EvidenceRecorded"] * 3
    assert set(receptions(recording).values()) == {Reception.RECORDED}


def test_a_late_delivery_goes_on_from_what_was_recorded_before_the_lapse() -> None:
    run = lapsed(digests={1: digest(WHOLE[0])}, next_seq=2)
    recording = taken(run, *WHOLE)
    assert receptions(recording) == {1: Reception.DUPLICATE, 2: Reception.RECORDED, 3: Reception.RECORDED}


@pytest.mark.parametrize("reports", [WHOLE[:2], (WHOLE[0], WHOLE[2]), (WHOLE[1], WHOLE[2])])
def test_a_late_delivery_without_its_end_or_with_a_gap_waits(reports: tuple[RunReport, ...]) -> None:
    recording = taken(lapsed(), *reports)
    assert (recording.facts, recording.received, recording.next_seq) == ((), (), 1)


def test_while_a_late_delivery_waits_what_is_known_is_still_acknowledged() -> None:
    run = lapsed(digests={1: digest(WHOLE[0])}, next_seq=2)
    recording = taken(run, *WHOLE[:2])
    assert receptions(recording) == {1: Reception.DUPLICATE}
    assert recording.next_seq == 2


def test_a_late_delivery_that_did_not_end_in_time_does_not_count() -> None:
    late = Ended(outcome=RunOutcome.COMPLETED, within_deadline=False)
    recording = taken(lapsed(), WHOLE[0], report(2, late))
    assert set(kinds(recording)) == {"ReportQuarantined"}
    assert reasons(recording) == {"the lease had lapsed, and the run did not end within its deadline"}


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lapsed(later_epoch_granted=True), "another run may have driven the device since"),
        (lapsed(submission_state=SubmissionState.JUDGED), "the submission was judged without it"),
        (lapsed(submission_state=SubmissionState.CANCELLED), "the run was cancelled"),
        (lapsed(state=RunState.CANCELLED), "the run was cancelled"),
        (lapsed(ended=True), "after the report that the run ended"),
    ],
    ids=["superseded", "judged", "submission cancelled", "run cancelled", "ended already"],
)
def test_a_late_delivery_that_can_no_longer_count_is_kept_apart(run: RunView, reason: str) -> None:
    recording = taken(run, *WHOLE)
    assert set(kinds(recording)) == {"ReportQuarantined"}
    assert all(reason in told for told in reasons(recording))


def test_a_late_run_too_long_for_one_delivery_does_not_wait_for_ever() -> None:
    many = [report(seq, CASE) for seq in range(1, REPORTS_PER_BATCH_MAX + 1)]
    recording = taken(lapsed(), *many)
    assert len(recording.received) == REPORTS_PER_BATCH_MAX
    assert set(kinds(recording)) == {"ReportQuarantined"}


def test_what_is_recorded_is_recorded_as_it_came() -> None:
    (recorded, _) = taken(small_lab.run_view(), WHOLE[0]).facts
    assert isinstance(recorded, EvidenceRecorded)
    assert (recorded.report, recorded.digest) == (WHOLE[0], digest(WHOLE[0]))


def test_what_is_kept_apart_is_kept_with_its_content() -> None:
    run = lapsed(later_epoch_granted=True)
    (kept,) = taken(run, WHOLE[0]).facts
    assert isinstance(kept, ReportQuarantined)
    assert (kept.report, kept.digest) == (WHOLE[0], digest(WHOLE[0]))


def test_a_run_whose_agent_ended_it_before_it_began_has_started_and_ended() -> None:
    given_up = Ended(outcome=RunOutcome.ERROR, reason="it was given up", within_deadline=True)
    facts = taken(small_lab.run_view(state=RunState.PLACED), report(1, given_up)).facts
    assert isinstance(facts[1], RunStarted)
    assert isinstance(facts[2], RunErrored)


def test_what_does_not_count_is_kept_up_to_a_bound_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.pipeline.record.QUARANTINED_PER_RUN_MAX", 2)
    run = small_lab.run_view(state=RunState.COMPLETED, lease=small_lab.lease("run-1", state=LeaseState.RELEASED))
    first = taken(run, report(1, STARTED), report(2, CASE))
    assert kinds(first) == ["ReportQuarantined", "ReportQuarantined"]
    with pytest.raises(Conflict, match="2 reports of run-1 are kept apart; no more are taken"):
        taken(run, *WHOLE)
