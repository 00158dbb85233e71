"""The four rows that descriptors alone can show, on the healthy headset and on broken ones."""

import pytest

from agents.instruments.usb.audio import read_audio
from agents.instruments.usb.headset_rules import (
    Quantity,
    Sample,
    descriptors_valid,
    serial_and_firmware,
    telephony,
    terminal_types,
)
from agents.instruments.usb.report_descriptor import read_report_descriptor
from agents.instruments.usb.standard import read_configuration, read_device
from agents.simulated.headset.behaviour import HEALTHY, Behaviour
from agents.simulated.headset.defects import behaviour_with
from agents.simulated.headset.descriptors import configuration_descriptor, device_descriptor
from agents.simulated.headset.reports import report_descriptor
from lab_inventory.measurement import Unit


def values(found: tuple[Quantity, ...]) -> dict[str, object]:
    return {one.quantity: one.value for one in found}


def sample(behaviour: Behaviour, serial: str | None) -> Sample:
    return Sample(device=read_device(device_descriptor(behaviour)).found, serial=serial)


def test_the_healthy_headset_shows_valid_descriptors_and_audio() -> None:
    read = read_configuration(configuration_descriptor(HEALTHY))
    found = descriptors_valid(read.found, read.problems)
    assert values(found) == {"descriptor_problems": 0, "audio_class_present": True}
    assert [one.unit for one in found] == [Unit.COUNT, Unit.BOOL]


def test_breaches_are_counted_and_named() -> None:
    read = read_configuration(configuration_descriptor(behaviour_with({"descriptor-total-length": 4})))
    found = descriptors_valid(read.found, read.problems)
    assert found[0].value == 1
    assert "wTotalLength" in found[0].note


@pytest.mark.parametrize(("size", "expected"), [({}, True), ({"terminal-type-generic": 1}, False)])
def test_the_terminal_type_says_headset_or_not(size: dict[str, float], expected: bool) -> None:
    audio = read_audio(read_configuration(configuration_descriptor(behaviour_with(size))).found).found
    assert values(terminal_types(audio)) == {"audio_terminals_both_ways": True, "headset_terminal_type": expected}


def test_two_units_with_their_own_serial_numbers_are_unique() -> None:
    found = serial_and_firmware([sample(HEALTHY, "A"), sample(HEALTHY, "B")], other_release=None)
    assert values(found) == {
        "bcd_device_present": True,
        "serial_present": True,
        "serial_unique": True,
        "bcd_device_changes": None,
    }


def test_two_units_with_one_serial_number_are_not_unique() -> None:
    assert values(serial_and_firmware([sample(HEALTHY, "A"), sample(HEALTHY, "A")]))["serial_unique"] is False


def test_one_unit_alone_tells_nothing_of_uniqueness() -> None:
    assert values(serial_and_firmware([sample(HEALTHY, "A")]))["serial_unique"] is None


def test_missing_serial_number_and_release_are_seen() -> None:
    found = values(serial_and_firmware([sample(behaviour_with({"release-missing": 1}), None)]))
    assert (found["serial_present"], found["bcd_device_present"]) == (False, False)


def test_another_release_must_show_in_bcd_device() -> None:
    same = read_device(device_descriptor(HEALTHY)).found
    other = read_device(device_descriptor(behaviour_with({"release-missing": 1}))).found
    assert values(serial_and_firmware([sample(HEALTHY, "A")], other_release=same))["bcd_device_changes"] is False
    assert values(serial_and_firmware([sample(HEALTHY, "A")], other_release=other))["bcd_device_changes"] is True


@pytest.mark.parametrize(
    ("slug", "differs"),
    [
        (None, {}),
        ("hid-hook-undeclared", {"hook_usage": False, "hook_is_level": None}),
        ("hid-mute-as-level", {"mute_is_one_shot": False}),
        ("hid-leds-undeclared", {"telephony_leds": False}),
    ],
)
def test_the_telephony_collection_and_each_fault_of_it(slug: str | None, differs: dict[str, object]) -> None:
    behaviour = behaviour_with({slug: 1} if slug else {})
    healthy = dict.fromkeys(
        ("telephony_collection", "hook_usage", "mute_usage", "telephony_leds", "hook_is_level", "mute_is_one_shot"),
        True,
    )
    read = read_report_descriptor(report_descriptor(behaviour)).found
    assert values(telephony(read)) == {**healthy, **differs}


def test_without_hid_nothing_of_telephony_is_there() -> None:
    assert values(telephony(None)) == {
        "telephony_collection": False,
        "hook_usage": False,
        "mute_usage": False,
        "telephony_leds": False,
        "hook_is_level": None,
        "mute_is_one_shot": None,
    }
