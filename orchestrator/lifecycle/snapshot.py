"""What the stages look at: plain frozen views of the tables, made by the store, read by pure stages. No behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lab_inventory.device import Intent, Presence, Product, Registration
from lab_inventory.lab import Host
from lab_inventory.messages import RunReport
from orchestrator.lifecycle.batch import Submission, SubmissionState
from orchestrator.lifecycle.host import HostIntent
from orchestrator.lifecycle.lease import LeaseState
from orchestrator.lifecycle.prompt import PromptView
from orchestrator.lifecycle.quarantine import QuarantineState
from orchestrator.lifecycle.run import Need, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitKey:
    """What makes a unit one of the product that was submitted: all five must be equal, none is ordered."""

    maker: str
    model: str
    firmware: str
    hardware_revision: str
    mode: str

    @classmethod
    def of(cls, product: Product, hardware_revision: str, mode: str) -> "UnitKey":
        """The key of a product in a hardware revision and a mode."""
        return cls(
            maker=product.maker,
            model=product.model,
            firmware=product.firmware,
            hardware_revision=hardware_revision,
            mode=mode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """A registered unit."""

    device: str
    host: str
    registration: Registration
    presence: Presence
    presence_reason: str
    intent: Intent
    intent_reason: str
    changed_at: datetime

    @property
    def key(self) -> UnitKey:
        """By what a submission finds it."""
        of = self.registration
        return UnitKey.of(of.product, of.hardware_revision, of.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """A run that waits, with what decides its turn: ``priority`` (0..100, higher first), then ``queued_at``.

    ``unit``: the one unit it must run on. ``probation``: it is to show whether that unit can be measured again.
    ``needs``: the devices it must have beside it on the same bench.
    """

    run: str
    batch: str
    submission: str
    suite: str
    attempt: int
    priority: int
    queued_at: datetime
    duration_s: float
    category: str
    key: UnitKey
    batch_held: bool
    avoid_device: str | None = None
    unit: str | None = None
    probation: bool = False
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """A lease with the run it was granted for."""

    lease: str
    run: str
    run_state: RunState
    stop_reason: str
    state: LeaseState
    host: str
    device: str
    slot: str
    epochs: Mapping[str, int]
    ttl_s: float
    deadline_s: float
    granted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """A host of the lab file that has an agent; ``inbox`` is None until its first heartbeat. ``full``: why it takes no
    run now, as it said itself; empty where it does.
    """

    host: str
    config: Host
    inbox: str | None
    full: str = ""
    intent: HostIntent = HostIntent.IN_SERVICE
    intent_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineView:
    """A unit or bench that the lab took out. ``attempts``: probations begun since. ``batch``: the last of them."""

    resource: str
    state: QuarantineState
    reason: str
    since: datetime
    attempts: int
    batch: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """What is asked of an ended run to tell whose fault it was, where it was anybody's.

    ``reported``: whether its agent took it and reported anything. ``bench_passed`` None: the bench never said.
    ``accompanied``: whether it had other devices beside the one under test.
    """

    run: str
    device: str
    state: RunState
    reason: str
    reported: bool
    bench_passed: bool | None
    identified: bool
    cases_in_error: int
    accompanied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything placing needs, read in one transaction. ``epochs``: the last epoch of each resource ever granted.

    ``quarantines``: the units and benches that are out, by resource.
    """

    queue: tuple[QueuedRun, ...]
    devices: tuple[DeviceView, ...]
    leases: tuple[LeaseView, ...]
    epochs: Mapping[str, int]
    hosts: Mapping[str, HostView]
    quarantines: Mapping[str, QuarantineView]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReport:
    """A report that counts, with its digest."""

    run: str
    attempt: int
    digest: str
    report: RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One attempt and what it recorded, for record, repeat and judge.

    ``digests``: of every report that counts, by seq. ``quarantined``: seq and digest of every report that does not.
    ``ended``: whether the report that it ended is among those that count.
    """

    run: str
    submission: str
    batch: str
    suite: str
    attempt: int
    state: RunState
    cases: tuple[str, ...]
    lease: LeaseView | None
    later_epoch_granted: bool
    submission_state: SubmissionState
    digests: Mapping[int, str]
    quarantined: frozenset[tuple[int, str]]
    ended: bool
    next_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionView:
    """A submission with its programme (by digest), its attempts, everything recorded under leases that count, and what
    people were asked to measure.
    """

    submission: str
    batch: str
    state: SubmissionState
    content: Submission
    programme_digest: str
    runs: tuple[RunView, ...]
    reports: tuple[RecordedReport, ...]
    prompts: tuple[PromptView, ...] = ()
