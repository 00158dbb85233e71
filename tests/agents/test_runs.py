"""Taking assignments, following their processes, handing out their reports."""

import errno
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_nouns import HOST, RememberingLog, assignment, case, companion, directory_for, host, registration, until
from fake_agent import DRIVERS, FAKE_RUN

from agents.launch import clean_environment
from agents.measure import LabError
from agents.processes import ProcessMark, mark_of
from agents.run_directory import RunDirectory
from agents.runs import Runs
from agents.settings import AgentSettings
from agents.spool import Spool
from agents.uplink_events import Event, LeaseAnswered, RunDelivered, RunHeld, RunOver, Spooled
from lab_inventory.clock import SystemClock
from lab_inventory.messages import (
    Acceptance,
    Assignment,
    DeviceUnderTest,
    Ended,
    RenewedLease,
    RunOutcome,
    Standing,
)

MEASURE_AND_HANG = (case("case-1"), case("case-2", "hang"))


class Bed:
    """Runs of one work directory, with what they told."""

    def __init__(self, work: Path, command: Sequence[str] = FAKE_RUN, **settings: object) -> None:
        work.mkdir(exist_ok=True)
        values = {"server_url": "http://127.0.0.1:1", "host": HOST, "work_dir": work, **settings}
        self.settings = AgentSettings.model_validate(values)
        self.log = RememberingLog()
        self.told: list[Event] = []
        self.slots: list[str] = []
        self.runs = Runs(
            self.settings,
            SystemClock(),
            self.log,
            drivers=DRIVERS,
            tell=self.told.append,
            hold_slots=lambda wanted: self.slots.extend(f"hold {slot.name}" for slot in wanted.slots),
            free_slot=lambda slot: self.slots.append(f"free {slot}"),
            command=command,
        )
        self.runs.host = host()

    def spooled(self, run: str = "run-1") -> list[str]:
        told = [event for event in self.told if isinstance(event, Spooled) and event.run == run]
        return [report.body.kind for report in told[-1].reports] if told else []

    def end(self) -> Ended | None:
        told = [event for event in self.told if isinstance(event, Spooled) and event.reports]
        last = told[-1].reports[-1].body if told else None
        return last if isinstance(last, Ended) else None

    def over(self, run: str = "run-1") -> bool:
        return RunOver(run=run) in self.told

    def directory(self, run: str = "run-1") -> RunDirectory:
        return RunDirectory(self.settings.runs_dir / run, SystemClock())

    def mark(self, run: str = "run-1") -> ProcessMark:
        mark = self.directory(run).process()
        assert mark is not None
        return mark

    def written(self, run: str = "run-1") -> int:
        spool = Spool(self.directory(run).spool_path, SystemClock())
        try:
            return spool.state().written
        finally:
            spool.close()

    def hangs(self, run: str = "run-1") -> bool:
        self.runs.look()
        return self.spooled(run)[-1:] == ["case-started"] and self.spooled(run).count("case-started") == 2


@asynccontextmanager
async def bed(work: Path, command: Sequence[str] = FAKE_RUN, **settings: object) -> AsyncIterator[Bed]:
    """Ends every process that was started here."""
    made = Bed(work, command, **settings)
    try:
        yield made
    finally:
        for run in [held.run for held in made.runs.held()]:
            mark = made.directory(run).process()
            if mark is not None:
                mark.signal(signal.SIGKILL)
                await until(lambda run=run: made.over(run))
        await made.runs.stop_following()


