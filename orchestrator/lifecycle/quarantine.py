"""Quarantine: a unit or a bench that the lab takes out by itself, and how it comes back. Pure.

The entity is a resource: ``device:ID`` or ``bench:NAME``. What a person wants of a unit is another machine
(:mod:`orchestrator.lifecycle.device`), and neither changes the other.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.noun import Label, Name, Text
from orchestrator.lifecycle.machine import Fact, Machine


class QuarantineState(StrEnum):
    """``needs-person``: it was tried to bring it back as often as is allowed. ``ended``: it is in service again."""

    QUARANTINED = "quarantined"
    PROBATION = "probation"
    NEEDS_PERSON = "needs-person"
    ENDED = "ended"


class _QuarantineFact(Fact):
    machine: ClassVar[str] = "quarantine"
    resource: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The unit or bench."""
        return self.resource

    def journal_entry(self) -> dict[str, str | int]:
        """Nothing beyond the resource."""
        return {}


class Quarantined(_QuarantineFact):
    """It was taken out: the lab failed to measure on it, time after time. ``runs`` are those it failed in."""

    reason: Text
    runs: tuple[Name, ...] = Field(min_length=1)

    def journal_entry(self) -> dict[str, str | int]:
        """The runs it was taken out for."""
        return {"runs": " ".join(self.runs)}


class ProbationBegun(_QuarantineFact):
    """It is brought back to a known state and measured: ``batch`` is the probation, the ``attempt``-th of its kind."""

    batch: Name
    attempt: int = Field(ge=1)
    by: Label

    def journal_entry(self) -> dict[str, str | int]:
        """Which batch, and who wanted it."""
        return {"batch": self.batch, "attempt": self.attempt, "by": self.by}


class ProbationFailed(_QuarantineFact):
    """It could not be measured in its probation either."""

    reason: Text


class RecoveryGivenUp(_QuarantineFact):
    """As many probations as are allowed have failed: a person has to look at it."""


class QuarantineEnded(_QuarantineFact):
    """It is in service again: its probation was measured from beginning to end, or a person said so."""

    by: Label
    reason: Text

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


_OUT = (QuarantineState.QUARANTINED, QuarantineState.PROBATION, QuarantineState.NEEDS_PERSON)

MACHINE = Machine(
    name="quarantine",
    transitions={
        (None, "Quarantined"): QuarantineState.QUARANTINED,
        (QuarantineState.ENDED, "Quarantined"): QuarantineState.QUARANTINED,
        (QuarantineState.QUARANTINED, "ProbationBegun"): QuarantineState.PROBATION,
        (QuarantineState.NEEDS_PERSON, "ProbationBegun"): QuarantineState.PROBATION,
        (QuarantineState.PROBATION, "ProbationFailed"): QuarantineState.QUARANTINED,
        (QuarantineState.QUARANTINED, "RecoveryGivenUp"): QuarantineState.NEEDS_PERSON,
        **{(state, "QuarantineEnded"): QuarantineState.ENDED for state in _OUT},
    },
    terminal=frozenset(),
)
