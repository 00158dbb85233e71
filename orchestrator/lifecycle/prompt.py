"""Prompts: what people are asked to measure of a submission, answered, confirmed by another person, or given up. Pure.

A prompt asks for one manual requirement. What people write and measure stands in the tables; the journal has who, and
the digest of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import AwareDatetime, Field, model_validator

from lab_inventory.canonical import digest
from lab_inventory.lab import Calibration
from lab_inventory.measurement import Evidence, Unit, Value
from lab_inventory.noun import Label, Name, Noun, Text, Words
from orchestrator.lifecycle.machine import Fact, Machine

MEASURED_MAX = 64
FILES_MAX = 16


class PromptState(StrEnum):
    """``unconfirmed``: answered by one person where another has to confirm it. The last four are its ends."""

    OPEN = "open"
    UNCONFIRMED = "unconfirmed"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    ABORTED = "aborted"
    LAPSED = "lapsed"


class MeasuredByHand(Noun):
    """One value of one quantity, as a person measured it.

    ``uncertainty``: expanded (k = 2), in ``unit``, where it is known. ``instrument`` None: it was observed, that is
    seen or counted. An instrument comes with its calibration.
    """

    quantity: Name
    unit: Unit
    value: Value
    uncertainty: float | None = Field(default=None, ge=0)
    instrument: Name | None = None
    calibration: Calibration | None = None
    note: Label | None = None

    @model_validator(mode="after")
    def _instrument_and_calibration_go_together(self) -> Self:
        if (self.instrument is None) is not (self.calibration is None):
            raise ValueError("has only one of instrument and calibration; expected both, or neither: by observation")
        return self


class _OfPrompt(Fact):
    machine: ClassVar[str] = "prompt"
    prompt: Name
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The prompt."""
        return self.prompt


class PromptOpened(_OfPrompt):
    """People are asked to measure a manual requirement of a submission until ``due_at``."""

    submission: Name
    requirement: Name
    second_person: bool
    due_at: AwareDatetime

    def journal_entry(self) -> dict[str, str | int]:
        """What is asked of which submission, and until when."""
        return {"submission": self.submission, "requirement": self.requirement, "due_at": self.due_at.isoformat()}


class PromptEntry(_OfPrompt):
    """Something that became of a prompt. ``by``: a person, or ``assay``."""

    entry: Name
    by: Label

    def journal_entry(self) -> dict[str, str | int]:
        """Who, and all of it by digest."""
        return {"entry": self.entry, "by": self.by, "entry_digest": digest(self)}


class _Answer(PromptEntry):
    serial: Label
    measured: tuple[MeasuredByHand, ...] = Field(min_length=1, max_length=MEASURED_MAX)
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=FILES_MAX)
    words: Text = ""


class PromptAnswered(_Answer):
    """Somebody measured it, and no second person is asked for. ``serial``: of the unit that was measured."""


class PromptAnsweredByOne(_Answer):
    """Somebody measured it; it counts once another person confirmed it."""


class PromptConfirmed(PromptEntry):
    """Another person says that ``answer`` is right."""

    answer: Name
    words: Text = ""


class PromptDiffered(PromptEntry):
    """Another person says that ``answer`` is not right: it is asked for again."""

    answer: Name
    words: Words


class PromptAborted(PromptEntry):
    """Somebody gave it up."""

    words: Words


class PromptLapsed(PromptEntry):
    """Its time passed."""


ENTRIES: Mapping[str, type[PromptEntry]] = {
    kind.__name__: kind
    for kind in (PromptAnswered, PromptAnsweredByOne, PromptConfirmed, PromptDiffered, PromptAborted, PromptLapsed)
}
"""What may become of a prompt, by the names of the facts."""

CLOSED = frozenset({PromptState.ANSWERED, PromptState.CONFIRMED, PromptState.ABORTED, PromptState.LAPSED})


@dataclass(frozen=True, kw_only=True)
class PromptView:
    """A prompt and everything that became of it, in its order."""

    prompt: str
    submission: str
    requirement: str
    state: PromptState
    second_person: bool
    opened_at: datetime
    due_at: datetime
    entries: tuple[PromptEntry, ...] = ()

    @property
    def answer(self) -> PromptAnswered | PromptAnsweredByOne | None:
        """The answer that stands; None where there is none, or a second person differed, or it was given up."""
        if self.state not in (PromptState.UNCONFIRMED, PromptState.ANSWERED, PromptState.CONFIRMED):
            return None
        found = [entry for entry in self.entries if isinstance(entry, PromptAnswered | PromptAnsweredByOne)]
        return found[-1] if found else None

    @property
    def confirmation(self) -> PromptConfirmed | None:
        """Who confirmed it, where somebody did."""
        last = self.entries[-1] if self.entries else None
        return last if isinstance(last, PromptConfirmed) else None

    @property
    def digest(self) -> str:
        """The digest of all that became of it."""
        return digest([[type(entry).__name__, digest(entry)] for entry in self.entries])


MACHINE = Machine(
    name="prompt",
    transitions={
        (None, "PromptOpened"): PromptState.OPEN,
        (PromptState.OPEN, "PromptAnswered"): PromptState.ANSWERED,
        (PromptState.OPEN, "PromptAnsweredByOne"): PromptState.UNCONFIRMED,
        (PromptState.UNCONFIRMED, "PromptConfirmed"): PromptState.CONFIRMED,
        (PromptState.UNCONFIRMED, "PromptDiffered"): PromptState.OPEN,
        (PromptState.OPEN, "PromptAborted"): PromptState.ABORTED,
        (PromptState.UNCONFIRMED, "PromptAborted"): PromptState.ABORTED,
        (PromptState.OPEN, "PromptLapsed"): PromptState.LAPSED,
        (PromptState.UNCONFIRMED, "PromptLapsed"): PromptState.LAPSED,
    },
    terminal=CLOSED,
)
