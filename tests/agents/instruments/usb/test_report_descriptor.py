"""HID report descriptors: read item by item, and input and output reports by what was read."""

import pytest

from agents.instruments.usb.raw import UnreadableDescriptor
from agents.instruments.usb.report_descriptor import INPUT, OUTPUT, ReportDescriptor, read_report_descriptor
from agents.instruments.usb.reports import (
    NoSuchUsage,
    UnreadableReport,
    build_outputs,
    output_usages,
    read_input,
)
from agents.instruments.usb.standard import read_configuration
from agents.instruments.usb.usages import (
    HEADSET,
    HOOK_SWITCH,
    LED_HOLD,
    LED_MUTE,
    LED_OFF_HOOK,
    LED_RING,
    PHONE_MUTE,
    VOLUME_DOWN,
    VOLUME_UP,
)
from agents.simulated.headset.behaviour import HEALTHY
from agents.simulated.headset.defects import behaviour_with
from agents.simulated.headset.descriptors import configuration_descriptor
from agents.simulated.headset.reports import lamps_of, report_descriptor, telephony, volume


def healthy() -> ReportDescriptor:
    read = read_report_descriptor(report_descriptor(HEALTHY))
    assert read.problems == ()
    return read.found


def items(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_healthy_report_descriptor_has_its_collections_and_reports() -> None:
    found = healthy()
    assert [one.usage for one in found.collections] == [HEADSET, 0x000C0001]
    assert found.uses_ids
    assert [found.report_bytes(INPUT, number) for number in (1, 2, 3)] == [1, 1, 0]
    assert found.report_bytes(OUTPUT, 1) == 1


def test_hook_is_a_level_and_mute_a_press() -> None:
    flags = {one.usages[0]: one.relative for one in healthy().fields if one.usages and one.kind == INPUT}
    assert (flags[HOOK_SWITCH], flags[PHONE_MUTE]) == (False, True)


@pytest.mark.parametrize("off_hook", [False, True])
@pytest.mark.parametrize("mute", [False, True])
def test_telephony_reports_decode_to_their_usages(off_hook: bool, mute: bool) -> None:
    values = read_input(healthy(), telephony(off_hook=off_hook, mute=mute))
    assert {one.usage: one.value for one in values} == {HOOK_SWITCH: off_hook, PHONE_MUTE: mute}


def test_volume_reports_decode_to_their_usages() -> None:
    values = read_input(healthy(), volume(up=False, down=True))
    assert {one.usage: one.value for one in values} == {VOLUME_UP: 0, VOLUME_DOWN: 1}


@pytest.mark.parametrize(
    ("code", "lamp"), [(LED_OFF_HOOK, "off-hook"), (LED_MUTE, "mute"), (LED_RING, "ring"), (LED_HOLD, "hold")]
)
def test_an_output_report_lights_exactly_the_lamp_it_is_built_for(code: int, lamp: str) -> None:
    (report,) = build_outputs(healthy(), {code: 1})
    assert lamps_of(report) == {name: name == lamp for name in ("off-hook", "mute", "ring", "hold")}


def test_an_output_that_the_device_does_not_have_is_refused_by_its_name() -> None:
    without = read_report_descriptor(report_descriptor(behaviour_with({"hid-leds-undeclared": 1}))).found
    assert output_usages(without) == frozenset()
    with pytest.raises(NoSuchUsage, match="LED ring"):
        build_outputs(without, {LED_RING: 1})


def test_an_output_value_outside_its_range_is_refused() -> None:
    with pytest.raises(UnreadableReport, match="expected 0 to 1"):
        build_outputs(healthy(), {LED_RING: 2})


@pytest.mark.parametrize("report", [b"", b"\1", b"\1\0\0", b"\7\0"])
def test_a_report_of_another_length_or_id_is_refused(report: bytes) -> None:
    with pytest.raises(UnreadableReport):
        read_input(healthy(), report)


def test_a_collection_that_is_not_ended_is_a_problem() -> None:
    read = read_report_descriptor(report_descriptor(behaviour_with({"hid-collection-open": 1})))
    assert [one.clause for one in read.problems] == ["HID 1.11, 6.2.2.6"]


@pytest.mark.parametrize(("size", "clauses"), [(0, []), (3, ["HID 1.11, 6.2.1"])])
def test_the_length_that_the_hid_descriptor_tells_must_be_right(size: int, clauses: list[str]) -> None:
    behaviour = behaviour_with({"descriptor-hid-length": size})
    (declared,) = (
        length
        for setting in read_configuration(configuration_descriptor(behaviour)).found.settings
        if setting.hid
        for length in setting.hid.report_descriptor_bytes
    )
    read = read_report_descriptor(report_descriptor(behaviour), declared)
    assert [one.clause for one in read.problems] == clauses


def test_push_and_pop_keep_size_range_and_page() -> None:
    # page 0x0C, 8 bits 0..100, push, page 0x08 and 1 bit, pop: the second field is as before the push
    raw = items("050c0901a10115002564750895010a2101a40508750125010909910295079103b409e98102c0")
    read = read_report_descriptor(raw)
    assert read.problems == ()
    volume_field = read.found.fields[-1]
    assert (volume_field.size_bits, volume_field.logical_max, volume_field.usages) == (8, 100, (0x000C00E9,))


def test_signed_values_are_read_with_their_sign() -> None:
    raw = items("050109020901a1011581257f750895010930810 6c0".replace(" ", ""))
    values = read_input(read_report_descriptor(raw).found, bytes((0xFB,)))
    assert [(one.usage, one.value, one.relative) for one in values] == [(0x00010030, -5, True)]


def test_an_array_names_the_usages_that_are_pressed() -> None:
    # telephony key pad: two places of 4 bits, values 1 to 12 name usages 0xB0 to 0xBB
    raw = items("050b0901a10119b029bb1501250c750495028100c0")
    read = read_report_descriptor(raw)
    assert read.problems == ()
    values = read_input(read.found, bytes((0x03,)))
    assert [(one.usage, one.value) for one in values] == [(0x000B00B2, 1)]


def test_a_logical_maximum_that_lacks_a_byte_is_a_problem_and_read_as_it_is_meant() -> None:
    read = read_report_descriptor(items("050c0901a101150025ff7508950109e98102c0"))
    assert [one.clause for one in read.problems] == ["HID 1.11, 6.2.2.7"]
    assert read.found.fields[0].logical_max == 255


def test_the_last_usage_holds_for_all_that_are_left() -> None:
    field = read_report_descriptor(items("050c0901a10115002501750195080 9e909ea8102c0".replace(" ", ""))).found.fields[
        0
    ]
    assert field.usages == (0x000C00E9,) + (0x000C00EA,) * 7


def test_alternative_usages_give_the_first_one() -> None:
    field = read_report_descriptor(items("050c0901a1011500250175089501a90109e909eaa9008102c0")).found.fields[0]
    assert field.usages == (0x000C00E9,)


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("b4", "HID 1.11, 6.2.2.7"),
        ("c0", "HID 1.11, 6.2.2.6"),
        ("8500", "HID 1.11, 6.2.2.7"),
        ("050c0901a1010901810 2c0".replace(" ", ""), "HID 1.11, 6.2.2.7"),
        ("fe0210aabb050c", "HID 1.11, 6.2.2.3"),
        ("050c2a0100", "HID 1.11, 6.2.2.8"),
        ("050c0901a1011500250175209500ff", "HID 1.11, 6.2.2.2"),
    ],
)
def test_breaches_are_found_under_their_clause(text: str, clause: str) -> None:
    assert clause in {one.clause for one in read_report_descriptor(items(text)).problems}


def test_a_forged_count_makes_no_large_field() -> None:
    raw = items("050c0901a10115002501752097ffffff7f09e98102c0")
    read = read_report_descriptor(raw)
    assert read.found.fields == ()
    assert "at most 65536 are read" in str(read.problems[0])


@pytest.mark.parametrize("raw", [b"", b"\x07", b"\xfe", bytes(70_000)])
def test_what_has_no_item_is_the_declared_exception(raw: bytes) -> None:
    with pytest.raises(UnreadableDescriptor):
        read_report_descriptor(raw)
