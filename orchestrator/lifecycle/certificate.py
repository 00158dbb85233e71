"""Decisions, certificates, and what becomes of a certificate: each step is a signed link of its history. Pure.

The certificate itself is never changed. A link names the digest of the document before it, so that none can be left
out or put in later; the newest says the state, the end date and the limits of use that hold now.
"""

from datetime import date
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.canonical import digest, sha256
from lab_inventory.device import Companion, Component, Product
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from orchestrator.lifecycle import certificate_moved
from orchestrator.lifecycle.machine import Fact, Machine
from orchestrator.lifecycle.signing_key import FormerKey
from orchestrator.lifecycle.verdict import Flag, Verdict


class CertificateState(StrEnum):
    """``provisional``: it holds, and something is open until its last day. ``expired`` until it is extended.

    ``withdrawn`` at the holder's wish, ``revoked`` against it: both for ever.
    """

    PROVISIONAL = "provisional"
    GRANTED = "granted"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"


class Provisional(Noun):
    """What is open when a certificate is granted, in words, and the last day on which it holds with that open."""

    conditions: Text
    ends_on: date


class DecisionMade(Fact):
    """It was decided what a judged submission gets. ``automatic`` only in a programme marked as a demonstration."""

    machine: ClassVar[str] = ""
    decision: Name
    submission: Name
    level: Name | None
    automatic: bool
    by: Label
    words: Text
    provisional: Provisional | None = Field(default=None, exclude_if=lambda given: given is None)
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The decision."""
        return self.decision

    def journal_entry(self) -> dict[str, str | int]:
        """Whose, what, by whom; of a person's decision the words by digest."""
        said: dict[str, str | int] = {"submission": self.submission, "level": self.level or "none", "by": self.by}
        if self.provisional is not None:
            said["provisional_digest"] = digest(self.provisional)
        return said if self.automatic else said | {"words_digest": sha256(self.words.encode())}


class WaivedRequirement(Noun):
    """A requirement that was not met at a level, and the waiver by which the level was met all the same.

    ``verdict``: what it came to, with its ``flags``: a pass that is unstable, for one. ``ends_on``: the waiver's last
    day; what was granted before it stands after it.
    """

    level: Name
    requirement: Name
    title: Label
    verdict: Verdict
    flags: tuple[Flag, ...] = Field(default=(), exclude_if=lambda given: not given)
    waiver: Name
    reason: Text
    ends_on: date


class Certificate(Noun):
    """What is certified: a set, never a model alone. This is the signed part.

    ``waived``: everything that the level was granted without, at it and the levels below it.
    """

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
    region: Label | None = Field(default=None, exclude_if=lambda given: given is None)
    components: tuple[Component, ...] = Field(default=(), exclude_if=lambda given: not given)
    companions: tuple[Companion, ...] = Field(default=(), exclude_if=lambda given: not given)
    level: Name
    level_title: Label
    waived: tuple[WaivedRequirement, ...] = Field(default=(), exclude_if=lambda given: not given)
    programme: Name
    programme_version: Label
    programme_digest: Sha256
    profile: Name
    profile_covers: Text
    profile_does_not_cover: Text
    designations: tuple[Label, ...] = Field(default=(), exclude_if=lambda given: not given)
    submission: Name
    runs: tuple[Name, ...]
    judgement_digest: Sha256
    evidence_digest: Sha256
    evidence: tuple[Sha256, ...]
    decision: Name
    decided_by: Label
    granted_at: AwareDatetime
    provisional: Provisional | None = Field(default=None, exclude_if=lambda given: given is None)
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


class CertificateProvisionallyGranted(CertificateGranted):
    """A certificate was signed that holds until a day, while something is open."""

    provisional: Provisional


class CertificateLink(Noun):
    """One step of a certificate's history. This is the signed part.

    ``number`` counts from 1. ``previous`` is the digest of the document before: the certificate, or the link before.
    ``ends_on``: the last day of the certificate from now on, None where none is set. ``limits``: of its use from now.
    ``conditions``: what is still open from now on.
    """

    format: Label = "assay-certificate-link/1"
    certificate: Name
    number: int = Field(ge=1)
    previous: Sha256
    event: Name
    state: CertificateState
    ends_on: date | None
    limits: Text
    conditions: Text = Field(default="", exclude_if=lambda given: not given)
    reason: Text
    by: Label
    at: AwareDatetime
    issuer: Label
    demonstration: bool
    notice: Text


