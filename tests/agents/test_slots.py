from agent_nouns import HOST, RememberingLog, assignment, companion, host, registration, slot
from fake_agent import DRIVERS

from agents.slots import Slots
from lab_inventory.clock import Clock, ManualClock
from lab_inventory.device import Sighting
from lab_inventory.errors import Unavailable
from lab_inventory.lab import Slot


class HandProbe:
    """A probe that sees what the test says."""

    def __init__(self, watched: Slot, clock: Clock) -> None:
        self.slot = watched
        self.clock = clock
        self.bound = False
        self.there = True
        self.taken = False
        self.breaks = False
        self.why = ""
        self.at_once = False

    def bind(self) -> None:
        if self.taken:
            raise Unavailable(f"{self.slot.registrar} is taken")
        self.bound = True

    def release(self) -> None:
        self.bound = False

    def sighting(self) -> Sighting | None:
        if self.breaks:
            raise RuntimeError("the probe broke")
        if not self.there:
            return None
        name = self.slot.name
        return Sighting(
            slot=name, user_agent="Acme", contact="sip:1", sip_instance=f"urn:uuid:{name}", seen_at=self.clock.now()
        )

    def trouble(self) -> tuple[str, str] | None:
        return ("registration-refused", self.why) if self.why else None

    @property
    def restless(self) -> bool:
        return False

    @property
    def sees_at_once(self) -> bool:
        return self.at_once


class Desk:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.probes: dict[str, HandProbe] = {}
        self.slots = Slots(
            HOST, self.clock, RememberingLog(), drivers=DRIVERS, probe_for=self._probe, absent_after_s=75
        )
        self.slots.configure(host())
        self.slots.look()

    def _probe(self, watched: Slot, clock: Clock) -> HandProbe:
        self.probes[watched.name] = HandProbe(watched, clock)
        return self.probes[watched.name]

    def seen(self) -> list[str]:
        return [device.slot for device in self.slots.devices()]


def test_each_slot_is_watched_and_its_device_registered() -> None:
    desk = Desk()
    assert desk.seen() == ["slot-1", "slot-2"]
    assert desk.slots.devices()[0].driver == "fake"
    assert desk.slots.faults() == ()


def test_a_driver_that_the_lab_file_names_and_that_is_not_here_is_a_fault_of_its_slot() -> None:
    desk = Desk()
    first, second = (place for _, place in host().slots())
    named = first.model_copy(update={"driver": "acme"})
    bench = host().benches[0].model_copy(update={"slots": (named, second)})
    desk.slots.configure(host().model_copy(update={"benches": (bench,)}))
    desk.slots.look()
    (fault,) = desk.slots.faults()
    assert (fault.slot, fault.slug) == ("slot-1", "driver-missing")
    assert "names driver acme, which is not installed on this host" in fault.detail
    assert {device.slot: device.driver for device in desk.slots.devices()} == {"slot-1": None, "slot-2": "fake"}


def test_a_device_that_is_gone_is_no_longer_reported() -> None:
    desk = Desk()
    desk.probes["slot-1"].there = False
    desk.slots.look()
    assert desk.seen() == ["slot-2"]


def test_an_address_that_is_taken_is_a_fault_of_its_slot_alone_and_heals() -> None:
    desk = Desk()
    desk.probes["slot-1"].taken = True
    desk.slots.look()
    [fault] = desk.slots.faults()
    assert (fault.slot, fault.slug, fault.detail) == ("slot-1", "address-taken", "127.0.0.1:5060 is taken")
    desk.probes["slot-1"].taken = False
    desk.slots.look()
    assert desk.slots.faults() == ()


def test_a_probe_that_breaks_leaves_the_other_slots_alone() -> None:
    desk = Desk()
    desk.probes["slot-1"].breaks = True
    desk.probes["slot-2"].there = False
    desk.slots.look()
    assert [fault.slug for fault in desk.slots.faults()] == ["probe-failed"]
    assert "slot-2" not in desk.seen()


def test_a_device_that_was_refused_is_told_with_its_reason() -> None:
    desk = Desk()
    desk.probes["slot-1"].there = False
    desk.probes["slot-1"].why = "a phone was refused here with 403: wrong password"
    desk.slots.look()
    assert [(fault.slug, fault.detail) for fault in desk.slots.faults()] == [
        ("registration-refused", "a phone was refused here with 403: wrong password")
    ]


def test_a_run_finds_the_address_free_and_the_probe_takes_it_back_afterwards() -> None:
    desk = Desk()
    desk.slots.hold(assignment())
    assert not desk.probes["slot-1"].bound
    desk.slots.look()
    assert not desk.probes["slot-1"].bound
    desk.slots.free("slot-1")
    assert desk.probes["slot-1"].bound


def test_a_device_stays_registered_through_its_run_and_for_a_while_after() -> None:
    desk = Desk()
    desk.probes["slot-1"].there = False
    desk.slots.hold(assignment())
    desk.clock.advance(500)
    desk.slots.look()
    assert "slot-1" in desk.seen()
    desk.slots.free("slot-1")
    desk.clock.advance(74)
    desk.slots.look()
    assert "slot-1" in desk.seen()
    desk.clock.advance(2)
    desk.slots.look()
    assert "slot-1" not in desk.seen()


def test_a_run_that_was_adopted_before_the_bench_is_known_holds_its_slot_and_its_device() -> None:
    desk = Desk()
    desk.slots.configure(host(slot("slot-2")))
    desk.slots.hold(assignment())
    desk.slots.configure(host())
    desk.slots.look()
    assert not desk.probes["slot-1"].bound
    assert registration() in desk.slots.devices()


def test_a_run_with_a_companion_finds_both_addresses_free_and_gives_each_back() -> None:
    desk = Desk()
    desk.probes["slot-2"].there = False
    desk.slots.hold(assignment(companions=(companion(),)))
    desk.slots.look()
    assert not desk.probes["slot-1"].bound
    assert not desk.probes["slot-2"].bound
    assert desk.seen() == ["slot-1", "slot-2"]
    desk.slots.free("slot-2")
    assert desk.probes["slot-2"].bound
    assert not desk.probes["slot-1"].bound


def test_a_new_bench_disturbs_only_the_slots_that_changed() -> None:
    desk = Desk()
    first, second = desk.probes["slot-1"], desk.probes["slot-2"]
    desk.slots.configure(host(slot("slot-1"), slot("slot-2", "127.0.0.1:6000"), slot("slot-3")))
    desk.slots.look()
    assert desk.probes["slot-1"] is first
    assert first.bound
    assert not second.bound
    assert desk.seen() == ["slot-1", "slot-2", "slot-3"]


def test_a_device_whose_probe_sees_at_once_is_not_believed_to_come_back_after_a_run() -> None:
    desk = Desk()
    desk.probes["slot-1"].at_once = True
    desk.probes["slot-1"].there = False
    desk.slots.hold(assignment())
    desk.slots.free("slot-1")
    assert "slot-1" not in desk.seen()