async def test_an_accepted_run_is_carried_out_in_a_process_of_its_own_and_delivered(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        assert b.runs.take(assignment()).answer is Acceptance.ACCEPTED
        assert RunHeld(run="run-1", epochs=assignment().epochs, ttl_s=900.0) in b.told
        await until(b.end)
        assert b.spooled()[0] == "started"
        assert b.slots[0] == "hold slot-1"
        assert b.slots[-1] == "free slot-1"
        b.runs.acknowledge("run-1", 99)
        assert RunDelivered(run="run-1") in b.told
        assert b.runs.held() == ()


async def test_the_end_of_a_run_is_handed_out_only_when_its_process_is_gone(tmp_path: Path) -> None:
    """Whoever hears of the end may send the next run to the slot at once, and must not be told that it is busy."""
    async with bed(tmp_path) as b:
        b.runs.take(assignment())
        mark = b.mark()
        await until(lambda: b.runs.look() or b.end())
        assert not mark.is_alive()
        assert b.runs.take(assignment("run-2", epoch=2)).answer is Acceptance.ACCEPTED
        await until(lambda: b.over("run-2"))


async def test_the_same_run_again_is_answered_already_while_it_lives_and_after(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment())
        assert b.runs.take(assignment()).answer is Acceptance.ALREADY
        await until(b.end)
        b.runs.acknowledge("run-1", 99)
        assert b.runs.take(assignment()).answer is Acceptance.ALREADY


async def test_a_lower_epoch_is_stale_even_for_the_next_agent(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(epoch=5))
        await until(b.over)
    async with bed(tmp_path) as b:
        lower, equal = b.runs.take(assignment("run-2", epoch=4)), b.runs.take(assignment("run-3", epoch=5))
        assert lower.answer is Acceptance.STALE
        assert equal.answer is Acceptance.STALE
        assert "epoch 5 of run run-1" in lower.reason
        assert not b.directory("run-2").path.exists()


def undriven() -> Assignment:
    return assignment(dut=DeviceUnderTest(device="device-1", registration=registration(driver=None)))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (assignment(host="host-b"), "it is for host host-b"),
        (assignment(slot_name="slot-9"), "there is no slot slot-9"),
        (undriven(), "has no driver"),
        (
            assignment(dut=DeviceUnderTest(device="d", registration=registration(driver="other"))),
            "driver other is not installed",
        ),
        (assignment(companions=(companion("slot-9"),)), "there is no slot slot-9"),
        (assignment(companions=(companion(driver=None),)), "the device in slot slot-2 has no driver"),
    ],
)
async def test_what_this_host_cannot_carry_out_is_refused_with_its_reason(
    tmp_path: Path, wanted: Assignment, reason: str
) -> None:
    async with bed(tmp_path) as b:
        answer = b.runs.take(wanted)
        assert answer.answer is Acceptance.REFUSED
        assert reason in answer.reason
        assert b.slots == []


async def test_a_busy_slot_refuses_a_second_run_and_the_other_slot_takes_it(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=MEASURE_AND_HANG))
        busy = b.runs.take(assignment("run-2", epoch=2))
        assert busy.answer is Acceptance.REFUSED
        assert busy.reason == "slot slot-1 is busy with run run-1"
        assert b.runs.take(assignment("run-3", slot_name="slot-2")).answer is Acceptance.ACCEPTED


async def test_a_run_with_a_companion_holds_both_slots_and_leaves_both(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(companions=(companion(),)))
        busy = b.runs.take(assignment("run-2", slot_name="slot-2"))
        assert busy.reason == "slot slot-2 is busy with run run-1"
        await until(b.over)
        assert set(b.slots[-2:]) == {"free slot-1", "free slot-2"}
        assert b.runs.take(assignment("run-3", slot_name="slot-2")).answer is Acceptance.ACCEPTED


async def test_a_run_whose_companion_is_busy_is_refused_whole(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment("run-1", slot_name="slot-2", cases=MEASURE_AND_HANG))
        refused = b.runs.take(assignment("run-2", companions=(companion(),)))
        assert refused.reason == "slot slot-2 is busy with run run-1"
        assert b.slots == ["hold slot-2", "hold slot-2"]


async def test_a_run_that_crashed_has_its_companion_reset_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_AGENT_WORK_DIR", str(tmp_path))
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=(case("case-1", "die"),), companions=(companion(),)))
        ended = await until(b.end)
        assert ended.reason.endswith("of the companion in slot slot-2: its device was reset")
        assert (tmp_path / "resets").read_text() == "127.0.0.1:1\n" * 2


async def test_without_space_in_the_work_directory_nothing_is_taken(tmp_path: Path) -> None:
    async with bed(tmp_path, free_bytes_min=10**18) as b:
        assert "MB left" in b.runs.take(assignment()).reason


