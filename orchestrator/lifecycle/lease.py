"""A lease: the right to drive a set of resources, each under an epoch that only grows. Pure."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.messages import Epochs
from lab_inventory.noun import Name, Text
from orchestrator.lifecycle.machine import Fact, Machine


class LeaseState(StrEnum):
    """``live`` is the only state in which its resources may be driven."""

    LIVE = "live"
    RELEASED = "released"
    LAPSED = "lapsed"
    REVOKED = "revoked"


class _LeaseFact(Fact):
    machine: ClassVar[str] = "lease"
    lease: Name
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The lease."""
        return self.lease

    def journal_entry(self) -> dict[str, str | int]:
        """Nothing beyond the lease."""
        return {}


class LeaseGranted(_LeaseFact):
    """All its resources at once, each with the epoch after its last; the commit is refused where one is not free."""

    run: Name
    host: Name
    epochs: Epochs = Field(min_length=1)
    ttl_s: float = Field(gt=0)
    deadline_s: float = Field(gt=0)

    def journal_entry(self) -> dict[str, str | int]:
        """Who got what under which epoch."""
        return {"run": self.run, "host": self.host, **self.epochs}


class LeaseReleased(_LeaseFact):
    """Given back: the run ended."""


class LeaseLapsed(_LeaseFact):
    """Its ttl passed without a renewal."""


class LeaseRevoked(_LeaseFact):
    """Taken away."""

    reason: Text


MACHINE = Machine(
    name="lease",
    transitions={
        (None, "LeaseGranted"): LeaseState.LIVE,
        (LeaseState.LIVE, "LeaseReleased"): LeaseState.RELEASED,
        (LeaseState.LIVE, "LeaseLapsed"): LeaseState.LAPSED,
        (LeaseState.LIVE, "LeaseRevoked"): LeaseState.REVOKED,
    },
    terminal=frozenset({LeaseState.RELEASED, LeaseState.LAPSED, LeaseState.REVOKED}),
)
