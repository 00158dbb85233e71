"""What udev's records come to; the two headsets were recorded in the lab's virtual machine."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.discover_usb.losses import TOGETHER_S, HubWatch
from agents.discover_usb.records import UsbRecord
from agents.discover_usb.units import PluggedIn, plugged_in
from tests.agents.discover_usb.usb_bus import PORT, headset, hub, part, recorded, root


def units(*groups: tuple[UsbRecord, ...]) -> PluggedIn:
    return plugged_in([*root(), *(record for group in groups for record in group)])


def test_each_of_two_headsets_is_one_unit_with_its_card_and_its_keys() -> None:
    first, second = plugged_in(recorded()).units
    assert (first.port, first.serial, first.cards, first.hidraws) == (
        f"{PORT}:1", "VH0001", ("card0",), ("/dev/hidraw0",),
    )  # fmt: skip
    assert (second.port, second.serial, second.cards, second.hidraws) == (
        f"{PORT}:2", "VH0002", ("card1",), ("/dev/hidraw1",),
    )  # fmt: skip
    assert (first.maker, first.model, first.release, first.number) == (
        "Virtual Lab", "Virtual Headset", "1.23", "1209:0001",
    )  # fmt: skip
    assert first.whole and not first.shared


def test_without_readable_descriptors_the_firmware_is_what_the_kernel_took_from_them() -> None:
    cut = [replace(one, descriptors=one.descriptors[:7]) for one in headset("1-1")]
    assert units(tuple(cut)).units[0].release == "1.23"


def test_a_serial_number_that_says_nothing_is_none() -> None:
    assert [units(headset("1-1", text)).units[0].serial for text in (None, "0000", "N/A", "7")] == [
        None,
        None,
        None,
        "7",
    ]


def test_a_headset_without_its_keys_yet_is_not_whole() -> None:
    late = tuple(one for one in headset("1-1") if one.properties["SUBSYSTEM"] != "hidraw")
    assert not units(late).units[0].whole


def test_two_units_with_one_serial_number_are_two_and_both_are_marked() -> None:
    found = units(headset("1-1"), headset("1-2"), headset("1-3", "VH0003")).units
    assert [(unit.port, unit.shared) for unit in found] == [
        (f"{PORT}:1", True), (f"{PORT}:2", True), (f"{PORT}:3", False),
    ]  # fmt: skip


def test_what_hangs_on_a_hub_of_the_same_vendor_belongs_to_the_headset() -> None:
    built_in = (hub("1-1", vendor=0x1209),)
    (unit,) = units(built_in, headset("1-1.1"), part("1-1.2")).units
    assert len(unit.paths) == 2 and unit.hidraws == ("/dev/hidraw0", "/dev/hidraw9")
    assert units(built_in, headset("1-1.1")).at(f"{PORT}:1") == units(built_in, headset("1-1.1")).units


def test_a_part_with_the_same_serial_number_on_the_same_hub_belongs_to_the_headset() -> None:
    (unit,) = units((hub("1-1"),), headset("1-1.1", "VH7"), part("1-1.2", serial="VH7")).units
    assert len(unit.paths) == 2


def test_a_stranger_on_the_same_hub_does_not_belong_to_the_headset() -> None:
    for stranger in (part("1-1.2", vendor=0x046D), part("1-1.2"), part("1-1.2", serial="other"), part("1-2")):
        (unit,) = units((hub("1-1"),), headset("1-1.1"), stranger).units
        assert len(unit.paths) == 1


def watched(*moments: tuple[float, PluggedIn]) -> HubWatch:
    watch = HubWatch()
    for at_s, now in moments:
        watch.note(now, at_s)
    return watch


def test_a_hub_that_is_gone_with_its_headset_is_at_fault() -> None:
    watch = watched((0, units((hub("1-1"),), headset("1-1.1"))), (1, units()))
    assert "the hub USB2.0 Hub at platform-vhci_hcd.0-usb-0:1: it is gone itself" in watch.why_gone(f"{PORT}:1.1")


def test_a_hub_that_loses_all_its_headsets_at_once_is_at_fault() -> None:
    two = units((hub("1-1"),), headset("1-1.1"), headset("1-1.2", "VH0002"))
    watch = watched((0, two), (1, units((hub("1-1"),), headset("1-1.2", "VH0002"))), (2, units((hub("1-1"),))))
    assert "it lost all its 2 units at once" in watch.why_gone(f"{PORT}:1.1")
    assert watch.why_gone(f"{PORT}:1.1") == watch.why_gone(f"{PORT}:1.2")
    watch.note(two, 3)
    assert watch.why_gone(f"{PORT}:1.1") == ""


def test_the_outermost_of_hubs_that_are_gone_is_at_fault() -> None:
    nested = units((hub("1-1"), hub("1-1.4")), headset("1-1.4.1"))
    assert "usb-0:1: it is gone" in watched((0, nested), (1, units())).why_gone(f"{PORT}:1.4.1")


def test_headsets_that_are_pulled_one_after_the_other_or_alone_are_no_hubs_fault() -> None:
    two = units((hub("1-1"),), headset("1-1.1"), headset("1-1.2", "VH0002"))
    one = units((hub("1-1"),), headset("1-1.2", "VH0002"))
    slowly = watched((0, two), (1, one), (1 + TOGETHER_S * 2, units((hub("1-1"),))))
    assert slowly.why_gone(f"{PORT}:1.1") == slowly.why_gone(f"{PORT}:1.2") == ""


PLACES = ("1-1", "1-2", "1-3.1", "1-3.2", "1-4")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from((None, "A", "B", "0"))), max_size=30))
def test_whatever_is_plugged_and_pulled_each_unit_has_its_port_and_no_serial_number_identifies_two(
    steps: list[tuple[str, str | None]],
) -> None:
    there: dict[str, str | None] = {}
    watch = HubWatch()
    for at, (place, serial) in enumerate(steps):
        if place in there:
            del there[place]
        else:
            there[place] = serial
        now = units((hub("1-3"),), *(headset(where, what) for where, what in there.items()))
        watch.note(now, float(at))
        assert sorted(unit.port for unit in now.units) == sorted(f"{PORT}:{where[2:]}" for where in there)
        alone = [unit.serial for unit in now.units if unit.serial and not unit.shared]
        assert len(alone) == len(set(alone))
        told = [what for what in there.values() if what in ("A", "B")]
        assert sum(unit.shared for unit in now.units) == sum(told.count(what) for what in "AB" if told.count(what) > 1)
        assert not any(watch.why_gone(unit.port) for unit in now.units)
