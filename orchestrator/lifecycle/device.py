"""A unit in the lab: what people want of it (a machine) and what agents see of it (observations). Pure."""

from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.device import Intent, Presence, Registration
from lab_inventory.noun import Label, Name, Text
from orchestrator.lifecycle.machine import Fact, Machine


class DeviceRegistered(Fact):
    """A unit was seen that the lab did not know."""

    machine: ClassVar[str] = "device"
    device: Name
    host: Name
    registration: Registration
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The device."""
        return self.device

    def journal_entry(self) -> dict[str, str | int]:
        """Who it is and where."""
        product = self.registration.product
        return {
            "host": self.host,
            "slot": self.registration.slot,
            "identity": self.registration.identity.kind.value,
            "maker": product.maker,
            "model": product.model,
            "firmware": product.firmware,
        }


class DeviceChanged(Fact):
    """A known unit said something new of itself, or stands elsewhere. ``changed`` names the fields."""

    machine: ClassVar[str] = "device"
    device: Name
    host: Name
    registration: Registration
    changed: tuple[Name, ...]
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The device."""
        return self.device

    def journal_entry(self) -> dict[str, str | int]:
        """What changed, and the firmware it has now."""
        return {
            "host": self.host,
            "slot": self.registration.slot,
            "changed": " ".join(self.changed),
            "firmware": self.registration.product.firmware,
        }


class PresenceObserved(Fact):
    """A unit came or went. An observation: it moves no machine and stands in no journal."""

    journaled: ClassVar[bool] = False
    device: Name
    presence: Presence
    reason: Text
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The device."""
        return self.device

    def journal_entry(self) -> dict[str, str | int]:
        """Nothing."""
        return {}


class DeviceHeld(Fact):
    """A person took a unit out."""

    machine: ClassVar[str] = "device"
    device: Name
    by: Label
    reason: Text

    @property
    def entity(self) -> str:
        """The device."""
        return self.device

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


class DeviceReleased(Fact):
    """A person put a unit back in service."""

    machine: ClassVar[str] = "device"
    device: Name
    by: Label

    @property
    def entity(self) -> str:
        """The device."""
        return self.device

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


MACHINE = Machine(
    name="device",
    transitions={
        (None, "DeviceRegistered"): Intent.IN_SERVICE,
        (Intent.IN_SERVICE, "DeviceChanged"): Intent.IN_SERVICE,
        (Intent.HELD, "DeviceChanged"): Intent.HELD,
        (Intent.IN_SERVICE, "DeviceHeld"): Intent.HELD,
        (Intent.HELD, "DeviceReleased"): Intent.IN_SERVICE,
    },
    terminal=frozenset(),
)
