"""A lab host: what people want of it. A host that nobody ever drained is in service and has no row. Pure."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.noun import Label, Name, Text
from orchestrator.lifecycle.machine import Fact, Machine


class HostIntent(StrEnum):
    """What people want of a host; no observation ever changes it."""

    IN_SERVICE = "in-service"
    DRAINED = "drained"


class HostDrained(Fact):
    """A person, or a rollout, took a host out: nothing more is placed there, what runs goes on to its end."""

    machine: ClassVar[str] = "host"
    host: Name
    by: Label
    reason: Text
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The host."""
        return self.host

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


class HostUndrained(Fact):
    """A host was put back in service."""

    machine: ClassVar[str] = "host"
    host: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The host."""
        return self.host

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


MACHINE = Machine(
    name="host",
    transitions={
        (None, "HostDrained"): HostIntent.DRAINED,
        (HostIntent.IN_SERVICE, "HostDrained"): HostIntent.DRAINED,
        (HostIntent.DRAINED, "HostUndrained"): HostIntent.IN_SERVICE,
    },
    terminal=frozenset(),
)
