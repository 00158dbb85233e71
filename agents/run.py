"""One run, in a process of its own: ``assay-agent run DIR``. Takes a run directory; gives reports, evidence, an end.

The order of events is fixed: started; the bench checks itself; the device is recovered where that is asked for, reset
and identified; each case with its repeats; the scores of recordings, and so the ends of the cases that wait for them;
teardown; ended; exit record. Whatever happens, teardown comes before the end, and the exit record last. The process
needs neither the agent nor the network, but for scores; it stops by its own clock when its lease is not renewed in
time.
"""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from agents import cases
from agents.bench_record import record_of
from agents.cases import measure_case, not_applicable, not_run
from agents.lease_guard import HeldLease, StopKind, StopOrder, is_lost, must_stop
from agents.logs import JsonLog, Log
from agents.measure import LabError
from agents.power import POWER_VARIABLE
from agents.processes import mark_of
from agents.recovery import recover
from agents.run_directory import ExitRecord, RunDirectory
from agents.score.on_record import score_on_record
from agents.sound_scores.asking import scorer_for
from agents.sound_scores.joining import Unscored, scored
from agents.sound_scores.quiet import sending
from agents.spool import Spool
from agents.suites import Identified, OpenSuite, OpenSuiteFor, suite_for
from agents.version import VERSION
from agents.words import as_text, describe
from lab_inventory.characterisation import CharacterisedBench, widened
from lab_inventory.clock import Clock, SystemClock
from lab_inventory.errors import AssayError
from lab_inventory.messages import (
    BenchChecked,
    CaseStarted,
    DeviceIdentified,
    DeviceRecovered,
    Ended,
    RunOutcome,
    Started,
)

LOOK_S = 0.25
FENCE_S = 0.5
TEARDOWN_S = 15.0
STOP_S = 30.0
EXIT_STATUS_FENCED = 75
_FILE_BYTES_MAX = 512_000_000
_MEMORY_BYTES_MAX = 8_000_000_000

SuiteFor = Callable[[str], OpenSuiteFor | None]
End = tuple[RunOutcome, str]


