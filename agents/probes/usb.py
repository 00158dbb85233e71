"""Finds the device that is plugged in at a slot's USB port. Looks at it and never drives it.

Between runs every device is asked now and then whether it is alive; while a run has the slot, it is left alone.
"""

from agents.discover_usb.units import UsbUnit
from agents.discover_usb.watch import UsbWatch
from lab_inventory.clock import Clock
from lab_inventory.device import Product, Sighting
from lab_inventory.errors import InvariantBroken
from lab_inventory.lab import Slot


class UsbProbe:
    """Watches one slot through the watch that all USB slots of the host share."""

    def __init__(self, slot: Slot, watch: UsbWatch, clock: Clock) -> None:
        if slot.usb is None:
            raise InvariantBroken(f"slot {slot.name} is no USB port")
        self.slot = slot
        self._port = slot.usb
        self._watch = watch
        self._clock = clock

    @property
    def restless(self) -> bool:
        """Whether something is being plugged in or out on this host, or asked whether it is alive."""
        return self._watch.restless

    @property
    def sees_at_once(self) -> bool:
        """True: what udev does not list is not plugged in."""
        return True

    def bind(self) -> None:
        """Nothing is taken: looking at a port keeps nobody from using it."""

    def release(self) -> None:
        """Nothing was taken."""

    def sighting(self) -> Sighting | None:
        """The device that is there and alive. Raises Unavailable where udev is not to be had."""
        found = self._watch.look().at(self._port)
        if len(found) != 1 or not self._watch.is_ready(found[0]) or self._watch.why_silent(found[0]):
            return None
        return sighting_of(found[0], self.slot.name, self._clock)

    def trouble(self) -> tuple[str, str] | None:
        """A ghost, a serial number told twice, several devices in one place, or a hub that lost what was here."""
        found = self._watch.look().at(self._port)
        if not found:
            lost = self._watch.why_gone(self._port)
            return ("hub-lost", lost) if lost else None
        if len(found) > 1:
            named = ", ".join(f"{unit.maker} {unit.model} at {unit.port}" for unit in found)
            return "several-units", f"one slot is for one unit; here are {len(found)}: {named}"
        (unit,) = found
        silent = self._watch.why_silent(unit)
        if silent:
            return "ghost", f"{unit.maker} {unit.model} is plugged in at {unit.port} and is not usable: {silent}"
        if unit.shared:
            twins = [one.port for one in self._watch.look().units if one.port != unit.port and _twins(one, unit)]
            words = f"serial number {unit.serial} is told at {unit.port} and at {', '.join(twins)}"
            return "serial-shared", f"{words}; each is known by its place alone"
        return None


def sighting_of(unit: UsbUnit, slot: str, clock: Clock) -> Sighting:
    """What is told of a unit. A serial number that another unit tells too identifies nobody."""
    known = unit.serial is not None and not unit.shared
    return Sighting(
        slot=slot,
        user_agent=f"{unit.maker} {unit.model} {unit.release} (USB {unit.number})",
        contact=unit.port,
        usb_serial=f"{unit.number}:{unit.serial}" if known else None,
        product=Product(maker=unit.maker, model=unit.model, firmware=unit.release),
        seen_at=clock.now(),
    )


def _twins(one: UsbUnit, other: UsbUnit) -> bool:
    return (one.number, one.serial) == (other.number, other.serial)
