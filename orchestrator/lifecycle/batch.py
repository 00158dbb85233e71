"""A batch of submissions and the submissions in it. Pure."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.device import Companion, Component, Product
from lab_inventory.ics import Answers, IxitValues
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from lab_inventory.programme import Version
from orchestrator.lifecycle.machine import Fact, Machine

SUBMISSIONS_PER_BATCH_MAX = 200
PARTS_MAX = 16


class BatchState(StrEnum):
    """``held``: nothing of it is placed; what runs goes on."""

    OPEN = "open"
    HELD = "held"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class SubmissionState(StrEnum):
    """``open`` until everything that can be measured is; then judged."""

    OPEN = "open"
    JUDGED = "judged"
    CANCELLED = "cancelled"


class OwnProgramme(Noun):
    """Another programme than that of the batch: a phone and its headset in one batch. ``version`` None: the newest that
    is available. Version and digest are bound when the batch is accepted; who submits names no digest.
    """

    id: Name
    version: Version | None = None
    digest: Sha256 | None = None


class Submission(Noun):
    """What a vendor sends of one product. The programme is bound by its digest when the batch is accepted: the batch's,
    or ``programme``.

    ``components``: the firmware of each part, where the product has several or its hash is known. ``companions``: the
    hosts and dongles with which it is to be certified. ``region``: the variant for one part of the world. ``unit``: the
    one registered unit that it is to be tested on, where it must be that one.
    """

    title: Label
    vendor: Label
    product: Product
    hardware_revision: Label
    mode: Name
    region: Label | None = Field(default=None, exclude_if=lambda given: given is None)
    components: tuple[Component, ...] = Field(default=(), max_length=PARTS_MAX, exclude_if=lambda given: not given)
    companions: tuple[Companion, ...] = Field(default=(), max_length=PARTS_MAX, exclude_if=lambda given: not given)
    profile: Name
    ics: Answers
    ixit: IxitValues = Field(default_factory=dict)
    unit: Name | None = Field(default=None, exclude_if=lambda given: given is None)
    programme: OwnProgramme | None = Field(default=None, exclude_if=lambda given: given is None)

    def bound_to(self, of_batch: str) -> str:
        """The digest of its programme, given that of its batch's."""
        return of_batch if self.programme is None or self.programme.digest is None else self.programme.digest


class AcceptedSubmission(Noun):
    """A submission with the id it got."""

    submission: Name
    content: Submission


class BatchAccepted(Fact):
    """A batch was taken, with all its submissions."""

    machine: ClassVar[str] = "batch"
    batch: Name
    title: Label
    priority: int = Field(ge=0, le=100)
    programme: Name
    programme_version: Label
    programme_digest: Sha256
    submissions: tuple[AcceptedSubmission, ...] = Field(min_length=1, max_length=SUBMISSIONS_PER_BATCH_MAX)
    content_digest: Sha256
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The batch."""
        return self.batch

    def journal_entry(self) -> dict[str, str | int]:
        """What was accepted, by digest, and from whom."""
        return {
            "by": self.by,
            "programme": f"{self.programme} {self.programme_version}",
            "programme_digest": self.programme_digest,
            "content_digest": self.content_digest,
            "submissions": " ".join(accepted.submission for accepted in self.submissions),
        }


class _BatchMoved(Fact):
    machine: ClassVar[str] = "batch"
    batch: Name
    by: Label
    reason: Text = ""

    @property
    def entity(self) -> str:
        """The batch."""
        return self.batch

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


class BatchHeld(_BatchMoved):
    """An operator held it: nothing more of it is placed."""


class BatchReleased(_BatchMoved):
    """An operator let it go on."""


class BatchCancelled(_BatchMoved):
    """An operator cancelled it: what waits is cancelled, what runs is stopped."""


class BatchCompleted(_BatchMoved):
    """Every submission of it is judged."""


class SubmissionCancelled(Fact):
    """A submission ended with its batch, unjudged."""

    machine: ClassVar[str] = "submission"
    submission: Name
    batch: Name

    @property
    def entity(self) -> str:
        """The submission."""
        return self.submission

    def journal_entry(self) -> dict[str, str | int]:
        """Its batch."""
        return {"batch": self.batch}


MACHINE = Machine(
    name="batch",
    transitions={
        (None, "BatchAccepted"): BatchState.OPEN,
        (BatchState.OPEN, "BatchHeld"): BatchState.HELD,
        (BatchState.HELD, "BatchReleased"): BatchState.OPEN,
        (BatchState.OPEN, "BatchCancelled"): BatchState.CANCELLED,
        (BatchState.HELD, "BatchCancelled"): BatchState.CANCELLED,
        (BatchState.OPEN, "BatchCompleted"): BatchState.COMPLETED,
        (BatchState.HELD, "BatchCompleted"): BatchState.COMPLETED,
    },
    terminal=frozenset({BatchState.COMPLETED, BatchState.CANCELLED}),
)

SUBMISSION_MACHINE = Machine(
    name="submission",
    transitions={
        (None, "BatchAccepted"): SubmissionState.OPEN,
        (SubmissionState.OPEN, "SubmissionJudged"): SubmissionState.JUDGED,
        (SubmissionState.OPEN, "SubmissionCancelled"): SubmissionState.CANCELLED,
    },
    terminal=frozenset({SubmissionState.JUDGED, SubmissionState.CANCELLED}),
)
