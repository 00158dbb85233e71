"""From a decision to the facts that follow from it: one way, whoever decided, the loop or a person."""

from datetime import datetime
from typing import Any, Protocol

from lab_inventory.canonical import sha256
from lab_inventory.clock import Clock
from lab_inventory.lab import Lab
from lab_inventory.programme import Programme
from orchestrator.lifecycle.certificate import (
    Certificate,
    CertificateGranted,
    CertificateLink,
    CertificateProvisionallyGranted,
    DecisionMade,
)
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.pipeline.certify import draft
from orchestrator.store.store import JournalHead


class SignsCertificates(Protocol):
    """Puts the issuer's signature on a certificate, and on what becomes of it."""

    name: str

    def sign(self, certificate: Certificate) -> str:
        """The signed document."""
        ...

    def sign_link(self, link: CertificateLink) -> str:
        """The signed document."""
        ...


class Granting:
    """Makes and signs the certificate of a decision that grants a level."""

    def __init__(self, signer: SignsCertificates, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock

    def facts(
        self,
        decision: DecisionMade,
        judgement: Judgement,
        view: SubmissionView,
        programme: Programme,
        *,
        lab: Lab | None,
        head: JournalHead,
        now: datetime,
    ) -> list[Fact]:
        """The decision, and the certificate where it grants one; ``head`` is the journal's end before both."""
        certificate = draft(
            decision,
            judgement,
            view,
            programme,
            issuer=self._signer.name,
            lab=lab.lab if lab else "unnamed",
            journal_head=head.hash,
            journal_length=head.length,
            new_id=self._clock.new_id,
        )
        return [decision] if certificate is None else [decision, self._granted(certificate, now)]

    def _granted(self, certificate: Certificate, now: datetime) -> CertificateGranted:
        document = self._signer.sign(certificate)
        fields: dict[str, Any] = {
            "certificate": certificate.certificate,
            "submission": certificate.submission,
            "level": certificate.level,
            "document": document,
            "document_digest": sha256(document.encode()),
            "at": now,
        }
        if certificate.provisional is not None:
            return CertificateProvisionallyGranted(provisional=certificate.provisional, **fields)
        return CertificateGranted(**fields)
