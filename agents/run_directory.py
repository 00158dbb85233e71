"""A run's directory: all that one run is, on disk, so that it outlives every process that knows of it.

    assignment.json   what is to be done (holds the slot's SIP password: the directory is for its owner alone)
    lease.json        the last renewal that was answered, on this machine's CLOCK_BOOTTIME, and the deadline
    process.json      the run's process: id, start, boot
    spool.sqlite3     its reports, until they are acknowledged
    evidence/         what instruments kept, by content address
    scores/           recordings that are to be scored, and what came of it; only where there are some
    exit.json         how the process ended; written last, and its absence says that it died
    log               what the process printed

Each file is there whole or not at all. Takes and gives nouns; decides nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel

from agents.durable import sync_folder, write_whole
from agents.lease_guard import HeldLease
from agents.processes import ProcessMark
from lab_inventory.clock import Clock
from lab_inventory.messages import Assignment, RunOutcome
from lab_inventory.noun import Noun, Text
from lab_inventory.reading import parse_message

N = TypeVar("N", bound=BaseModel)


class ExitRecord(Noun):
    """How a run's process ended by itself."""

    outcome: RunOutcome
    reason: Text
    at: AwareDatetime


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run; its name is the run's."""

    path: Path
    clock: Clock

    @property
    def run(self) -> str:
        """The run it belongs to."""
        return self.path.name

    @property
    def work(self) -> Path:
        """The work directory of the agent whose run it is."""
        return self.path.parent.parent

    @property
    def spool_path(self) -> Path:
        """The spool's file."""
        return self.path / "spool.sqlite3"

    @property
    def evidence_folder(self) -> Path:
        """Where instruments keep evidence."""
        return self.path / "evidence"

    @property
    def scores(self) -> Path:
        """Where scores of recordings are asked for and answered."""
        return self.path / "scores"

    @property
    def log_path(self) -> Path:
        """What the run's process prints."""
        return self.path / "log"

    def assignment(self) -> Assignment:
        """What is to be done. Raises BadInput where it cannot be read, OSError where it is not there."""
        return self._read("assignment.json", Assignment)

    def lease(self) -> HeldLease:
        """The lease as it was last known. Raises as :meth:`assignment`."""
        return self._read("lease.json", HeldLease)

    def process(self) -> ProcessMark | None:
        """The run's process, or None where none ever said that it is it."""
        return self._read_if_there("process.json", ProcessMark)

    def exit_record(self) -> ExitRecord | None:
        """How the process ended, or None where it has not, or died."""
        return self._read_if_there("exit.json", ExitRecord)

    def is_alive(self) -> bool:
        """Whether the run's very process still runs."""
        process = self.process()
        return process is not None and process.is_alive()

    def write_lease(self, lease: HeldLease) -> None:
        """Keep the lease. Raises OSError."""
        self._write("lease.json", lease)

    def write_process(self, process: ProcessMark) -> None:
        """Keep which process it is. Raises OSError."""
        self._write("process.json", process)

    def write_exit(self, record: ExitRecord) -> None:
        """Keep how the process ended. Raises OSError."""
        self._write("exit.json", record)

    def _write(self, name: str, noun: Noun) -> None:
        write_whole(self.path / name, noun.model_dump_json().encode(), self.clock)

    def _read(self, name: str, noun: type[N]) -> N:
        path = self.path / name
        return parse_message(path.read_bytes(), noun, source=str(path))

    def _read_if_there(self, name: str, noun: type[N]) -> N | None:
        try:
            return self._read(name, noun)
        except FileNotFoundError:
            return None


def create_run_directory(runs: Path, assignment: Assignment, lease: HeldLease, clock: Clock) -> RunDirectory:
    """Make the directory of a new run, durable before this returns. Raises OSError; nothing is left behind then."""
    draft = RunDirectory(runs / f".{clock.new_id('draft')}", clock)
    final = runs / assignment.run
    try:
        draft.path.mkdir(mode=0o700, parents=True)
        draft.evidence_folder.mkdir(mode=0o700)
        write_whole(draft.path / "assignment.json", assignment.model_dump_json().encode(), clock)
        draft.write_lease(lease)
        draft.path.rename(final)
    except OSError:
        remove_folder(draft.path)
        raise
    sync_folder(runs)
    return RunDirectory(final, clock)


def run_directories(runs: Path, clock: Clock) -> tuple[RunDirectory, ...]:
    """Every run directory there is, oldest first; drafts that a crash left behind are removed."""
    if not runs.is_dir():
        return ()
    folders = [entry for entry in runs.iterdir() if entry.is_dir()]
    for draft in (folder for folder in folders if folder.name.startswith(".")):
        remove_folder(draft)
    whole = [folder for folder in folders if not folder.name.startswith(".")]
    whole.sort(key=lambda folder: (_taken_at_ns(folder), folder.name))
    return tuple(RunDirectory(folder, clock) for folder in whole)


def _taken_at_ns(folder: Path) -> int:
    """When a run was taken; a folder without an assignment counts as the oldest."""
    try:
        return (folder / "assignment.json").stat().st_mtime_ns
    except OSError:
        return 0


def remove_folder(folder: Path) -> None:
    """Remove a folder and what is in it; what cannot be removed stays, for the next time."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove_folder(entry)
        else:
            entry.unlink(missing_ok=True)
    folder.rmdir()
