"""The wire between agents and the orchestrator: versioned, size-capped, extra fields refused. Pure.

An agent asks; the orchestrator answers. Orders to a running run (cancel, revoke) ride on the reply to a renewal and
nowhere else. Durations are in seconds; times of an agent are its own and are never compared with the orchestrator's.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from lab_inventory.characterisation import CharacterisedBench
from lab_inventory.device import Registration
from lab_inventory.ics import Answers, IxitValues
from lab_inventory.lab import INSTRUMENTS_MAX, VALID_DAYS, VALID_DAYS_MAX, Host, Instrument, Role, Slot
from lab_inventory.measurement import Evidence, Measurement
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from lab_inventory.programme import DEVICES_BESIDE_MAX, TestCase
from lab_inventory.suite_score import SuiteScore

REPORTS_PER_BATCH_MAX = 200
REPORTS_PER_RUN_MAX = 120_000
EVIDENCE_BYTES_MAX = 32_000_000
BENCHES_MAX = 64
"""Of one host, whose characterisation is told."""
COMPANIONS_MAX = DEVICES_BESIDE_MAX
"""Devices of one run beside the one under test."""

ResourceId = Annotated[str, Field(pattern=r"^(device|slot|instrument):[A-Za-z0-9._:/-]{1,200}$")]
Epochs = dict[ResourceId, Annotated[int, Field(ge=1)]]


class Message(Noun):
    """A message of version 1 of the wire."""

    version: Literal[1] = 1


PublicKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", examples=["A" * 43])]
"""The 32 bytes of an Ed25519 public key (RFC 8032) in base64url without padding."""

Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$", examples=["A" * 86])]
"""The 64 bytes of an Ed25519 signature in base64url without padding."""


class JoinRequest(Message):
    """An agent asks to join with the public half of its own key; the token is single-use, short-lived and bound to a
    host. In place of a token may stand the credential that the host got before agents had keys.
    """

    token: Label
    host: Name
    agent_version: Label
    public_key: PublicKey


class JoinReply(Message):
    """The host has joined. ``audience`` names the lab that it proves itself to from now on."""

    agent: Name
    host: Name
    audience: Name


class ChallengeRequest(Message):
    """An agent wants to prove that it has the key of its host."""

    host: Name


class ChallengeReply(Message):
    """What is to be signed: good once, for 60 s of the server's clock."""

    challenge: Label


class CredentialRequest(Message):
    """The proof: the signature over :func:`proof_text`."""

    host: Name
    challenge: Label
    signature: Signature


class CredentialReply(Message):
    """A bearer credential; ``lives_s`` counts from the sending of the request."""

    credential: Label
    lives_s: float = Field(gt=0)


def proof_text(audience: str, host: str, challenge: str) -> bytes:
    """What an agent signs: purpose, lab, host and challenge, a line each, so that it is good for nothing else."""
    return f"assay agent credential, version 1\n{audience}\n{host}\n{challenge}\n".encode()


class SlotFault(Noun):
    """Something about a slot that keeps its device from being seen or used."""

    slot: Name
    slug: Name
    detail: Text


class HeldRun(Noun):
    """A run that this agent still has."""

    run: Name
    epochs: Epochs


class Heartbeat(Message):
    """What a host is and has now: complete, so that a lost one costs nothing.

    ``boot`` changes with each start of the agent. ``inbox`` is where the host's Ray worker posts assignments. ``full``:
    why the host takes no run now; empty where it does. ``ray``: why its Ray node is not in the cluster; empty where it
    is, and where the host is to have none. ``characterised``: the benches that have a record of their uncertainty.
    """

    agent_version: Label
    boot: Name
    inbox: Label
    full: Text = Field(default="", exclude_if=lambda given: not given)
    ray: Text = Field(default="", exclude_if=lambda given: not given)
    devices: tuple[Registration, ...] = Field(default=(), max_length=256)
    faults: tuple[SlotFault, ...] = Field(default=(), max_length=256)
    runs: tuple[HeldRun, ...] = Field(default=(), max_length=256)
    characterised: tuple[CharacterisedBench, ...] = Field(
        default=(), max_length=BENCHES_MAX, exclude_if=lambda given: not given
    )


class HeartbeatReply(Message):
    """How often to come back, and the bench that the lab file gives this host."""

    next_s: float
    host: Host


class Renewal(Noun):
    """One lease the agent wants to keep."""

    run: Name
    epochs: Epochs