class Run:
    """One run from its directory to its end. ``stop`` may be called at any time, from a signal handler too."""

    def __init__(
        self,
        directory: RunDirectory,
        clock: Clock,
        log: Log,
        *,
        find_suite: SuiteFor = suite_for,
        power_program: Path | None = None,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._log = log
        self._find_suite = find_suite
        self._power_program = power_program
        self._assignment = directory.assignment()
        self._lease = directory.lease()
        self._spool = Spool(directory.spool_path, clock)
        self._scorer = scorer_for(directory, clock, os.environ)
        self._told = asyncio.Event()
        self._suite: OpenSuite | None = None

    def stop(self) -> None:
        """Stop soon: tear down and end."""
        self._told.set()

    async def carry_out(self) -> ExitRecord | None:
        """Carry the run out; None where it was given up before it began, and nothing was touched."""
        if self._spool.state().ended:
            self._log.warning("run-was-given-up", run=self._assignment.run)
            return None
        outcome, reason = await self._until_stopped()
        complaint = await self._tear_down()
        reason = as_text("; ".join(part for part in (reason, complaint) if part))
        within = self._clock.boottime_s() <= self._lease.deadline_at_s
        try:
            self._spool.append(Ended(outcome=outcome, reason=reason, within_deadline=within))
        except LabError as error:
            # Without its end in the spool the agent ends the run as an error; the exit record tells it why.
            outcome, reason = RunOutcome.ERROR, as_text(f"{error}; {reason}")
        record = ExitRecord(outcome=outcome, reason=reason, at=self._clock.now())
        self._directory.write_exit(record)
        self._log.info("run-ended", run=self._assignment.run, outcome=outcome, reason=reason)
        return record

    async def _until_stopped(self) -> End:
        """The run's body, or what stopped it in the middle."""
        body = asyncio.create_task(self._body())
        watch = asyncio.create_task(self._watch())
        await asyncio.wait({body, watch}, return_when=asyncio.FIRST_COMPLETED)
        if body.done():
            watch.cancel()
            return (RunOutcome.ERROR, "the suite cancelled itself") if body.cancelled() else body.result()
        body.cancel()
        await asyncio.wait({body})
        return _end_of(watch.result())

    async def _watch(self) -> StopOrder:
        """Wait until the run must stop, by signal, order, lease or deadline."""
        while True:
            order = self._order()
            if order is not None:
                return order
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._told.wait()
            except TimeoutError:
                continue

    def _order(self) -> StopOrder | None:
        self._lease = latest_lease(self._directory, self._lease)
        order = must_stop(self._lease, self._clock.boottime_s())
        if order is None and self._told.is_set():
            return StopOrder(kind=StopKind.ORDERED, reason="the run's process was told to stop")
        return order

    async def _body(self) -> End:
        try:
            return await self._measure()
        except LabError as error:
            return RunOutcome.ERROR, str(error)
        except Exception as error:
            return RunOutcome.ERROR, f"the run crashed: {describe(error)}"

    async def _measure(self) -> End:
        assignment = self._assignment
        calibrated = any(one.calibration.due_on is not None for one in assignment.instruments)
        # Where no calibration can be overdue nothing is said, so that a server of an earlier version takes it too.
        instruments = assignment.instruments if calibrated else ()
        category = assignment.dut.registration.category
        score = score_on_record(self._directory.work, category)
        characterised = self._widen()
        self._spool.append(
            Started(
                suite_version=VERSION,
                pid=os.getpid(),
                instruments=instruments,
                score=score,
                characterised=characterised,
            )
        )
        assignment = self._assignment
        open_suite = self._find_suite(category)
        if open_suite is None:
            return RunOutcome.ERROR, f"this agent has no suite for devices of category {category}"
        suite = self._suite = await open_suite(assignment, self._clock)

        bench = await suite.check_bench()
        reason = as_text(bench.reason)
        self._spool.append(BenchChecked(passed=bench.passed, measurements=bench.measurements, reason=reason))
        if not bench.passed:
            return RunOutcome.ERROR, f"the bench did not pass its own check: {reason}"

        device = await self._identify(suite)
        reason = as_text(device.reason)
        said = as_text(device.user_agent)
        self._spool.append(DeviceIdentified(same=device.same, user_agent=said, reason=reason))
        if not device.same:
            return RunOutcome.ERROR, f"the device is not the unit that the lease was granted for: {reason}"
        return await self._carry_out_cases(suite)

    def _widen(self) -> CharacterisedBench | None:
        """The record of the bench's uncertainty, which widens what the lab file says of instruments where it holds."""
        given = self._assignment
        found = record_of(self._directory.work, given.bench, given.host, given.characterisation_valid_days)
        if found is not None and not found.why_invalid(self._clock.now()):
            instruments = tuple(widened(one, found.record) for one in given.instruments)
            self._assignment = given.model_copy(update={"instruments": instruments})
        return found

    async def _identify(self, suite: OpenSuite) -> Identified:
        if not self._assignment.recover:
            return await suite.identify_device()

        def tell(steps: tuple[str, ...]) -> None:
            self._spool.append(DeviceRecovered(steps=steps))

        return await recover(suite, self._assignment.slot, self._power_program, self._clock, tell)

    async def _carry_out_cases(self, suite: OpenSuite) -> End:
        unscored: list[Unscored] = []
        for case in self._assignment.cases:
            why_not = not_applicable(case, self._assignment)
            for repeat in range(1, case.repeats + 1):
                order = self._order()
                if order is not None:
                    return _end_of(order)
                if why_not is not None:
                    self._spool.append(not_run(case, repeat, why_not))
                    continue
                async with sending(self._directory.work):
                    self._spool.append(CaseStarted(case=case.id, repeat=repeat))
                    measured = await measure_case(
                        suite,
                        case,
                        repeat,
                        assignment=self._assignment,
                        folder=self._directory.evidence_folder,
                        clock=self._clock,
                    )
                for wanted in measured.wanted:
                    self._scorer.ask(wanted.sound)
                if measured.wanted:
                    unscored.append(measured)
                else:
                    self._spool.append(measured.ended)
        if unscored:
            # Before the deadline, which would be the end of the cases that need no score too.
            until_s = self._lease.deadline_at_s - TEARDOWN_S
            until_s = min(until_s, self._clock.boottime_s() + cases.SCORES_WITHIN_S)
            answers = await self._scorer.answers(until_s)
            for measured in unscored:
                self._spool.append(scored(measured, answers))
        return RunOutcome.COMPLETED, ""

    async def _tear_down(self) -> str:
        """Leave the device idle and the slot free; gives what went wrong in doing so."""
        if self._suite is None:
            return ""
        try:
            async with asyncio.timeout(TEARDOWN_S):
                await self._suite.close()
        except TimeoutError:
            return f"teardown did not end within {TEARDOWN_S:g} s"
        except Exception as error:
            return f"teardown failed: {describe(error)}"
        return ""


def _end_of(order: StopOrder) -> End:
    """A run that is stopped was told to, or lost its right; one that ran out of time is the lab's mistake."""
    if order.kind is StopKind.DEADLINE:
        return RunOutcome.ERROR, order.reason
    return RunOutcome.STOPPED, order.reason


def latest_lease(directory: RunDirectory, known: HeldLease) -> HeldLease:
    """The lease as the agent last wrote it, or what is known of it where that cannot be read now."""
    try:
        return directory.lease()
    except (OSError, AssayError):
        return known


class Fence:
    """Ends this process at once when its lease is wholly lost, or when it was to stop and does not.

    For a procedure that never gives the loop back, and for a process that wakes after its lease went to another: no
    teardown then, for nothing may be touched any more. The agent finds no exit record and resets the device. A timer
    of the kernel interrupts whatever the process is doing; one that ran out while the process was stopped interrupts
    it before it does anything else.
    """

    def __init__(self, directory: RunDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._lease = directory.lease()
        self._stop_since_s: float | None = None

    def raise_up(self) -> None:
        """Stand guard from now on; only in a process that is this run's alone."""
        signal.signal(signal.SIGALRM, lambda number, frame: self._look())
        signal.setitimer(signal.ITIMER_REAL, FENCE_S, FENCE_S)

    @staticmethod
    def take_down() -> None:
        """Stand guard no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _look(self) -> None:
        self._lease = latest_lease(self._directory, self._lease)
        now_s = self._clock.boottime_s()
        if self._stop_since_s is None and must_stop(self._lease, now_s) is not None:
            self._stop_since_s = now_s
        stuck = self._stop_since_s is not None and now_s >= self._stop_since_s + STOP_S
        if stuck or is_lost(self._lease, now_s):
            os._exit(EXIT_STATUS_FENCED)


def main(path: Path, *, find_suite: SuiteFor = suite_for) -> int:
    """Carry out the run of a directory in this process; 0 where its end is on record, 1 where it is not,
    2 where the directory holds no run that could begin.
    """
    clock = SystemClock()
    log = JsonLog(clock)
    directory = RunDirectory(path.absolute(), clock)
    own = mark_of(os.getpid())
    try:
        process = directory.process()
        if own is None or (process is not None and process != own and process.is_alive()):
            log.warning("run-has-a-process", run=directory.run)
            return 2
        directory.write_process(own)
        _limit_this_process()
        return asyncio.run(_until_ended(directory, clock, log, find_suite))
    except (OSError, AssayError) as error:
        log.warning("run-could-not-go-on", run=directory.run, error=describe(error))
        return 2


async def _until_ended(directory: RunDirectory, clock: Clock, log: Log, find_suite: SuiteFor) -> int:
    named = os.environ.get(POWER_VARIABLE)
    run = Run(directory, clock, log, find_suite=find_suite, power_program=Path(named) if named else None)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, run.stop)
    fence = Fence(directory, clock)
    fence.raise_up()
    try:
        record = await run.carry_out()
    finally:
        fence.take_down()
    return 0 if record is not None else 1


def _limit_this_process() -> None:
    """A run that goes astray fills neither disk nor memory of its host."""
    for limit, value in (
        (resource.RLIMIT_FSIZE, _FILE_BYTES_MAX),
        (resource.RLIMIT_AS, _MEMORY_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, hard))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
