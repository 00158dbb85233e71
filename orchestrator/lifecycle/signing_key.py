"""The keys that sign, one at a time: each introduced by the one before it, and published for as long as anybody asks.

Pure. A private key is never part of this. As long as a lab has had one key only, nothing of this is kept.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.noun import Label, Noun, Sha256, Text
from orchestrator.lifecycle.machine import Fact, Machine


class SigningKeyState(StrEnum):
    """One key is ``current``. A retired one signs nothing more, and what it signed stays signed."""

    CURRENT = "current"
    RETIRED = "retired"
    COMPROMISED = "compromised"


class KeyLink(Noun):
    """A key takes over at ``valid_from``. This is the signed part.

    It is signed with the key before it, whose thumbprint is ``previous``; where that is lost or stolen ``previous`` is
    None, and the key signs for itself: then nobody can follow to it. ``x``: the public half (RFC 8037), base64url.
    """

    format: Label = "assay-key-link/1"
    issuer: Label
    number: int = Field(ge=1)
    previous: Label | None
    thumbprint: Label
    x: Label
    valid_from: AwareDatetime


class FormerKey(Noun):
    """A key that signs no more. It signed from ``valid_from`` (None: the first) until ``retired_at``.

    ``compromised_since``: from this moment on somebody else may have signed with it.
    """

    compromised_since: AwareDatetime | None
    retired_at: AwareDatetime
    thumbprint: Label
    valid_from: AwareDatetime | None
    x: Label


class SigningKeyIntroduced(Fact):
    """A key signs from now on. ``document``: its signed link; empty for the first, which nothing introduced."""

    machine: ClassVar[str] = "signing-key"
    number: int = Field(ge=0)
    thumbprint: Label
    x: Label
    previous: Label | None
    document: str
    document_digest: Sha256
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The key."""
        return self.thumbprint

    def journal_entry(self) -> dict[str, str | int]:
        """The link by number and digest, the public half, and the key before it."""
        said: dict[str, str | int] = {"number": self.number, "x": self.x, "previous": self.previous or "none"}
        return said | {"document_digest": self.document_digest}


class SigningKeyRetired(Fact):
    """A key signs nothing more."""

    machine: ClassVar[str] = "signing-key"
    thumbprint: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The key."""
        return self.thumbprint

    def journal_entry(self) -> dict[str, str | int]:
        """From when on."""
        return {"retired_at": self.at.isoformat()}


class SigningKeyCompromised(Fact):
    """Somebody else may have signed with a retired key since a moment."""

    machine: ClassVar[str] = "signing-key"
    thumbprint: Label
    since: AwareDatetime
    reason: Text
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The key."""
        return self.thumbprint

    def journal_entry(self) -> dict[str, str | int]:
        """Since when, and who said so."""
        return {"compromised_since": self.since.isoformat(), "by": self.by}


_C, _R, _X = SigningKeyState.CURRENT, SigningKeyState.RETIRED, SigningKeyState.COMPROMISED

MACHINE = Machine(
    name="signing-key",
    transitions={
        (None, "SigningKeyIntroduced"): _C,
        (_C, "SigningKeyRetired"): _R,
        (_R, "SigningKeyCompromised"): _X,
        (_X, "SigningKeyCompromised"): _X,
    },
    terminal=frozenset(),
)
