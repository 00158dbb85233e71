"""Waivers: that one requirement does not keep one product from a level, for a time, and by whose authority. Pure.

A waiver is asked for by one person and approved by another. It names everything that it is for, and it ends by itself
on a day that it names. The journal holds who, what it is for, and the rest by digest: reasons stay in the tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from lab_inventory.canonical import digest
from lab_inventory.noun import Label, Name, Noun
from orchestrator.lifecycle.machine import Fact, Machine

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$"),
]
"""Why, in 1 to 500 characters, so that it fits into the words of a verdict whole."""


class WaiverState(StrEnum):
    """``lapsed``: its last day is over, whether it had been approved or not."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    REVOKED = "revoked"
    LAPSED = "lapsed"


class WaivedProduct(Noun):
    """A model in one hardware revision, whatever its firmware and mode."""

    maker: Label
    model: Label
    hardware_revision: Label


class WaiverScope(Noun):
    """What a waiver is for: one requirement of one programme version at the levels named, of a product or a submission.

    There is no way to say "all": each level is named, and either ``product`` or ``submission`` is.
    """

    programme: Name = Field(examples=["ip-phone-basic"])
    programme_version: Label = Field(examples=["1.0"])
    requirement: Name = Field(examples=["IPP-REG-1"])
    levels: tuple[Name, ...] = Field(min_length=1, max_length=20, examples=[["works-with"]])
    product: WaivedProduct | None = None
    submission: Name | None = Field(default=None, examples=["sub-1"])

    @model_validator(mode="after")
    def _is_for_one_thing(self) -> Self:
        if (self.product is None) == (self.submission is None):
            raise ValueError("expected either a product with its hardware revision, or one submission")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("a level is named twice")
        return self

    @property
    def words(self) -> str:
        """The whole scope, for people."""
        at = f"{self.requirement} of {self.programme} {self.programme_version} at {', '.join(self.levels)}"
        if self.product is not None:
            of = self.product
            return f"{at}, for {of.maker} {of.model}, hardware {of.hardware_revision}"
        return f"{at}, for the submission {self.submission}"


class _OfWaiver(Fact):
    machine: ClassVar[str] = "waiver"
    waiver: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The waiver."""
        return self.waiver

    def journal_entry(self) -> dict[str, str | int]:
        """Who, and the whole by digest."""
        return {"by": self.by, "digest": digest(self)}


class WaiverProposed(_OfWaiver):
    """Somebody asks for a waiver. ``ends_on``: its last day, in UTC."""

    scope: WaiverScope
    reason: Reason
    ends_on: date

    def columns(self) -> dict[str, str | None]:
        """What it is looked up by."""
        product = self.scope.product
        return {
            "programme": self.scope.programme,
            "programme_version": self.scope.programme_version,
            "requirement": self.scope.requirement,
            "maker": product.maker if product else None,
            "model": product.model if product else None,
            "hardware_revision": product.hardware_revision if product else None,
            "submission": self.scope.submission,
            "ends_on": self.ends_on.isoformat(),
        }

    def journal_entry(self) -> dict[str, str | int]:
        """Who, what it is for, until when, and the whole by digest."""
        scope = self.scope
        return super().journal_entry() | {
            "programme": scope.programme,
            "programme_version": scope.programme_version,
            "requirement": scope.requirement,
            "levels": " ".join(scope.levels),
            "ends_on": self.ends_on.isoformat(),
        }


class _Answered(_OfWaiver):
    reason: Reason


class WaiverApproved(_Answered):
    """Another person approves it: it is in force from now to its last day."""


class WaiverRefused(_Answered):
    """It is not approved, and will not be."""


class WaiverRevoked(_Answered):
    """It was in force, and is no more. What was judged under it stays as it was judged."""


class WaiverLapsed(_OfWaiver):
    """Its last day is over. ``by``: nobody but the server itself."""


FACTS: Mapping[str, type[WaiverProposed | _Answered | WaiverLapsed]] = {
    kind.__name__: kind for kind in (WaiverProposed, WaiverApproved, WaiverRefused, WaiverRevoked, WaiverLapsed)
}
"""Everything that happens to waivers, by the names of the facts."""

MACHINE = Machine(
    name="waiver",
    transitions={
        (None, "WaiverProposed"): WaiverState.PROPOSED,
        (WaiverState.PROPOSED, "WaiverApproved"): WaiverState.APPROVED,
        (WaiverState.PROPOSED, "WaiverRefused"): WaiverState.REFUSED,
        (WaiverState.PROPOSED, "WaiverLapsed"): WaiverState.LAPSED,
        (WaiverState.APPROVED, "WaiverRevoked"): WaiverState.REVOKED,
        (WaiverState.APPROVED, "WaiverLapsed"): WaiverState.LAPSED,
    },
    terminal=frozenset({WaiverState.REFUSED, WaiverState.REVOKED, WaiverState.LAPSED}),
)


@dataclass(frozen=True, kw_only=True)
class WaiverView:
    """A waiver as it stands. ``approval`` None: nobody approved it. ``end``: how it ended otherwise than by its day."""

    waiver: str
    state: WaiverState
    proposed: WaiverProposed
    approval: WaiverApproved | None = None
    end: WaiverRefused | WaiverRevoked | None = None

    @property
    def scope(self) -> WaiverScope:
        """What it is for."""
        return self.proposed.scope

    def over(self, now: datetime) -> bool:
        """Whether its last day is over; ``now`` in UTC."""
        return now.date() > self.proposed.ends_on

    def in_force(self, now: datetime) -> bool:
        """Whether it counts at this moment: approved, not revoked, and its last day is not over."""
        return self.state is WaiverState.APPROVED and self.approval is not None and not self.over(now)
