import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.measure import LabError
from agents.spool import Spool
from lab_inventory.clock import ManualClock
from lab_inventory.messages import CaseEnded, CaseStarted, CaseStatus, Ended, RunOutcome, Started

STARTED = Started(suite_version="1", pid=1)
ENDED = Ended(outcome=RunOutcome.COMPLETED, within_deadline=True)


def case_started(repeat: int) -> CaseStarted:
    return CaseStarted(case="case-1", repeat=repeat)


def long_report(size: int) -> CaseEnded:
    reason = "x" * min(size, 2000)
    return CaseEnded(case="case-1", repeat=1, status=CaseStatus.ERROR, reason=reason, duration_s=0)


def spool_at(path: Path, **bounds: int) -> Spool:
    return Spool(path / "spool.sqlite3", ManualClock(), **bounds)


def test_reports_are_numbered_from_one_without_gaps(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    assert [spool.append(STARTED), spool.append(case_started(1)), spool.append(case_started(2))] == [1, 2, 3]
    assert [report.seq for report in spool.unacknowledged(10)] == [1, 2, 3]
    spool.close()


def test_what_another_process_acknowledges_is_not_handed_out_again(tmp_path: Path) -> None:
    writer, reader = spool_at(tmp_path), spool_at(tmp_path)
    for repeat in range(1, 6):
        writer.append(case_started(repeat))
    reader.acknowledge(3)
    writer.append(case_started(6))
    assert [report.seq for report in reader.unacknowledged(10)] == [4, 5, 6]
    writer.close()
    reader.close()


def test_an_orchestrator_restored_from_a_backup_gets_again_what_it_lost(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    for repeat in range(1, 6):
        spool.append(case_started(repeat))
    spool.acknowledge(5)
    spool.acknowledge(2)
    assert [report.seq for report in spool.unacknowledged(10)] == [3, 4, 5]
    spool.close()


def test_an_acknowledgement_of_what_was_never_written_does_not_swallow_what_comes(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.append(STARTED)
    spool.acknowledge(99)
    spool.append(case_started(1))
    assert [report.seq for report in spool.unacknowledged(10)] == [2]
    spool.close()


def test_nothing_follows_the_end_of_a_run(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.append(ENDED)
    with pytest.raises(LabError, match="has ended"):
        spool.append(STARTED)
    spool.close()


def test_a_run_is_delivered_when_its_end_is_acknowledged_and_not_before(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.append(STARTED)
    spool.acknowledge(1)
    assert not spool.state().delivered
    spool.append(ENDED)
    assert not spool.state().delivered
    spool.acknowledge(2)
    assert spool.state().delivered
    spool.close()


def test_too_many_reports_are_refused_and_the_end_still_has_room(tmp_path: Path) -> None:
    spool = spool_at(tmp_path, reports_max=2)
    spool.append(STARTED)
    spool.append(case_started(1))
    with pytest.raises(LabError, match="at most 2"):
        spool.append(case_started(2))
    assert spool.append(ENDED) == 3
    assert len(spool.unacknowledged(10)) == 3
    spool.close()


def test_a_full_disk_is_the_labs_fault_and_loses_nothing_that_is_there(tmp_path: Path) -> None:
    spool = spool_at(tmp_path, bytes_max=80_000)
    kept = 0
    for size in (2000, 1):
        with pytest.raises(LabError, match="full"):
            for _ in range(1000):
                spool.append(long_report(size))
                kept += 1
    assert 5 < kept < 1000
    assert spool.state().written == kept
    assert spool.append(ENDED) == kept + 1
    spool.close()


def test_a_batch_is_bounded_in_number_and_in_bytes_and_never_empty(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    for _ in range(10):
        spool.append(long_report(2000))
    assert len(spool.unacknowledged(4)) == 4
    assert len(spool.unacknowledged(10, bytes_max=5000)) == 2
    assert len(spool.unacknowledged(10, bytes_max=1)) == 1
    spool.close()


def test_a_broken_file_is_the_labs_fault(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite3").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(LabError, match="cannot be opened"):
        spool_at(tmp_path)


WRITER = """
import sys
from pathlib import Path
from agents.spool import Spool
from lab_inventory.clock import SystemClock
from lab_inventory.messages import CaseStarted
spool = Spool(Path(sys.argv[1]), SystemClock())
repeat = 0
while True:
    repeat += 1
    print(spool.append(CaseStarted(case="case-1", repeat=repeat)), flush=True)
"""


def test_every_report_that_was_numbered_survives_a_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    numbered = 0
    for line in writer.stdout:
        numbered = int(line)
        if numbered == 25:
            os.kill(writer.pid, signal.SIGKILL)
            break
    numbered = max([numbered, *(int(line) for line in writer.stdout.read().split())])
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL

    spool = Spool(path, ManualClock())
    seqs = [report.seq for report in spool.unacknowledged(10_000)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) >= numbered
    spool.close()