class RenewRequest(Message):
    """The leases of this host's living runs."""

    renewals: tuple[Renewal, ...] = Field(max_length=256)


class Standing(StrEnum):
    """What has become of a lease. Everything but ``renewed`` is an order to stop and tear down."""

    RENEWED = "renewed"
    CANCELLED = "cancelled"
    REVOKED = "revoked"
    LAPSED = "lapsed"
    UNKNOWN = "unknown"


class RenewedLease(Noun):
    """The answer for one lease; ``ttl_s`` counts from the sending of the request."""

    run: Name
    standing: Standing
    ttl_s: float
    reason: Text = ""


class RenewReply(Message):
    """The answers, one for each renewal."""

    leases: tuple[RenewedLease, ...]


class DeviceUnderTest(Noun):
    """The unit a run is about, as it was registered when the lease was granted."""

    device: Name
    registration: Registration


class CompanionDevice(Noun):
    """A unit that a run has beside the one under test: what it is there for, where it stands, and the unit as it was
    registered when the lease was granted. The lease covers it and its slot, each under an epoch of its own.
    """

    role: Role
    slot: Slot
    device: Name
    registration: Registration


class Assignment(Message):
    """One run: everything the agent needs, and no limit: what is measured does not depend on what is asked.

    ``companions``: the devices of the run beside the one under test. ``ttl_s`` and ``deadline_s`` count from the moment
    the agent takes it. ``stall_budget`` gives, per case and quantity, how much the bench itself may stall in a
    measuring window before the window is measured again. ``recover``: the unit is to be recovered before it is
    identified. ``characterisation_valid_days``: for how long the lab file lets a record of the bench's uncertainty
    hold.
    """

    run: Name
    attempt: int = Field(ge=1)
    submission: Name
    host: Name
    bench: Name
    slot: Slot
    instruments: tuple[Instrument, ...]
    dut: DeviceUnderTest
    programme: Label
    programme_digest: Sha256
    suite: Name
    cases: tuple[TestCase, ...] = Field(min_length=1, max_length=500)
    ics: Answers
    ixit: IxitValues
    epochs: Epochs
    ttl_s: float = Field(gt=0)
    deadline_s: float = Field(gt=0)
    stall_budget: dict[Name, dict[Name, float]] = Field(default_factory=dict)
    recover: bool = Field(default=False, exclude_if=lambda given: not given)
    companions: tuple[CompanionDevice, ...] = Field(
        default=(), max_length=COMPANIONS_MAX, exclude_if=lambda given: not given
    )
    characterisation_valid_days: int = Field(
        default=VALID_DAYS, ge=1, le=VALID_DAYS_MAX, exclude_if=lambda given: given == VALID_DAYS
    )

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Every slot that the run holds, that of the device under test first."""
        return self.slot, *(companion.slot for companion in self.companions)

    @property
    def units(self) -> tuple[tuple[Slot, Registration], ...]:
        """Every unit that the run drives, with its slot, the device under test first."""
        beside = ((companion.slot, companion.registration) for companion in self.companions)
        return (self.slot, self.dut.registration), *beside


class Acceptance(StrEnum):
    """What the agent says of an assignment."""

    ACCEPTED = "accepted"
    ALREADY = "already"
    STALE = "stale"
    REFUSED = "refused"


class AssignmentAnswer(Message):
    """The agent's answer to an assignment."""

    run: Name
    answer: Acceptance
    reason: Text = ""


class CaseStatus(StrEnum):
    """How the carrying out of a case ended; what its measurements are worth is for the judge."""

    MEASURED = "measured"
    ERROR = "error"
    NOT_RUN = "not-run"


class RunOutcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    ERROR = "error"
    STOPPED = "stopped"


class Started(Noun):
    """The run's process began.

    ``instruments``: those of its bench as the assignment named them, where one of them has a day on which its
    calibration is due; agents of earlier versions name none. ``score``: what the suite is worth, where it was scored.
    ``characterised``: the record of the bench's uncertainty beside what the bench is; None where it has none.
    """

    kind: Literal["started"] = "started"
    suite_version: Label
    pid: int
    instruments: tuple[Instrument, ...] = Field(
        default=(), max_length=INSTRUMENTS_MAX, exclude_if=lambda given: not given
    )
    score: SuiteScore | None = Field(default=None, exclude_if=lambda given: given is None)
    characterised: CharacterisedBench | None = Field(default=None, exclude_if=lambda given: given is None)


