"""The book of the runs that a host holds: takes assignments, keeps leases, hands out reports. Waits for nothing.

A run is held from its acceptance, or from the agent's start where it is found on disk, until everything of it is
delivered. How its process is started and followed is for whoever owns the book: :mod:`agents.runs` in the agent. The
end of a run is handed out only once its process is gone, for whoever hears of it may send the next run to its slot.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agents.acceptance import answer_to, why_refused
from agents.adopt import Drivers
from agents.epochs import EpochLedger
from agents.lease_guard import HeldLease
from agents.logs import Log
from agents.measure import LabError
from agents.run_directory import RunDirectory, create_run_directory, remove_folder, run_directories
from agents.settings import AgentSettings
from agents.spool import Spool
from agents.uplink_events import Event, LeaseAnswered, RunDelivered, RunHeld, RunOver, Spooled
from agents.words import as_text, describe
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.lab import Host
from lab_inventory.messages import (
    REPORTS_PER_BATCH_MAX,
    Acceptance,
    Assignment,
    AssignmentAnswer,
    Ended,
    HeldRun,
    Standing,
)

HELD_RUNS_MAX = 256
"""As many as a heartbeat tells of."""
_TOLD_NOTHING = -1


@dataclass
class Held:
    """One run that is held. ``over``: its process is gone and its end is in the spool."""

    directory: RunDirectory
    assignment: Assignment
    spool: Spool
    over: bool = False
    told_up_to: int = _TOLD_NOTHING

    @property
    def run(self) -> str:
        """The run."""
        return self.assignment.run


class RunProcesses(Protocol):
    """The processes of runs, each known by its run's directory."""

    def launch(self, directory: RunDirectory) -> None:
        """Start the process of a run. Raises OSError."""
        ...

    def is_alive(self, directory: RunDirectory) -> bool:
        """Whether it still runs."""
        ...

    def hurry(self, directory: RunDirectory) -> None:
        """Tell it to look at its lease now, for it must stop."""
        ...

    def follow(self, held: Held) -> None:
        """From now on watch for its end; see that its spool has one, then call :meth:`HeldRuns.over`."""
        ...