async def test_a_process_that_cannot_be_started_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with bed(tmp_path, command=("/no/such/program",)) as b:
        answer = b.runs.take(assignment())
        assert answer.answer is Acceptance.REFUSED
        assert "could not be started" in answer.reason
        assert list(b.settings.runs_dir.iterdir()) == []
        assert b.slots == ["hold slot-1", "free slot-1"]


def test_a_runs_process_sees_neither_credentials_nor_anything_of_ray() -> None:
    seen = clean_environment(
        {"PATH": "/bin", "RAY_ADDRESS": "x", "ASSAY_AGENT_JOIN_TOKEN": "x", "OMP_NUM_THREADS": "1"}
    )
    assert seen == {"PATH": "/bin"}


async def test_a_run_that_crashed_gets_an_end_and_its_device_a_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_AGENT_WORK_DIR", str(tmp_path))
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=(case("case-1", "die"),)))
        ended = await until(b.end)
        assert ended.outcome is RunOutcome.ERROR
        assert ended.reason == "the run's process died without an end; its device was reset"
        assert (tmp_path / "resets").read_text() == "127.0.0.1:1\n"
        assert b.slots[-1] == "free slot-1"


async def test_an_order_to_stop_reaches_the_run_and_it_ends_stopped(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=MEASURE_AND_HANG))
        await until(b.hangs)
        cancelled = RenewedLease(run="run-1", standing=Standing.CANCELLED, ttl_s=0, reason="by an operator")
        b.runs.lease_answered(LeaseAnswered(lease=cancelled, sent_at_s=0))
        ended = await until(b.end)
        assert ended.outcome is RunOutcome.STOPPED
        assert "by an operator" in ended.reason


async def test_a_run_that_does_not_stop_when_it_must_is_killed_after_a_grace(tmp_path: Path) -> None:
    async with bed(tmp_path, stop_grace_s=0.5) as b:
        b.runs.take(assignment(cases=MEASURE_AND_HANG))
        await until(b.hangs)
        os.kill(b.mark().pid, signal.SIGSTOP)
        cancelled = RenewedLease(run="run-1", standing=Standing.CANCELLED, ttl_s=0)
        b.runs.lease_answered(LeaseAnswered(lease=cancelled, sent_at_s=0))
        ended = await until(b.end)
        assert "died without an end" in ended.reason
        assert "run-killed" in b.log.slugs()


async def test_a_renewal_is_kept_where_the_runs_process_reads_it(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=MEASURE_AND_HANG))
        sent_at_s = b.directory().lease().renewed_at_s + 5
        renewed = RenewedLease(run="run-1", standing=Standing.RENEWED, ttl_s=100)
        b.runs.lease_answered(LeaseAnswered(lease=renewed, sent_at_s=sent_at_s))
        lease = b.directory().lease()
        assert (lease.renewed_at_s, lease.ttl_s) == (sent_at_s, 100)


async def test_a_renewal_that_cannot_be_written_does_not_stop_the_run_while_the_last_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=MEASURE_AND_HANG))
        await until(b.hangs)
        before = b.directory().lease()
        renewed = RenewedLease(run="run-1", standing=Standing.RENEWED, ttl_s=100)
        answer = LeaseAnswered(lease=renewed, sent_at_s=before.renewed_at_s + 5)
        with monkeypatch.context() as full:
            full.setattr(RunDirectory, "write_lease", _no_space)
            b.runs.lease_answered(answer)
        assert b.log.slugs()[-1] == "lease-not-kept"
        assert b.directory().lease() == before
        b.runs.lease_answered(answer)
        assert b.directory().lease().renewed_at_s == answer.sent_at_s
        assert b.mark().is_alive()
        assert "run-told-to-stop" not in b.log.slugs()


async def test_an_acknowledgement_that_cannot_be_written_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment())
        await until(b.end)
        last = b.written()
        with monkeypatch.context() as full:
            full.setattr(Spool, "acknowledge", _full)
            b.runs.acknowledge("run-1", last)
        told = len(b.told)
        b.runs.look()
        again = b.told[told]
        assert isinstance(again, Spooled)
        assert again.reports[-1].seq == last
        b.runs.acknowledge("run-1", last)
        assert b.told[-1] == RunDelivered(run="run-1")


