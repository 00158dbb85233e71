"""A run from its directory to its end, with a suite that needs no phone."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from agent_nouns import HOST, INSTRUMENT, RememberingLog, assignment, case, directory_for, until
from fake_suite import FakeSuite, opens

from agents.bench_record import keep_record, this_machine
from agents.processes import mark_of
from agents.run import EXIT_STATUS_FENCED, Run
from agents.run_directory import ExitRecord, RunDirectory
from agents.score.on_record import score_on_record
from agents.spool import Spool
from agents.version import VERSION, instruments_version
from lab_inventory.clock import SystemClock
from lab_inventory.lab import Calibration
from lab_inventory.messages import (
    Assignment,
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    Ended,
    ReportBody,
    RunOutcome,
    Standing,
    Started,
)
from tests.made_up_record import made_up_record

_held: list[Spool] = []
FAKE_RUN = (sys.executable, str(Path(__file__).with_name("fake_suite.py")))


def bodies(directory: RunDirectory) -> list[ReportBody]:
    spool = Spool(directory.spool_path, directory.clock)
    try:
        return [report.body for report in spool.unacknowledged(1000)]
    finally:
        spool.close()


def kinds(directory: RunDirectory) -> list[str]:
    return [body.kind for body in bodies(directory)]


def case_ends(directory: RunDirectory) -> list[CaseEnded]:
    return [body for body in bodies(directory) if isinstance(body, CaseEnded)]


def end(directory: RunDirectory) -> Ended:
    last = bodies(directory)[-1]
    assert isinstance(last, Ended)
    return last


async def carry_out(
    tmp_path: Path, wanted: Assignment, behave: str = ""
) -> tuple[RunDirectory, ExitRecord, list[FakeSuite]]:
    directory, opened = directory_for(tmp_path, wanted), list[FakeSuite]()
    run = Run(directory, SystemClock(), RememberingLog(), find_suite=lambda category: opens(behave, opened))
    record = await run.carry_out()
    assert record is not None
    return directory, record, opened


async def test_a_run_reports_its_events_in_their_fixed_order_and_tears_down_before_its_end(tmp_path: Path) -> None:
    wanted = assignment(cases=(case("case-1", repeats=2), case("case-2")))
    directory, record, opened = await carry_out(tmp_path, wanted)
    assert kinds(directory) == [
        "started",
        "bench-checked",
        "device-identified",
        *["case-started", "case-ended"] * 3,
        "ended",
    ]
    assert opened[0].did == ["check_bench", "identify_device", "case-1", "case-1", "case-2", "close"]
    assert [(one.case, one.repeat) for one in case_ends(directory)] == [("case-1", 1), ("case-1", 2), ("case-2", 1)]
    assert record.outcome is RunOutcome.COMPLETED
    assert directory.exit_record() == record
    assert end(directory).within_deadline


async def test_a_run_reports_the_instruments_of_its_bench_where_a_calibration_of_theirs_can_be_overdue(
    tmp_path: Path,
) -> None:
    plain, _, _ = await carry_out(tmp_path / "plain", assignment())
    score = score_on_record(tmp_path, "ip-phone")
    assert score is not None
    assert bodies(plain)[0] == Started(suite_version=VERSION, pid=os.getpid(), score=score)
    calibrated = INSTRUMENT.model_copy(update={"calibration": Calibration(method="maker", due_on=date(2026, 1, 2))})
    directory, _, _ = await carry_out(tmp_path / "calibrated", assignment(instruments=(calibrated, INSTRUMENT)))
    first = bodies(directory)[0]
    assert isinstance(first, Started)
    assert first.instruments == (calibrated, INSTRUMENT)


async def test_a_measured_case_brings_its_measurements_and_the_evidence_lies_in_the_directory(tmp_path: Path) -> None:
    directory, _, _ = await carry_out(tmp_path, assignment())
    [ended] = case_ends(directory)
    assert ended.status is CaseStatus.MEASURED
    assert ended.measurements[0].value == 5.0
    [evidence] = ended.evidence
    kept = directory.evidence_folder / evidence.digest.removeprefix("sha256:")
    assert kept.read_bytes() == b"trace of case-1"


async def test_a_bench_that_fails_its_own_check_measures_nothing(tmp_path: Path) -> None:
    directory, record, opened = await carry_out(tmp_path, assignment(), "bad-bench")
    assert kinds(directory) == ["started", "bench-checked", "ended"]
    assert opened[0].did == ["check_bench", "close"]
    assert record.outcome is RunOutcome.ERROR
    checked = bodies(directory)[1]
    assert isinstance(checked, BenchChecked)
    assert not checked.passed


async def test_a_device_that_is_another_unit_is_not_tested(tmp_path: Path) -> None:
    directory, record, opened = await carry_out(tmp_path, assignment(), "other-unit")
    assert kinds(directory) == ["started", "bench-checked", "device-identified", "ended"]
    assert opened[0].did[-1] == "close"
    assert record.outcome is RunOutcome.ERROR
    identified = bodies(directory)[2]
    assert isinstance(identified, DeviceIdentified)
    assert identified.user_agent == "Acme  One"


async def test_a_lab_error_before_the_cases_ends_the_run_as_an_error(tmp_path: Path) -> None:
    directory, record, opened = await carry_out(tmp_path, assignment(), "bench-lab-error")
    assert record.outcome is RunOutcome.ERROR
    assert "the address is taken" in end(directory).reason
    assert opened[0].did[-1] == "close"


async def test_a_category_without_a_suite_is_an_error_in_words(tmp_path: Path) -> None:
    directory = directory_for(tmp_path, assignment())
    record = await Run(directory, SystemClock(), RememberingLog(), find_suite=lambda category: None).carry_out()
    assert record is not None
    assert record.reason == "this agent has no suite for devices of category ip-phone"


@pytest.mark.parametrize(
    ("procedure", "reason"),
    [
        ("lab-error", "the phone's control cannot be reached"),
        ("crash", "the procedure crash crashed: KeyError: 'missing"),
        ("cancels-itself", "the procedure cancels-itself crashed: CancelledError"),
        ("unheard-of", "has no procedure unheard-of"),
    ],
)
async def test_a_case_that_goes_wrong_is_an_error_without_measurements_and_the_next_goes_on(
    tmp_path: Path, procedure: str, reason: str
) -> None:
    wanted = assignment(cases=(case("case-1", procedure), case("case-2")))
    directory, record, _ = await carry_out(tmp_path, wanted)
    wrong, right = case_ends(directory)
    assert wrong.status is CaseStatus.ERROR
    assert reason in wrong.reason
    assert wrong.measurements == ()
    assert right.status is CaseStatus.MEASURED
    assert record.outcome is RunOutcome.COMPLETED


async def test_a_procedure_that_hangs_is_ended_by_its_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.cases.time_limit_s", lambda case: 0.05)
    directory, _, _ = await carry_out(tmp_path, assignment(cases=(case("case-1", "hang"), case("case-2"))))
    hung, after = case_ends(directory)
    assert hung.status is CaseStatus.ERROR
    assert hung.reason == "the procedure did not end within 0.05 s"
    assert after.status is CaseStatus.MEASURED


async def test_a_case_whose_condition_the_ics_does_not_meet_is_not_run(tmp_path: Path) -> None:
    wanted = assignment(cases=(case("case-1", condition="codec.g722"), case("case-2", condition="hold")))
    directory, _, opened = await carry_out(tmp_path, wanted)
    first, second = case_ends(directory)
    assert first.status is CaseStatus.NOT_RUN
    assert "codec.g722" in first.reason
    assert second.status is CaseStatus.MEASURED
    assert "case-1" not in opened[0].did


async def test_a_window_in_which_the_bench_stalled_is_measured_again(tmp_path: Path) -> None:
    wanted = assignment(cases=(case("case-1", "stalls-once"),), stall_budget={"case-1": {"delay_ms": 1.0}})
    directory, _, opened = await carry_out(tmp_path, wanted)
    [ended] = case_ends(directory)
    assert opened[0].windows == 2
    assert ended.measurements[0].bench_stall == 0.0
    assert ended.reason == "1 window was thrown away because the bench itself stalled."


async def test_a_bench_that_always_stalls_is_reported_as_it_is_after_the_third_window(tmp_path: Path) -> None:
    wanted = assignment(cases=(case("case-1", "stalls"),), stall_budget={"case-1": {"delay_ms": 1.0}})
    directory, _, opened = await carry_out(tmp_path, wanted)
    [ended] = case_ends(directory)
    assert opened[0].windows == 3
    assert ended.status is CaseStatus.MEASURED
    assert ended.measurements[0].bench_stall == 99.0


async def test_a_teardown_that_fails_is_told_and_the_run_still_ends(tmp_path: Path) -> None:
    directory, record, _ = await carry_out(tmp_path, assignment(), "bad-close")
    assert record.outcome is RunOutcome.COMPLETED
    assert "teardown failed: OSError: the socket is gone" in end(directory).reason


@pytest.mark.parametrize("standing", [Standing.CANCELLED, Standing.REVOKED, Standing.LAPSED, Standing.UNKNOWN])
async def test_an_order_in_mid_case_stops_the_run_and_tears_down(tmp_path: Path, standing: Standing) -> None:
    directory, opened = directory_for(tmp_path, assignment(cases=(case("case-1", "hang"),))), list[FakeSuite]()
    run = Run(directory, SystemClock(), RememberingLog(), find_suite=lambda category: opens("", opened))
    carrying = asyncio.create_task(run.carry_out())
    await until(lambda: opened and "case-1" in opened[0].did)
    directory.write_lease(directory.lease().model_copy(update={"standing": standing, "reason": "by an operator"}))
    record = await carrying
    assert record is not None
    assert record.outcome is RunOutcome.STOPPED
    assert "by an operator" in record.reason
    assert opened[0].did[-1] == "close"
    assert kinds(directory)[-2:] == ["case-started", "ended"]


async def test_a_lease_that_is_not_renewed_stops_the_run_by_its_own_clock(tmp_path: Path) -> None:
    wanted = assignment(cases=(case("case-1", "hang"),), ttl_s=0.9)
    _, record, opened = await carry_out(tmp_path, wanted)
    assert record.outcome is RunOutcome.STOPPED
    assert "no renewal of the lease was answered" in record.reason
    assert opened[0].did[-1] == "close"


async def test_a_run_past_its_deadline_ends_as_the_labs_error_and_says_that_it_was_late(tmp_path: Path) -> None:
    wanted = assignment(cases=(case("case-1", "hang"),), deadline_s=0.5)
    directory, record, _ = await carry_out(tmp_path, wanted)
    assert record.outcome is RunOutcome.ERROR
    assert not end(directory).within_deadline


async def test_a_run_that_was_given_up_before_it_began_touches_nothing(tmp_path: Path) -> None:
    directory, opened = directory_for(tmp_path, assignment()), list[FakeSuite]()
    spool = Spool(directory.spool_path, directory.clock)
    spool.append(Ended(outcome=RunOutcome.ERROR, within_deadline=True))
    spool.close()
    run = Run(directory, SystemClock(), RememberingLog(), find_suite=lambda category: opens("", opened))
    assert await run.carry_out() is None
    assert opened == []


@pytest.fixture(autouse=True)
def held() -> Iterator[None]:
    """An agent holds the spool of a run open as long as its process lives: closed by the last that has it, SQLite
    puts its log away, and whoever opens it just then is told that it is locked.
    """
    yield
    while _held:
        _held.pop().close()


def start(directory: RunDirectory) -> subprocess.Popen[bytes]:
    _held.append(Spool(directory.spool_path, SystemClock()))
    with directory.log_path.open("ab") as log:
        return subprocess.Popen([*FAKE_RUN, str(directory.path)], stdout=log, stderr=log, start_new_session=True)


async def test_a_process_that_is_told_to_terminate_tears_down_and_leaves_its_exit_record(tmp_path: Path) -> None:
    directory = directory_for(tmp_path, assignment(cases=(case("case-1", "hang"),)))
    process = start(directory)
    await until(lambda: directory.is_alive() and "case-started" in kinds(directory))
    assert directory.process() == mark_of(process.pid)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0
    record = directory.exit_record()
    assert record is not None
    assert record.outcome is RunOutcome.STOPPED
    assert not directory.is_alive()


async def test_a_second_process_for_a_run_that_lives_leaves_it_alone(tmp_path: Path) -> None:
    directory = directory_for(tmp_path, assignment(cases=(case("case-1", "hang"),)))
    first = start(directory)
    await until(lambda: directory.is_alive() and "case-started" in kinds(directory))
    before = kinds(directory)
    second = start(directory)
    assert await asyncio.to_thread(second.wait, 10) == 2
    assert kinds(directory) == before
    assert directory.process() == mark_of(first.pid)
    first.terminate()
    assert await asyncio.to_thread(first.wait, 10) == 0


async def test_a_procedure_that_blocks_its_process_is_fenced_when_the_lease_is_lost(tmp_path: Path) -> None:
    directory = directory_for(tmp_path, assignment(cases=(case("case-1", "block"),), ttl_s=3.0))
    process = start(directory)
    assert await asyncio.to_thread(process.wait, 20) == EXIT_STATUS_FENCED
    assert directory.exit_record() is None


async def test_a_process_that_sleeps_through_its_lease_does_nothing_when_it_wakes(tmp_path: Path) -> None:
    """SIGSTOP for longer than the ttl, then SIGCONT: no teardown, for the device may be another's by now."""
    directory = directory_for(tmp_path, assignment(cases=(case("case-1", "hang"),), ttl_s=2.5))
    process = start(directory)
    await until(lambda: directory.is_alive() and "case-started" in kinds(directory))
    os.kill(process.pid, signal.SIGSTOP)
    lost_at_s = directory.lease().lost_at_s
    await until(lambda: directory.clock.boottime_s() > lost_at_s + 0.1)
    os.kill(process.pid, signal.SIGCONT)
    await asyncio.to_thread(process.wait, 10)
    assert kinds(directory)[-1] == "case-started"


@pytest.mark.parametrize(("software", "uncertainty"), [(instruments_version(), 1.033908), ("0.0+another", 1.0)])
async def test_a_run_tells_the_record_of_its_bench_and_takes_the_larger_uncertainty_where_it_holds(
    tmp_path: Path, software: str, uncertainty: float
) -> None:
    clock = SystemClock()
    record = made_up_record(
        "bench-a", HOST, node=this_machine(), software=software, at=clock.now(), instruments=(INSTRUMENT.name,)
    )
    keep_record(tmp_path, record, clock)
    directory, _, _ = await carry_out(tmp_path / "runs", assignment())
    first = bodies(directory)[0]
    assert isinstance(first, Started)
    assert first.characterised is not None
    assert (first.characterised.record, first.characterised.host) == (record, HOST)
    assert case_ends(directory)[0].measurements[0].uncertainty == pytest.approx(uncertainty, abs=1e-6)
