"""The slots of this host: one probe each, held while no run has the slot, and what is known of its device.

Takes the bench that the lab file gives this host; gives the devices and faults of a heartbeat. What goes wrong at one
slot is a fault of that slot, and no other suffers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agents.adopt import Drivers
from agents.discover import registration_of
from agents.logs import Log
from agents.words import as_text, describe
from lab_inventory.clock import Clock
from lab_inventory.device import Registration, Sighting
from lab_inventory.errors import Unavailable
from lab_inventory.lab import Host, Slot
from lab_inventory.messages import Assignment, SlotFault

LOOK_S = 0.5
LOOK_SOON_S = 0.1


class Probe(Protocol):
    """Watches one slot for its device. ``bind`` raises Unavailable where another program has the slot's address;
    ``release`` always works, more than once.
    """

    def bind(self) -> None:
        """Take the slot's address."""
        ...

    def release(self) -> None:
        """Let go of it."""
        ...

    def sighting(self) -> Sighting | None:
        """The device that is there now, or None."""
        ...

    def trouble(self) -> tuple[str, str] | None:
        """What is wrong with a device that is there: a slug, and words; None where nothing is."""
        ...

    @property
    def restless(self) -> bool:
        """Whether something is just happening, so that it should be looked at again soon."""
        ...

    @property
    def sees_at_once(self) -> bool:
        """Whether a device that is not sighted is not there: then none is believed to come back after a run."""
        ...


ProbeFor = Callable[[Slot, Clock], Probe]


@dataclass
class _Watched:
    """One slot. ``run``: who has it; ``kept_until_s``: until when its device is believed to be there unseen."""

    slot: Slot
    probe: Probe
    run: str | None = None
    device: Registration | None = None
    kept_until_s: float = float("-inf")
    fault: SlotFault | None = None


class Slots:
    """The slots of one host. ``absent_after_s``: how long after a run a device has to be seen again."""

    def __init__(
        self, host: str, clock: Clock, log: Log, *, drivers: Drivers, probe_for: ProbeFor, absent_after_s: float
    ) -> None:
        self._host = host
        self._clock = clock
        self._log = log
        self._drivers = drivers
        self._probe_for = probe_for
        self._absent_after_s = absent_after_s
        self._watched: dict[str, _Watched] = {}
        self._taken: dict[str, tuple[str, Registration]] = {}
        """By slot: the run that has it, and the unit it has it for."""

    def configure(self, host: Host) -> None:
        """Watch exactly the slots of this bench; a slot that has not changed is not disturbed."""
        wanted = {slot.name: slot for _, slot in host.slots()}
        for name in [name for name, watched in self._watched.items() if wanted.get(name) != watched.slot]:
            self._watched.pop(name).probe.release()
        for name, slot in wanted.items():
            if name not in self._watched:
                try:
                    self._watch(slot)
                except Exception as error:
                    self._log.warning("slot-not-watched", slot=name, error=describe(error))

    def _watch(self, slot: Slot) -> None:
        watched = self._watched[slot.name] = _Watched(slot=slot, probe=self._probe_for(slot, self._clock))
        if slot.name in self._taken:
            self._hold(slot.name)
        self._log.info("slot-watched", slot=watched.slot.name, at=slot.registrar or slot.usb)

    def hold(self, assignment: Assignment) -> None:
        """A run takes its slots: their addresses are free when this returns, and their devices count as there."""
        for slot, unit in assignment.units:
            self._taken[slot.name] = (assignment.run, unit)
            self._hold(slot.name)

    def _hold(self, slot: str) -> None:
        watched = self._watched.get(slot)
        if watched is not None:
            watched.run, unit = self._taken[slot]
            watched.device = watched.device or unit
            watched.fault = None
            watched.probe.release()

    def free(self, slot: str) -> None:
        """The run has left the slot: its device is to be seen again, in time."""
        self._taken.pop(slot, None)
        watched = self._watched.get(slot)
        if watched is not None:
            watched.run = None
            patience_s = 0.0 if watched.probe.sees_at_once else self._absent_after_s
            watched.kept_until_s = self._clock.boottime_s() + patience_s
            self._look_at(watched)

    def close(self) -> None:
        """Let go of every slot."""
        for watched in self._watched.values():
            watched.probe.release()

    def look(self) -> float:
        """See what is attached now; gives after how many seconds that should be done again."""
        for watched in self._watched.values():
            self._look_at(watched)
        restless = any(watched.run is None and watched.probe.restless for watched in self._watched.values())
        return LOOK_SOON_S if restless else LOOK_S

    def devices(self) -> tuple[Registration, ...]:
        """The devices that are there."""
        return tuple(watched.device for watched in self._watched.values() if watched.device is not None)

    def faults(self) -> tuple[SlotFault, ...]:
        """What keeps devices from being seen."""
        return tuple(watched.fault for watched in self._watched.values() if watched.fault is not None)

    def _look_at(self, watched: _Watched) -> None:
        if watched.run is not None:
            return
        fault: tuple[str, str] | None = None
        try:
            watched.probe.bind()
            self._see(watched)
            fault = watched.probe.trouble() or self._without_driver(watched.slot)
        except Unavailable as error:
            fault = ("address-taken", str(error))
        except Exception as error:
            fault = ("probe-failed", describe(error))
        self._fault(watched, fault)

    def _without_driver(self, slot: Slot) -> tuple[str, str] | None:
        """A fault where the lab file names a driver that is not here."""
        if slot.driver is None or slot.driver in self._drivers:
            return None
        return "driver-missing", f"the lab file names driver {slot.driver}, which is not installed on this host"

    def _see(self, watched: _Watched) -> None:
        sighting = watched.probe.sighting()
        if sighting is not None:
            device = registration_of(sighting, watched.slot, self._host, self._drivers)
            if watched.device is None or watched.device.identity != device.identity:
                self._log.info("device-seen", slot=watched.slot.name, identity=device.identity.value)
            watched.device = device
            watched.kept_until_s = float("-inf")
        elif watched.device is not None and self._clock.boottime_s() >= watched.kept_until_s:
            self._log.info("device-gone", slot=watched.slot.name, identity=watched.device.identity.value)
            watched.device = None

    def _fault(self, watched: _Watched, fault: tuple[str, str] | None) -> None:
        now = None if fault is None else SlotFault(slot=watched.slot.name, slug=fault[0], detail=as_text(fault[1]))
        if now != watched.fault:
            if now is not None:
                self._log.warning("slot-fault", slot=now.slot, fault=now.slug, detail=now.detail)
            watched.fault = now
