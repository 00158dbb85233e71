"""Decisions and certificates. Pure."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.canonical import sha256
from lab_inventory.device import Product
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from orchestrator.lifecycle.machine import Fact, Machine


class CertificateState(StrEnum):
    """A certificate is granted once."""

    GRANTED = "granted"


class DecisionMade(Fact):
    """It was decided what a judged submission gets. ``automatic`` only in a programme marked as a demonstration."""

    machine: ClassVar[str] = ""
    decision: Name
    submission: Name
    level: Name | None
    automatic: bool
    by: Label
    words: Text
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The decision."""
        return self.decision

    def journal_entry(self) -> dict[str, str | int]:
        """Whose, what, by whom; of a person's decision the words by digest."""
        said: dict[str, str | int] = {"submission": self.submission, "level": self.level or "none", "by": self.by}
        return said if self.automatic else said | {"words_digest": sha256(self.words.encode())}


class Certificate(Noun):
    """What is certified: a set, never a model alone. This is the signed part."""

    format: Label = "assay-certificate/1"
    certificate: Name
    demonstration: bool
    notice: Text
    issuer: Label
    lab: Label
    vendor: Label
    product: Product
    hardware_revision: Label
    mode: Name
    level: Name
    level_title: Label
    programme: Name
    programme_version: Label
    programme_digest: Sha256
    profile: Name
    profile_covers: Text
    profile_does_not_cover: Text
    submission: Name
    runs: tuple[Name, ...]
    judgement_digest: Sha256
    evidence_digest: Sha256
    evidence: tuple[Sha256, ...]
    decision: Name
    decided_by: Label
    granted_at: AwareDatetime
    journal_head: Sha256
    journal_length: int


class CertificateGranted(Fact):
    """A certificate was signed; ``document`` is the whole signed file."""

    machine: ClassVar[str] = "certificate"
    certificate: Name
    submission: Name
    level: Name
    document: str
    document_digest: Sha256
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The certificate."""
        return self.certificate

    def journal_entry(self) -> dict[str, str | int]:
        """The document by digest."""
        return {"submission": self.submission, "level": self.level, "document_digest": self.document_digest}


MACHINE = Machine(
    name="certificate",
    transitions={(None, "CertificateGranted"): CertificateState.GRANTED},
    terminal=frozenset(),
)
