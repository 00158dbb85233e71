"""One bench with one real phone: production's run process on it, and production's judge over what it reported.

Neither server nor Ray is needed for what is asked here; all between the assignment and the verdicts is the product's.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.adopt import end_dead_run
from agents.discover import registration_of
from agents.drivers import installed_drivers
from agents.launch import RUN_COMMAND, launch
from agents.lease_guard import HeldLease
from agents.measure import LabError
from agents.probes.sip import SipProbe
from agents.run_directory import RunDirectory, create_run_directory
from agents.simulated.bench_phones import BenchPhone
from agents.spool import Spool
from lab_inventory.canonical import digest
from lab_inventory.clock import SystemClock
from lab_inventory.lab import Host, Slot
from lab_inventory.messages import Assignment
from orchestrator.lifecycle.batch import Submission, SubmissionState
from orchestrator.lifecycle.lease import LeaseState
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.snapshot import LeaseView, RecordedReport, RunView, SubmissionView
from orchestrator.lifecycle.verdict import Judgement, Verdict
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.plan import assignment, deadline_s
from tests.orchestrator.lab_world import ICS, basic

ROOT = Path(__file__).parents[2]
PHONES = ROOT / "deploy" / "demo" / "phones"
RUN_LIMIT_S = 300.0
REGISTERS_WITHIN_S = 20.0
SHORT = ("TC-REG-01", "TC-SIP-01", "TC-SIP-02", "TC-SIP-03", "TC-SIP-05", "TC-MED-02", "TC-MED-03", "TC-REG-02")
"""Every kind of measurement in half the time: without what only waits."""

clock = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of a run. ``reason``: how it ended, where it did not end well."""

    judgement: Judgement
    reason: str
    cases: tuple[str, ...]

    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        """By level and requirement: those of the cases that were to be carried out."""
        asked = {requirement.id for requirement in basic().requirements if requirement.case in self.cases}
        return {
            (level.level, requirement.requirement): requirement.verdict
            for level in self.judgement.levels
            for requirement in level.requirements
            if requirement.requirement in asked
        }

    def failed(self) -> dict[tuple[str, str], str]:
        """What fails, with its words."""
        return {
            (level.level, requirement.requirement): requirement.words
            for level in self.judgement.levels
            for requirement in level.requirements
            if requirement.verdict is Verdict.FAIL
        }


