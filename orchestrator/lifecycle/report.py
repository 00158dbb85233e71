"""Test reports: issued once, never changed; an amended one takes the place of the one before. Pure."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.noun import Label, Name, Sha256
from orchestrator.lifecycle.machine import Fact, Machine


class ReportState(StrEnum):
    """``amended``: another report took its place; it is kept and shown with that."""

    ISSUED = "issued"
    AMENDED = "amended"


class ReportIssued(Fact):
    """A report was issued; ``document`` is the whole of it as canonical JSON. ``amends``: whose place it takes."""

    machine: ClassVar[str] = "report"
    number: Name
    submission: Name
    amends: Name | None
    document: str
    document_digest: Sha256
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """Its number."""
        return self.number

    def journal_entry(self) -> dict[str, str | int]:
        """The document by digest, and by whom."""
        said: dict[str, str | int] = {"submission": self.submission, "document_digest": self.document_digest}
        return said | {"by": self.by, "amends": self.amends or "none"}


class ReportAmended(Fact):
    """Another report took its place."""

    machine: ClassVar[str] = "report"
    number: Name
    amended_by: Name

    @property
    def entity(self) -> str:
        """The number of the report whose place was taken."""
        return self.number

    def journal_entry(self) -> dict[str, str | int]:
        """By which."""
        return {"amended_by": self.amended_by}


MACHINE = Machine(
    name="report",
    transitions={
        (None, "ReportIssued"): ReportState.ISSUED,
        (ReportState.ISSUED, "ReportAmended"): ReportState.AMENDED,
    },
    terminal=frozenset({ReportState.AMENDED}),
)
