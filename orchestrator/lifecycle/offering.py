"""Programmes of a lab's own: offered to new submissions, withdrawn, offered again. Pure."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.noun import Label, Name, Sha256, Text
from orchestrator.lifecycle.machine import Fact, Machine


class OfferingState(StrEnum):
    """``withdrawn``: nothing new is taken under it; it is kept for what was accepted under it."""

    OFFERED = "offered"
    WITHDRAWN = "withdrawn"


def named(programme: str, version: str) -> str:
    """How one version of a programme is called: ``ID@VERSION``."""
    return f"{programme}@{version}"


class ProgrammeOffered(Fact):
    """A version of a programme is open to submissions; ``document`` is the whole of it as JSON."""

    machine: ClassVar[str] = "programme"
    programme: Name
    version: Label
    digest: Sha256
    document: str
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """Its name and version."""
        return named(self.programme, self.version)

    def journal_entry(self) -> dict[str, str | int]:
        """The programme by digest, and by whom."""
        return {"digest": self.digest, "by": self.by, "reason": ""}


class ProgrammeWithdrawn(Fact):
    """A version of a programme is not open to submissions any more."""

    machine: ClassVar[str] = "programme"
    programme: Name
    version: Label
    by: Label
    reason: Text
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """Its name and version."""
        return named(self.programme, self.version)

    def journal_entry(self) -> dict[str, str | int]:
        """Why, and by whom."""
        return {"by": self.by, "reason": self.reason}


MACHINE = Machine(
    name="programme",
    transitions={
        (None, "ProgrammeOffered"): OfferingState.OFFERED,
        (OfferingState.OFFERED, "ProgrammeWithdrawn"): OfferingState.WITHDRAWN,
        (OfferingState.WITHDRAWN, "ProgrammeOffered"): OfferingState.OFFERED,
    },
    terminal=frozenset(),
)