class CertificateStatus(Noun):
    """What holds of one certificate; ``conditions``: what is open of a provisional one.

    ``head`` is the digest of its newest document, ``links`` their number.

    ``document``: the digest of the certificate itself, where links follow on it and the issuer changed its key: a key
    that vouches for what another signed vouches for these bytes.
    """

    certificate: Name
    state: CertificateState
    ends_on: date | None
    limits: Text
    conditions: Text = Field(default="", exclude_if=lambda given: not given)
    links: int = Field(ge=0)
    head: Sha256
    document: Sha256 | None = Field(default=None, exclude_if=lambda given: given is None)


class StatusList(Noun):
    """What holds of every certificate of an issuer. This is the signed part.

    Good until ``next_update``; ``number`` grows with every change. ``journal_head`` is that of the issuer's journal.
    ``former_keys``: those that signed before the one that signs this.
    """

    format: Label = "assay-status-list/1"
    issuer: Label
    number: int = Field(ge=0)
    issued_at: AwareDatetime
    next_update: AwareDatetime
    journal_head: Sha256
    certificates: tuple[CertificateStatus, ...]
    former_keys: tuple[FormerKey, ...] = Field(default=(), exclude_if=lambda given: not given)


class CertificateConfirmed(certificate_moved.CertificateMoved):
    """What was open is settled: it is granted in full."""

    machine: ClassVar[str] = "certificate"


class CertificateSuspended(certificate_moved.CertificateMoved):
    """It does not hold for now."""

    machine: ClassVar[str] = "certificate"


class CertificateReinstated(certificate_moved.CertificateMoved):
    """It holds again."""

    machine: ClassVar[str] = "certificate"


class CertificateReduced(certificate_moved.CertificateMoved):
    """It holds with limits of use from now on."""

    machine: ClassVar[str] = "certificate"


class CertificateExtended(certificate_moved.CertificateMoved):
    """It has another end date, or none any more."""

    machine: ClassVar[str] = "certificate"


class CertificateExpired(certificate_moved.CertificateMoved):
    """The day after its last day has come."""

    machine: ClassVar[str] = "certificate"


class CertificateWithdrawn(certificate_moved.CertificateMoved):
    """Its holder gave it up."""

    machine: ClassVar[str] = "certificate"


class CertificateRevoked(certificate_moved.CertificateMoved):
    """It was taken from its holder."""

    machine: ClassVar[str] = "certificate"


MOVES: dict[str, type[certificate_moved.CertificateMoved]] = {
    "confirmed": CertificateConfirmed,
    "suspended": CertificateSuspended,
    "reinstated": CertificateReinstated,
    "reduced": CertificateReduced,
    "extended": CertificateExtended,
    "expired": CertificateExpired,
    "withdrawn": CertificateWithdrawn,
    "revoked": CertificateRevoked,
}
"""The fact of each event; the event's name is what the link says."""

_G, _S, _E = CertificateState.GRANTED, CertificateState.SUSPENDED, CertificateState.EXPIRED
_W, _R = CertificateState.WITHDRAWN, CertificateState.REVOKED
_P = CertificateState.PROVISIONAL

MACHINE = Machine(
    name="certificate",
    transitions={
        (None, "CertificateGranted"): _G,
        (None, "CertificateProvisionallyGranted"): _P,
        (_P, "CertificateConfirmed"): _G,
        (_P, "CertificateReduced"): _P,
        (_P, "CertificateExtended"): _P,
        (_P, "CertificateExpired"): _E,
        (_P, "CertificateWithdrawn"): _W,
        (_P, "CertificateRevoked"): _R,
        (_G, "CertificateSuspended"): _S,
        (_S, "CertificateReinstated"): _G,
        (_G, "CertificateReduced"): _G,
        (_S, "CertificateReduced"): _S,
        (_G, "CertificateExtended"): _G,
        (_S, "CertificateExtended"): _S,
        (_E, "CertificateExtended"): _G,
        (_G, "CertificateExpired"): _E,
        (_G, "CertificateWithdrawn"): _W,
        (_S, "CertificateWithdrawn"): _W,
        (_E, "CertificateWithdrawn"): _W,
        (_G, "CertificateRevoked"): _R,
        (_S, "CertificateRevoked"): _R,
        (_E, "CertificateRevoked"): _R,
    },
    terminal=frozenset({_W, _R}),
)