class HeldRuns:
    """Every run this host holds. ``tell`` is given what the uplink must know; ``hold_slots`` is called
    when a run takes the addresses of its slots, ``free_slot`` for each when it has left it.
    """

    def __init__(
        self,
        settings: AgentSettings,
        clock: Clock,
        log: Log,
        processes: RunProcesses,
        *,
        drivers: Drivers,
        tell: Callable[[Event], None],
        hold_slots: Callable[[Assignment], None],
        free_slot: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._processes = processes
        self._drivers = drivers
        self._tell = tell
        self._hold_slots = hold_slots
        self._free_slot = free_slot
        self._epochs = EpochLedger(settings.work_dir / "epochs.json", clock)
        self._held: dict[str, Held] = {}
        self.host: Host | None = None

    def living(self) -> tuple[RunDirectory, ...]:
        """The directories of the runs that are not over."""
        return tuple(held.directory for held in self._held.values() if not held.over)

    def held(self) -> tuple[HeldRun, ...]:
        """The runs as a heartbeat tells them."""
        return tuple(HeldRun(run=held.run, epochs=held.assignment.epochs) for held in self._held.values())

    def full(self) -> str:
        """Why this host takes no run now whatever it is, empty where it does: there is no room for more.

        In words that stay the same while it is so: a heartbeat that says something new is sent, kept and acted on.
        """
        if len(self._held) >= HELD_RUNS_MAX:
            return f"it holds {HELD_RUNS_MAX} runs of which not everything is delivered"
        try:
            free = shutil.disk_usage(self._settings.work_dir).free
        except OSError as error:
            return as_text(f"the work directory cannot be looked at: {describe(error)}")
        if free < self._settings.free_bytes_min:
            return f"its work directory has less than {self._settings.free_bytes_min // 1_000_000} MB left"
        return ""

    def close(self) -> None:
        """Let go of the spools; the runs go on."""
        for held in self._held.values():
            held.spool.close()

    # Taking runs

    def adopt(self) -> None:
        """Take up every run on disk that is not delivered, whatever state it is in."""
        for directory in run_directories(self._settings.runs_dir, self._clock):
            try:
                assignment = directory.assignment()
                if _is_delivered(directory, self._clock):
                    continue
                lease = directory.lease()
                spool = Spool(directory.spool_path, self._clock)
            except (OSError, AssayError) as error:
                self._log.warning("run-directory-unreadable", run=directory.run, error=describe(error))
                continue
            alive = self._processes.is_alive(directory)
            self._log.info("run-adopted" if alive else "run-found-dead", run=directory.run)
            self._hold(Held(directory=directory, assignment=assignment, spool=spool), lease)
        self._sweep()

    def take(self, assignment: Assignment) -> AssignmentAnswer:
        """Accept an assignment, or say why not. Accepted: its directory is durable and its process started."""
        refusal = self._refusal(assignment)
        if refusal is not None:
            self._log.info("run-not-taken", run=assignment.run, answer=refusal.answer, reason=refusal.reason)
            return refusal
        now_s = self._clock.boottime_s()
        deadline_at_s = now_s + assignment.deadline_s
        lease = HeldLease(renewed_at_s=now_s, ttl_s=assignment.ttl_s, deadline_at_s=deadline_at_s)
        try:
            held = self._start(assignment, lease)
        except (OSError, LabError) as error:
            self._free_slots(assignment)
            self._log.warning("run-not-started", run=assignment.run, error=describe(error))
            return answer_to(assignment, Acceptance.REFUSED, f"the run could not be started: {describe(error)}")
        self._hold(held, lease)
        self._log.info("run-taken", run=assignment.run, slot=assignment.slot.name)
        return answer_to(assignment, Acceptance.ACCEPTED)

    def _start(self, assignment: Assignment, lease: HeldLease) -> Held:
        """Directory first, then the epochs, then the process: a crash in between leaves a run that is ended later."""
        directory = create_run_directory(self._settings.runs_dir, assignment, lease, self._clock)
        try:
            self._epochs.record(assignment.run, assignment.epochs)
            spool = Spool(directory.spool_path, self._clock)
        except (OSError, LabError):
            remove_folder(directory.path)
            raise
        try:
            self._hold_slots(assignment)
            self._processes.launch(directory)
        except OSError:
            spool.close()
            remove_folder(directory.path)
            raise
        return Held(directory=directory, assignment=assignment, spool=spool)

    def _refusal(self, assignment: Assignment) -> AssignmentAnswer | None:
        if assignment.run in self._held or (self._settings.runs_dir / assignment.run).exists():
            return answer_to(assignment, Acceptance.ALREADY)
        stale = self._epochs.why_stale(assignment.run, assignment.epochs)
        if stale is not None:
            return answer_to(assignment, Acceptance.STALE, stale)
        held_now = [held for held in self._held.values() if not held.over]
        busy = {slot.name: held.run for held in held_now for slot in held.assignment.slots}
        reason = why_refused(assignment, self._settings.host, self.host, self._drivers, busy)
        if reason is None:
            reason = self.full() or None
        return None if reason is None else answer_to(assignment, Acceptance.REFUSED, reason)

    # Keeping runs

    def _hold(self, held: Held, lease: HeldLease) -> None:
        self._held[held.run] = held
        if held.spool.state().ended and not self._processes.is_alive(held.directory):
            held.over = True
            self._look_at(held)
            return
        self._hold_slots(held.assignment)
        if lease.standing is Standing.RENEWED:
            self._tell(RunHeld(run=held.run, epochs=held.assignment.epochs, ttl_s=lease.ttl_s))
        self._processes.follow(held)

    def gone(self, held: Held) -> None:
        """The run's process is gone: its lease is renewed no more."""
        self._tell(RunOver(run=held.run))

    def over(self, held: Held) -> None:
        """The run's process is gone and its spool has an end: its slots are free, and its end may be handed out."""
        held.over = True
        self._free_slots(held.assignment)
        self._look_at(held)

    def _free_slots(self, assignment: Assignment) -> None:
        for slot in assignment.slots:
            self._free_slot(slot.name)

    def lease_answered(self, answer: LeaseAnswered) -> None:
        """Keep what has become of a lease where the run's process sees it, and hurry one that must stop."""
        held = self._held.get(answer.lease.run)
        if held is None or held.over:
            return
        try:
            lease = held.directory.lease()
            if answer.lease.standing is Standing.RENEWED:
                held.directory.write_lease(lease.renewed(sent_at_s=answer.sent_at_s, ttl_s=answer.lease.ttl_s))
                return
            standing, reason = answer.lease.standing, answer.lease.reason
            held.directory.write_lease(lease.model_copy(update={"standing": standing, "reason": reason}))
        except (OSError, AssayError) as error:
            self._log.warning("lease-not-kept", run=held.run, error=describe(error))
            if answer.lease.standing is Standing.RENEWED:
                # Not written is not renewed: the run stops by its own clock, unless a later renewal is written.
                return
        self._log.info("run-told-to-stop", run=held.run, standing=answer.lease.standing, reason=answer.lease.reason)
        self._processes.hurry(held.directory)

    # Handing out reports

    def look(self) -> None:
        """Tell of every run whose spool has grown since it was last looked at."""
        for held in list(self._held.values()):
            try:
                if held.spool.state().written != held.told_up_to:
                    self._look_at(held)
            except LabError as error:
                self._log.warning("spool-unreadable", run=held.run, error=describe(error))

    def acknowledge(self, run: str, up_to: int) -> None:
        """The orchestrator holds a run's reports up to this one."""
        held = self._held.get(run)
        if held is None:
            return
        try:
            held.spool.acknowledge(up_to)
            self._look_at(held)
        except LabError as error:
            # Told of them again, the orchestrator says again that it has them.
            held.told_up_to = _TOLD_NOTHING
            self._log.warning("spool-not-acknowledged", run=run, error=describe(error))

    def _look_at(self, held: Held) -> None:
        state = held.spool.state()
        if held.over and state.delivered:
            self._log.info("run-delivered", run=held.run)
            held.spool.close()
            del self._held[held.run]
            self._tell(RunDelivered(run=held.run))
            self._sweep()
            return
        reports = held.spool.unacknowledged(REPORTS_PER_BATCH_MAX)
        if not held.over:
            reports = tuple(report for report in reports if not isinstance(report.body, Ended))
        held.told_up_to = state.written if held.over or not state.ended else state.written - 1
        self._tell(Spooled(run=held.run, epochs=held.assignment.epochs, reports=reports))

    def _sweep(self) -> None:
        """Remove the oldest delivered directories beyond the number that is kept."""
        directories = run_directories(self._settings.runs_dir, self._clock)
        done = [directory for directory in directories if directory.run not in self._held]
        for directory in done[: max(0, len(done) - self._settings.keep_delivered_runs)]:
            try:
                if _is_delivered(directory, self._clock):
                    remove_folder(directory.path)
            except (OSError, AssayError) as error:
                self._log.warning("run-directory-not-removed", run=directory.run, error=describe(error))


def _is_delivered(directory: RunDirectory, clock: Clock) -> bool:
    spool = Spool(directory.spool_path, clock)
    try:
        return spool.state().delivered
    finally:
        spool.close()
