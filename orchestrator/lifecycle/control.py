"""Control devices, and drifts of the benches they are measured on. Pure.

A control device is a unit that people trust not to change: what a bench measures of it says something of the bench. A
drift is a point of its chart that is out of control; it stands against decisions of its bench until a person explains
it.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.canonical import sha256
from lab_inventory.noun import Label, Name, Text, Words
from orchestrator.lifecycle.machine import Fact, Machine


class ControlState(StrEnum):
    """What people want of a unit."""

    MARKED = "marked"
    ENDED = "ended"


class _ControlFact(Fact):
    machine: ClassVar[str] = "control"
    device: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The unit."""
        return self.device

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


class ControlMarked(_ControlFact):
    """A unit is the control device of its bench from now on."""

    reason: Text


class ControlEnded(_ControlFact):
    """It is none any more."""


MACHINE = Machine(
    name="control",
    transitions={
        (None, "ControlMarked"): ControlState.MARKED,
        (ControlState.ENDED, "ControlMarked"): ControlState.MARKED,
        (ControlState.MARKED, "ControlEnded"): ControlState.ENDED,
    },
    terminal=frozenset(),
)


class DriftState(StrEnum):
    """Whether somebody has said what it was."""

    OPEN = "open"
    EXPLAINED = "explained"


class _DriftFact(Fact):
    machine: ClassVar[str] = "drift"
    drift: Name
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The finding."""
        return self.drift


class DriftFound(_DriftFact):
    """A point of a chart is out of control. ``chart``: of which quantity of which case; ``run``: the point's."""

    bench: Name
    chart: Label
    run: Name
    words: Text

    def journal_entry(self) -> dict[str, str | int]:
        """Where, and in which run."""
        return {"bench": self.bench, "chart": self.chart, "run": self.run}


class DriftExplained(_DriftFact):
    """A person has said what it was. ``anew``: the chart begins anew, because the bench is another from now on."""

    by: Label
    words: Words
    anew: bool

    def journal_entry(self) -> dict[str, str | int]:
        """Who, and the digest of what they said."""
        return {"by": self.by, "words": sha256(self.words.encode()), "anew": int(self.anew)}


DRIFT_MACHINE = Machine(
    name="drift",
    transitions={
        (None, "DriftFound"): DriftState.OPEN,
        (DriftState.OPEN, "DriftExplained"): DriftState.EXPLAINED,
    },
    terminal=frozenset({DriftState.EXPLAINED}),
)