class Bed:
    """A slot whose phone has registered. ``control``: where the driver is sent to, the phone or what is before it."""

    def __init__(self, folder: Path, defects: Sequence[str], cases: Sequence[str]) -> None:
        self.folder = folder
        self.cases = tuple(cases)
        self._defects = defects
        self.runs = folder / "runs"
        self.runs.mkdir(parents=True)
        self.control_of_phone = free_address(socket.SOCK_STREAM)
        self.control = self.control_of_phone
        self.slot = Slot.model_validate(
            {
                "name": "slot-1",
                "category": "ip-phone",
                "registrar": free_address(socket.SOCK_DGRAM),
                "account": {"user": "1001", "password": "bench"},
                "control": self.control_of_phone,
                "unit": {"hardware_revision": "A", "mode": "wideband"},
            }
        )
        self.command: Sequence[str] = RUN_COMMAND
        self.process: subprocess.Popen[bytes] | None = None
        self._phone: BenchPhone | None = None
        self._probe = SipProbe(self.slot, clock)

    async def phone_registers(self) -> None:
        """Start the phone, and wait until the slot's probe has seen it."""
        configuration = self.folder / "configuration"
        shutil.copytree(PHONES / "phone-1", configuration)
        (configuration / "defects").write_text("\n".join(self._defects))
        self._probe.bind()
        self._phone = BenchPhone(self.slot, configuration, self.folder / "phone")
        await self._phone.start()
        async with asyncio.timeout(REGISTERS_WITHIN_S):
            while self._probe.sighting() is None:
                await asyncio.sleep(0.05)

    @property
    def phone_pid(self) -> int:
        """The phone program's process."""
        assert self._phone is not None
        assert self._phone.phone is not None
        assert self._phone.phone.pid is not None
        return self._phone.phone.pid

    def prepare(self) -> RunDirectory:
        """The run's directory, with the assignment as the orchestrator makes it. The slot's address is free then."""
        sighting = self._probe.sighting()
        assert sighting is not None
        self._probe.release()
        made = self._assignment(sighting)
        now_s = clock.boottime_s()
        lease = HeldLease(renewed_at_s=now_s, ttl_s=made.ttl_s, deadline_at_s=now_s + made.deadline_s)
        return create_run_directory(self.runs, made, lease, clock)

    def _assignment(self, sighting: Any) -> Assignment:
        registration = registration_of(sighting, self.slot, "host-1", installed_drivers())
        slot = self.slot.model_copy(update={"control": self.control})
        host = Host.model_validate(
            {
                "name": "host-1",
                "benches": [
                    {
                        "name": "bench-1",
                        "instruments": [
                            {
                                "name": "sip-endpoint",
                                "kind": "sip-rtp",
                                "calibration": {"method": "checks itself in a loop before each run"},
                                "uncertainty": {"ms": 0.5, "%": 0.1, "ratio": 0.001},
                            }
                        ],
                        "slots": [slot.model_dump(mode="json") | {"account": {"user": "1001", "password": "bench"}}],
                    }
                ],
            }
        )
        of = basic()
        duration_s = sum(
            case.duration_s * case.repeats for suite in of.suites for case in suite.cases if case.id in self.cases
        )
        lease = LeaseView(
            lease="lea-1",
            run="run-1",
            run_state=RunState.PLACED,
            stop_reason="",
            state=LeaseState.LIVE,
            host="host-1",
            device="dev-1",
            slot="slot-1",
            epochs={"device:dev-1": 1, "slot:host-1/slot-1": 1},
            ttl_s=900.0,
            deadline_s=deadline_s(duration_s),
            granted_at=clock.now(),
        )
        return assignment(self._run(lease), lease, registration, host, content(), of)

    def _run(self, lease: LeaseView | None, reports: Sequence[RecordedReport] = ()) -> RunView:
        return RunView(
            run="run-1",
            submission="sub-1",
            batch="bat-1",
            suite=basic().suites[0].id,
            attempt=1,
            state=RunState.COMPLETED,
            cases=self.cases,
            lease=lease,
            later_epoch_granted=False,
            submission_state=SubmissionState.OPEN,
            digests={report.report.seq: report.digest for report in reports},
            quarantined=frozenset(),
            ended=True,
            next_seq=len(reports) + 1,
        )

    def start(self, directory: RunDirectory) -> subprocess.Popen[bytes]:
        """Start the run's process as an agent does."""
        self.process = launch(directory, self.command)
        return self.process

    async def end(self, directory: RunDirectory) -> Ended:
        """Wait for the end of the process; judge what it reported. What it left undone is done as an agent does."""
        assert self.process is not None
        await asyncio.wait_for(asyncio.to_thread(self.process.wait), RUN_LIMIT_S)
        spool = Spool(directory.spool_path, clock)
        try:
            if not spool.state().ended:
                # The agent tries this again and again where the disk is full; once is enough to be judged here.
                with suppress(LabError):
                    made = directory.assignment()
                    await end_dead_run(directory, made, spool, installed_drivers(), clock, os.getpid())
            said = spool.unacknowledged(10_000, bytes_max=10**9)
        finally:
            spool.close()
        reports = [RecordedReport(run="run-1", attempt=1, digest=digest(r), report=r) for r in said]
        view = SubmissionView(
            submission="sub-1",
            batch="bat-1",
            state=SubmissionState.OPEN,
            content=content(),
            programme_digest=basic().digest,
            runs=(self._run(None, reports),),
            reports=tuple(reports),
        )
        ends = [report.body for report in said if report.body.kind == "ended"]
        reason = ends[-1].reason if ends else "without an end"
        return Ended(judgement=judge(view, basic()), reason=reason, cases=self.cases)

    async def close(self) -> None:
        """Stop what is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._probe.release()
        if self._phone is not None:
            await self._phone.stop()


@asynccontextmanager
async def bed(folder: Path, *, defects: Sequence[str] = (), cases: Sequence[str] = SHORT) -> AsyncIterator[Bed]:
    """A bench with a registered phone, and nothing left behind."""
    made = Bed(folder, defects, cases)
    try:
        await made.phone_registers()
        yield made
    finally:
        await made.close()


def content() -> Submission:
    """What was submitted."""
    return Submission.model_validate(
        {
            "title": "phone",
            "vendor": "baresip",
            "product": {"maker": "baresip", "model": "baresip", "firmware": "1.0.0"},
            "hardware_revision": "A",
            "mode": "wideband",
            "profile": "digital",
            "ics": dict(ICS),
        }
    )


def all_cases() -> tuple[str, ...]:
    """Every case of the programme, in its order."""
    return tuple(case.id for suite in basic().suites for case in suite.cases)


def free_address(kind: int) -> str:
    """An address on loopback that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


PYTHON = sys.executable