def _no_space(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _full(*arguments: object) -> None:
    raise LabError("the run's spool cannot be acknowledged: database or disk is full")


async def test_reports_are_told_as_the_spool_grows_and_not_again_without_need(tmp_path: Path) -> None:
    async with bed(tmp_path) as b:
        b.runs.take(assignment(cases=MEASURE_AND_HANG))
        await until(b.hangs)
        told = len(b.told)
        b.runs.look()
        assert len(b.told) == told
        b.runs.acknowledge("run-1", 4)
        assert b.spooled() == ["case-ended", "case-started"]


async def test_a_run_found_dead_at_the_start_gets_its_end_and_frees_its_slot(tmp_path: Path) -> None:
    directory_for(tmp_path / "runs", assignment())
    async with bed(tmp_path) as b:
        b.runs.adopt()
        ended = await until(b.end)
        assert ended.outcome is RunOutcome.ERROR
        assert not ended.within_deadline
        assert b.slots == ["hold slot-1", "free slot-1"]


async def test_a_run_that_ended_while_no_agent_was_there_is_delivered_by_the_next(tmp_path: Path) -> None:
    directory = directory_for(tmp_path / "runs", assignment())
    spool = Spool(directory.spool_path, directory.clock)
    spool.append(Ended(outcome=RunOutcome.COMPLETED, within_deadline=True))
    spool.close()
    async with bed(tmp_path) as b:
        b.runs.adopt()
        assert b.spooled() == ["ended"]
        assert b.slots == []
        b.runs.acknowledge("run-1", 1)
        assert RunDelivered(run="run-1") in b.told


async def test_a_process_that_has_the_id_of_a_dead_run_is_not_taken_for_it(tmp_path: Path) -> None:
    directory = directory_for(tmp_path / "runs", assignment())
    own = mark_of(os.getpid())
    assert own is not None
    directory.write_process(own.model_copy(update={"start_ticks": own.start_ticks - 1}))
    async with bed(tmp_path) as b:
        b.runs.adopt()
        assert await until(b.end)
    assert mark_of(os.getpid()) == own


async def test_a_directory_that_cannot_be_read_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    directory = directory_for(tmp_path / "runs", assignment())
    (directory.path / "assignment.json").write_text("{")
    async with bed(tmp_path, keep_delivered_runs=0) as b:
        b.runs.adopt()
        assert "run-directory-unreadable" in b.log.slugs()
        assert b.runs.held() == ()
        assert directory.path.exists()


async def test_delivered_directories_beyond_those_kept_are_removed_oldest_first(tmp_path: Path) -> None:
    for number in range(1, 6):
        directory = directory_for(tmp_path / "runs", assignment(f"run-{number}"))
        spool = Spool(directory.spool_path, directory.clock)
        spool.append(Ended(outcome=RunOutcome.COMPLETED, within_deadline=True))
        spool.acknowledge(0 if number == 1 else 1)
        spool.close()
        os.utime(directory.path / "assignment.json", (number, number))
    async with bed(tmp_path, keep_delivered_runs=2) as b:
        b.runs.adopt()
        assert sorted(folder.name for folder in b.settings.runs_dir.iterdir()) == ["run-1", "run-4", "run-5"]


async def test_a_draft_that_a_crash_left_behind_is_removed(tmp_path: Path) -> None:
    draft = tmp_path / "runs" / ".draft-1"
    draft.mkdir(parents=True)
    (draft / "assignment.json").write_text("{")
    async with bed(tmp_path) as b:
        b.runs.adopt()
        assert not draft.exists()


async def test_a_broken_ledger_of_epochs_lets_nothing_be_taken(tmp_path: Path) -> None:
    (tmp_path / "epochs.json").write_text(json.dumps({"resources": {"device:d": "?"}}))
    with pytest.raises(Exception, match=r"epochs\.json"):
        Bed(tmp_path)
