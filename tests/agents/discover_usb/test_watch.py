"""A slot's USB port watched through a bus that the test plugs on: what is seen, what is wrong, what is believed."""

from collections.abc import Iterator
from threading import Event

import pytest
from agent_nouns import HOST, RememberingLog, host, until
from fake_agent import DRIVERS

from agents.discover_usb.watch import BECOMES_WHOLE_S, LOOK_AGAIN_S, UsbWatch
from agents.probes.usb import UsbProbe
from agents.slots import Slots
from lab_inventory.clock import Clock, ManualClock
from lab_inventory.device import IdentityKind, Registration
from lab_inventory.errors import Unavailable
from lab_inventory.lab import Slot, UnitLabel
from tests.agents.discover_usb.usb_bus import PORT, HandBus, headset, hub


def usb_slot(number: int, place: str) -> Slot:
    return Slot(
        name=f"usb-{number}",
        category="usb-headset",
        usb=f"{PORT}:{place.partition('-')[2]}",
        unit=UnitLabel(hardware_revision="A", mode="wired"),
    )


class Desk:
    """A host with three USB slots, of which two are on one hub, and a bus."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = HandBus()
        self.bus.put("1-3", (hub("1-3"),))
        self.silent: dict[str, str] = {}
        self.held: Event | None = None
        self.watch = UsbWatch(lambda: self.bus, self.clock, self._ask)
        self.slots = Slots(
            HOST, self.clock, RememberingLog(), drivers=DRIVERS, probe_for=self._probe, absent_after_s=75
        )
        places = ("1-1", "1-3.1", "1-3.2")
        self.slots.configure(host(*(usb_slot(number, place) for number, place in enumerate(places, 1))))

    def _probe(self, slot: Slot, clock: Clock) -> UsbProbe:
        return UsbProbe(slot, self.watch, clock)

    def _ask(self, node: str) -> str:
        if self.held is not None:
            assert self.held.wait(10)
        return self.silent.get(node, "")

    async def look(self, for_s: float = 1.0) -> dict[str, Registration]:
        """Look until what was plugged is seen and asked; the units by slot."""
        for _ in range(4):
            self.slots.look()
            self.clock.advance(for_s / 4)
        await until(lambda: self.held is not None or self.watch.idle())
        self.slots.look()
        return {one.slot: one for one in self.slots.devices()}

    def faults(self) -> dict[str, str]:
        return {fault.slot: fault.slug for fault in self.slots.faults()}


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    if desk.held is not None:
        desk.held.set()


async def test_a_headset_is_known_by_product_and_serial_number_wherever_it_is_plugged(desk: Desk) -> None:
    desk.bus.put("1-1", headset("1-1"))
    first = (await desk.look())["usb-1"]
    desk.bus.take("1-1")
    assert await desk.look() == {}
    desk.bus.put("1-3.1", headset("1-3.1"))
    second = (await desk.look())["usb-2"]
    assert first.identity == second.identity
    assert (first.identity.kind, first.identity.value) == (IdentityKind.USB_SERIAL, "1209:0001:VH0001")
    assert (first.product.maker, first.product.firmware, first.category) == ("Virtual Lab", "1.23", "usb-headset")
    assert first.user_agent == "Virtual Lab Virtual Headset 1.23 (USB 1209:0001)"


async def test_a_headset_without_serial_number_is_known_by_its_place(desk: Desk) -> None:
    desk.bus.put("1-1", headset("1-1", None))
    identity = (await desk.look())["usb-1"].identity
    assert (identity.kind, identity.value, identity.weak) == (IdentityKind.SLOT, f"{HOST}/usb-1", True)


async def test_two_units_with_one_serial_number_are_told_apart_by_their_places_and_flagged(desk: Desk) -> None:
    desk.bus.put("1-1", headset("1-1"))
    desk.bus.put("1-3.1", headset("1-3.1"))
    seen = await desk.look()
    assert {unit.identity.value for unit in seen.values()} == {f"{HOST}/usb-1", f"{HOST}/usb-2"}
    assert desk.faults() == {"usb-1": "serial-shared", "usb-2": "serial-shared"}


async def test_a_ghost_is_found_by_asking_it_and_comes_back_when_it_answers(desk: Desk) -> None:
    desk.bus.put("1-1", headset("1-1"))
    assert "usb-1" in await desk.look()
    desk.silent["/dev/bus/usb/001/1-1"] = "a request for its status is not answered in time"
    assert await desk.look(LOOK_AGAIN_S * 2) == {}
    (fault,) = desk.slots.faults()
    assert fault.slug == "ghost" and "plugged in at platform-vhci_hcd.0-usb-0:1 and is not usable" in fault.detail
    desk.silent.clear()
    assert "usb-1" in await desk.look(LOOK_AGAIN_S * 2)


async def test_a_headset_that_was_not_asked_yet_is_neither_there_nor_a_ghost(desk: Desk) -> None:
    desk.held = Event()
    desk.bus.put("1-1", headset("1-1"))
    assert await desk.look() == {}
    assert desk.faults() == {}


async def test_a_headset_that_never_gets_its_sound_card_is_registered_after_a_while(desk: Desk) -> None:
    desk.bus.put("1-1", tuple(one for one in headset("1-1") if one.properties["SUBSYSTEM"] == "usb"))
    assert await desk.look(BECOMES_WHOLE_S / 2) == {}
    assert "usb-1" in await desk.look(BECOMES_WHOLE_S * 2)


async def test_a_hub_that_loses_its_headsets_is_the_reason_at_both_slots(desk: Desk) -> None:
    desk.bus.put("1-3.1", headset("1-3.1"))
    desk.bus.put("1-3.2", headset("1-3.2", "VH0002"))
    assert set(await desk.look()) == {"usb-2", "usb-3"}
    desk.bus.take("1-3")
    assert await desk.look() == {}
    assert desk.faults() == {"usb-2": "hub-lost", "usb-3": "hub-lost"}


async def test_two_units_on_a_hub_at_one_slot_are_a_fault_of_the_slot(desk: Desk) -> None:
    desk.bus.put("1-1", (hub("1-1"),))
    desk.bus.put("1-1.1", headset("1-1.1"))
    desk.bus.put("1-1.2", headset("1-1.2", "VH0002"))
    assert await desk.look() == {}
    assert desk.faults() == {"usb-1": "several-units"}


async def test_where_udev_is_missing_each_usb_slot_says_so() -> None:
    desk = Desk()

    def missing() -> HandBus:
        raise ImportError("No module named pyudev")

    desk.watch = UsbWatch(missing, desk.clock)
    with pytest.raises(Unavailable, match="udev is not to be had on this host: No module named pyudev"):
        desk.watch.look()
