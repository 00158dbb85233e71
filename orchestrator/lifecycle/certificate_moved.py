"""What all steps of a certificate's history have in common. Pure."""

from datetime import date

from pydantic import AwareDatetime, Field

from lab_inventory.noun import Label, Name, Sha256, Text
from orchestrator.lifecycle.machine import Fact


class CertificateMoved(Fact):
    """A link was signed; ``document`` is the whole signed file."""

    certificate: Name
    number: int = Field(ge=1)
    ends_on: date | None
    limits: Text
    conditions: Text = ""
    document: str
    document_digest: Sha256
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The certificate."""
        return self.certificate

    def journal_entry(self) -> dict[str, str | int]:
        """The link by number and digest, and by whom."""
        return {"link": self.number, "document_digest": self.document_digest, "by": self.by}