class BenchChecked(Noun):
    """The bench's check of itself, before the device: it measures nothing unless ``passed``."""

    kind: Literal["bench-checked"] = "bench-checked"
    passed: bool
    measurements: tuple[Measurement, ...] = Field(max_length=64)
    reason: Text = ""


class DeviceRecovered(Noun):
    """What was done to bring a unit back that could not be measured: each step with what came of it."""

    kind: Literal["device-recovered"] = "device-recovered"
    steps: tuple[Text, ...] = Field(min_length=1, max_length=20)


class DeviceIdentified(Noun):
    """The device was reset and said again who it is."""

    kind: Literal["device-identified"] = "device-identified"
    same: bool
    user_agent: Text
    reason: Text = ""


class CaseStarted(Noun):
    """A case began."""

    kind: Literal["case-started"] = "case-started"
    case: Name
    repeat: int = Field(ge=1)


class CaseEnded(Noun):
    """A case ended, with everything it measured."""

    kind: Literal["case-ended"] = "case-ended"
    case: Name
    repeat: int = Field(ge=1)
    status: CaseStatus
    reason: Text = ""
    measurements: tuple[Measurement, ...] = Field(default=(), max_length=256)
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=64)
    duration_s: float = Field(ge=0)


class Ended(Noun):
    """The run ended; nothing follows. ``within_deadline`` is judged by the run's own clock."""

    kind: Literal["ended"] = "ended"
    outcome: RunOutcome
    reason: Text = ""
    within_deadline: bool


ReportBody = Annotated[
    Started | BenchChecked | DeviceRecovered | DeviceIdentified | CaseStarted | CaseEnded | Ended,
    Field(discriminator="kind"),
]


class RunReport(Noun):
    """One report of a run; ``seq`` counts from 1 without gaps."""

    seq: int = Field(ge=1, le=REPORTS_PER_RUN_MAX)
    at: AwareDatetime
    body: ReportBody


class ReportBatch(Message):
    """Reports of one run in their order."""

    run: Name
    epochs: Epochs
    reports: tuple[RunReport, ...] = Field(min_length=1, max_length=REPORTS_PER_BATCH_MAX)


class Reception(StrEnum):
    """What became of a report: all of these are acknowledged, and none needs to be sent again."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"


class ReceivedReport(Noun):
    """What became of one report."""

    seq: int
    reception: Reception
    reason: Text = ""


class ReportReply(Message):
    """Told after the commit. ``missing_evidence`` must be uploaded before the reports that name it are taken."""

    received: tuple[ReceivedReport, ...]
    missing_evidence: tuple[Sha256, ...] = ()
    next_seq: int


SCORE_BYTES_MAX = 60_000


class SoundToScore(Noun):
    """Recordings to be scored, each a WAV file of evidence at the same rate: what was ``received`` of ``reference``.

    ``codec``: what the ideal channel between them is; ``through``: the reference after a codec whose ideal channel the
    scoring does not know. ``returned``: what came back to the sender meanwhile. ``perceptual``: the tool of a
    perceptual estimate, where one is asked for. The score of the same files is the same anywhere.
    """

    reference: Sha256
    received: Sha256
    codec: Name
    through: Sha256 | None = None
    returned: Sha256 | None = None
    perceptual: Literal["visqol", "pesq"] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The content addresses, in the order in which the files are handed on."""
        return tuple(one for one in (self.reference, self.received, self.through, self.returned) if one is not None)


class ScoreRequest(Message):
    """A host asks for a score; it asks again until there is one. ``sending``: calls of the bench may run there now."""

    sound: SoundToScore
    sending: bool


class ScoreStanding(StrEnum):
    """How a request for a score stands."""

    SCORED = "scored"
    WAITING = "waiting"
    MISSING_EVIDENCE = "missing-evidence"
    NEEDS_QUIET = "needs-quiet"
    """No node but the bench's own host can score it, and that sends: to be asked again once it does not."""
    REFUSED = "refused"
    """It cannot be scored, now or later."""


class ScoreReply(Message):
    """``score``: JSON text, where it stands as scored. ``missing_evidence`` must be uploaded first."""

    standing: ScoreStanding
    score: Annotated[str, Field(max_length=SCORE_BYTES_MAX)] = ""
    missing_evidence: tuple[Sha256, ...] = ()
    reason: Text = ""
    ray_node: Annotated[str, Field(max_length=120)] = ""
