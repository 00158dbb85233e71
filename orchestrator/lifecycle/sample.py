"""Samples: the physical units that a vendor sends or the lab buys, from their announcement to where they end. Pure.

Every hand-over is a fact with who gave, who took, when and where (ISO/IEC 17025:2017, 7.4). The journal holds its
digest and who wrote it down: names of people, serial numbers and remarks stay in the tables.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.canonical import digest
from lab_inventory.noun import Label, Name, Text
from orchestrator.lifecycle.machine import Fact, Machine

Columns = dict[str, str | None]


class Origin(StrEnum):
    """How the lab came by a sample. What a vendor sends was chosen by the vendor; what a shop sells was not."""

    VENDOR = "vendor"
    RETAIL = "retail"


class SampleState(StrEnum):
    """``lost``: nobody knows where it is; if it is found or arrives after all, it is received again."""

    ANNOUNCED = "announced"
    RECEIVED = "received"
    STORED = "stored"
    AT_BENCH = "at-bench"
    RETURNED = "returned"
    DISPOSED = "disposed"
    LOST = "lost"


HERE = (SampleState.RECEIVED, SampleState.STORED, SampleState.AT_BENCH)
"""The states in which the lab has it."""


class _OfSample(Fact):
    """``at``: when it was written down, by ``by``."""

    machine: ClassVar[str] = "sample"
    sample: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The sample."""
        return self.sample

    def journal_entry(self) -> dict[str, str | int]:
        """Who wrote it down, and the whole by digest."""
        return {"by": self.by, "digest": digest(self)}

    def columns(self) -> Columns:
        """What is known of the sample from now on."""
        return {}


class SampleAnnounced(_OfSample):
    """A sample of a product is on its way, or is to be bought."""

    vendor: Label
    maker: Label
    model: Label
    hardware_revision: Label
    serial: Label | None = None
    note: Text = ""

    def columns(self) -> Columns:
        """What it is a sample of."""
        return {
            "vendor": self.vendor,
            "maker": self.maker,
            "model": self.model,
            "hardware_revision": self.hardware_revision,
            "serial": self.serial,
            "announced_at": self.at.isoformat(),
            "changed_at": self.at.isoformat(),
        }


class _Happened(_OfSample):
    """``happened_at``: when it happened, which may be before it was written down."""

    happened_at: AwareDatetime
    note: Text = ""

    def columns(self) -> Columns:
        """When it happened."""
        return {"changed_at": self.happened_at.isoformat()}


class _Handed(_Happened):
    """It went from hand to hand."""

    handed_by: Label
    handed_to: Label
    place: Label

    def columns(self) -> Columns:
        """Who has it and where."""
        return super().columns() | {"place": self.place, "holder": self.handed_to}


class SampleReceived(_Handed):
    """It arrived. ``condition``: as it was found; ``seal``: its number, or that there was none."""

    serial: Label
    origin: Origin
    condition: Text = Field(min_length=1)
    seal: Label

    def columns(self) -> Columns:
        """What arrived, in which condition."""
        received = {"serial": self.serial, "origin": self.origin.value, "condition": self.condition, "seal": self.seal}
        return super().columns() | received | {"received_at": self.happened_at.isoformat()}


class SampleStored(_Handed):
    """It was put into store."""


class SampleBroughtToBench(_Handed):
    """It was brought to the bench that ``place`` names."""


class SampleReturned(_Handed):
    """It went back to whom it came from."""


class _Gone(_Happened):
    note: Text = Field(min_length=1)

    def columns(self) -> Columns:
        """Nobody has it any more."""
        return super().columns() | {"place": "", "holder": ""}


class SampleDisposed(_Gone):
    """It was destroyed or given to recycling; ``note`` says how."""


class SampleLost(_Gone):
    """It never arrived, or cannot be found; ``note`` says what is known."""


class SampleLinked(_OfSample):
    """It is what a submission is about."""

    submission: Name


class SampleUnitNamed(_OfSample):
    """It is a unit that an agent registered."""

    unit: Name

    def columns(self) -> Columns:
        """Which unit it is."""
        return {"unit": self.unit}


_MOVES = {
    "SampleStored": SampleState.STORED,
    "SampleBroughtToBench": SampleState.AT_BENCH,
    "SampleReturned": SampleState.RETURNED,
    "SampleDisposed": SampleState.DISPOSED,
    "SampleLost": SampleState.LOST,
}

MACHINE = Machine(
    name="sample",
    transitions={
        (None, "SampleAnnounced"): SampleState.ANNOUNCED,
        (SampleState.ANNOUNCED, "SampleReceived"): SampleState.RECEIVED,
        (SampleState.LOST, "SampleReceived"): SampleState.RECEIVED,
        (SampleState.ANNOUNCED, "SampleLost"): SampleState.LOST,
        (SampleState.ANNOUNCED, "SampleLinked"): SampleState.ANNOUNCED,
        **{(here, move): after for here in HERE for move, after in _MOVES.items()},
        **{(here, "SampleLinked"): here for here in HERE},
        **{(here, "SampleUnitNamed"): here for here in HERE},
    },
    terminal=frozenset({SampleState.RETURNED, SampleState.DISPOSED}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """A sample as it stands. ``changed_at``: when it was announced, or last went from hand to hand or was gone."""

    sample: str
    state: SampleState
    vendor: str
    maker: str
    model: str
    hardware_revision: str
    serial: str | None
    origin: Origin | None
    condition: str
    seal: str
    place: str
    holder: str
    unit: str | None
    announced_at: datetime
    received_at: datetime | None
    changed_at: datetime
