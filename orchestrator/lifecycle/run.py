"""A run: one attempt at one suite for one submission, on one bench under one lease. Pure.

An attempt that ends in error, is refused, or lapses is never revived: the next attempt is a run of its own.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.device import Registration
from lab_inventory.lab import Role
from lab_inventory.messages import RunReport
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from orchestrator.lifecycle.machine import Fact, Machine


class RunState(StrEnum):
    """``stopping``: told to stop, its agent has not yet said that it did."""

    WAITING = "waiting"
    PLACED = "placed"
    TAKEN = "taken"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


HOLDS_A_LEASE = frozenset({RunState.PLACED, RunState.TAKEN, RunState.RUNNING, RunState.STOPPING})


class _RunFact(Fact):
    machine: ClassVar[str] = "run"
    run: Name

    @property
    def entity(self) -> str:
        """The run."""
        return self.run

    def journal_entry(self) -> dict[str, str | int]:
        """Nothing beyond the run."""
        return {}


class Need(Noun):
    """A device that a run needs on its bench beside the one under test."""

    role: Role
    category: Name


class PlacedCompanion(Noun):
    """A unit that a run was given beside the one under test, as it was registered then."""

    role: Role
    device: Name
    slot: Name
    registration: Registration


class RunQueued(_RunFact):
    """An attempt waits for a bench. ``cases`` are the test cases it is to carry out; ``needs`` the devices it is to
    have beside the one under test.
    """

    submission: Name
    batch: Name
    suite: Name
    attempt: int = Field(ge=1)
    cases: tuple[Name, ...] = Field(min_length=1)
    duration_s: float
    needs: tuple[Need, ...] = Field(default=(), exclude_if=lambda given: not given)
    at: AwareDatetime

    def journal_entry(self) -> dict[str, str | int]:
        """Whose attempt it is."""
        return {"submission": self.submission, "suite": self.suite, "attempt": self.attempt}


class RunPlaced(_RunFact):
    """It got a lease (``LeaseGranted`` stands in the same commit) on this device, slot and host.

    ``registration``: the unit as it was registered then. It is what the run is about, whatever the unit says later.
    ``companions``: the units beside it, one for each of the run's needs; the lease covers them too.
    """

    lease: Name
    device: Name
    host: Name
    slot: Name
    registration: Registration
    companions: tuple[PlacedCompanion, ...] = Field(default=(), exclude_if=lambda given: not given)
    waited_s: float
    at: AwareDatetime

    def journal_entry(self) -> dict[str, str | int]:
        """Under which lease; the companions stand in what that lease covers."""
        return {"lease": self.lease, "device": self.device, "host": self.host, "slot": self.slot}


class RunTaken(_RunFact):
    """The host's agent took it from its Ray worker: the Ray node and actor that carried it stand in the record."""

    ray_node: Label
    ray_actor: Label
    dispatch_latency_s: float
    at: AwareDatetime

    def journal_entry(self) -> dict[str, str | int]:
        """Which Ray node and actor."""
        return {"ray_node": self.ray_node, "ray_actor": self.ray_actor}


class RunStarted(_RunFact):
    """Its process said that it began."""

    at: AwareDatetime


class RunStopRequested(_RunFact):
    """It is to be stopped: told on the reply to its next renewal."""

    reason: Text
    at: AwareDatetime


class RunCompleted(_RunFact):
    """It ended and everything it was to carry out was tried."""

    reports_digest: Sha256
    at: AwareDatetime

    def journal_entry(self) -> dict[str, str | int]:
        """The digest of its reports."""
        return {"reports_digest": self.reports_digest}


class RunErrored(_RunFact):
    """It ended by the lab's fault."""

    reason: Text
    at: AwareDatetime


class RunCancelled(_RunFact):
    """It ended because it was told to, or before it was placed."""

    reason: Text
    at: AwareDatetime


class RunLapsed(_RunFact):
    """Its lease ran out without a renewal: nobody knows whether it goes on, and it no longer counts."""

    at: AwareDatetime


class EvidenceRecorded(Fact):
    """A report of a run was taken under a lease that counts. ``late``: that lease was no longer live when it came."""

    journaled: ClassVar[bool] = False
    run: Name
    report: RunReport
    digest: Sha256
    late: bool = False
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The run."""
        return self.run

    def journal_entry(self) -> dict[str, str | int]:
        """Nothing: the digest of all reports stands in RunCompleted."""
        return {}


class ReportQuarantined(Fact):
    """A report came that does not count; it is kept and shown. ``late``: its lease was no longer live when it came."""

    machine: ClassVar[str] = ""
    run: Name
    report: RunReport
    digest: Sha256
    reason: Text
    late: bool = False
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The run."""
        return self.run

    def journal_entry(self) -> dict[str, str | int]:
        """Which report."""
        return {"seq": self.report.seq, "digest": self.digest}


_ENDS_WHILE_LEASED: dict[tuple[StrEnum | None, str], StrEnum] = {
    (state, fact): end
    for state in (RunState.PLACED, RunState.TAKEN, RunState.RUNNING)
    for fact, end in {
        "RunCompleted": RunState.COMPLETED,
        "RunErrored": RunState.ERROR,
        "RunLapsed": RunState.LAPSED,
        "RunStopRequested": RunState.STOPPING,
        "RunCancelled": RunState.CANCELLED,
    }.items()
}

MACHINE = Machine(
    name="run",
    transitions={
        (None, "RunQueued"): RunState.WAITING,
        (RunState.WAITING, "RunPlaced"): RunState.PLACED,
        (RunState.WAITING, "RunCancelled"): RunState.CANCELLED,
        (RunState.PLACED, "RunTaken"): RunState.TAKEN,
        (RunState.RUNNING, "RunTaken"): RunState.RUNNING,
        (RunState.STOPPING, "RunTaken"): RunState.STOPPING,
        (RunState.PLACED, "RunStarted"): RunState.RUNNING,
        (RunState.TAKEN, "RunStarted"): RunState.RUNNING,
        (RunState.STOPPING, "RunStarted"): RunState.STOPPING,
        **_ENDS_WHILE_LEASED,
        (RunState.STOPPING, "RunCancelled"): RunState.CANCELLED,
        (RunState.STOPPING, "RunLapsed"): RunState.CANCELLED,
    },
    terminal=frozenset({RunState.COMPLETED, RunState.ERROR, RunState.CANCELLED, RunState.LAPSED}),
)
