"""Descriptors of the virtual headset read by the instruments' parser: two codes that share nothing must agree."""

import pytest

from agents.instruments.usb.audio import MUTE_CONTROL, VOLUME_CONTROL, read_audio
from agents.instruments.usb.raw import DescriptorProblem, UnreadableDescriptor
from agents.instruments.usb.standard import read_configuration, read_device, read_languages, read_string
from agents.simulated.headset.behaviour import HEALTHY, Behaviour
from agents.simulated.headset.defects import DEFECTS, behaviour_with
from agents.simulated.headset.descriptors import (
    configuration_descriptor,
    device_descriptor,
    string_descriptor,
)


def problems_of(behaviour: Behaviour) -> list[DescriptorProblem]:
    configuration = read_configuration(configuration_descriptor(behaviour))
    return [*configuration.problems, *read_audio(configuration.found).problems]


def changed(raw: bytes, at: int, value: int) -> bytes:
    return raw[:at] + bytes((value,)) + raw[at + 1 :]


def test_the_healthy_device_descriptor_reads_without_a_problem() -> None:
    read = read_device(device_descriptor(HEALTHY))
    assert read.problems == ()
    assert (read.found.vendor, read.found.product, read.found.release) == (0x1209, 0x0001, 0x0123)
    assert (read.found.control_packet_bytes_max, read.found.serial_index, read.found.configurations) == (64, 3, 1)


def test_the_healthy_configuration_reads_without_a_problem() -> None:
    read = read_configuration(configuration_descriptor(HEALTHY))
    assert read.problems == ()
    assert read.found.power_ma_max == 100
    assert [(one.number, one.alternate, one.interface_class) for one in read.found.settings] == [
        (0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1), (3, 0, 3),
    ]  # fmt: skip
    assert [one.address for setting in read.found.settings for one in setting.endpoints] == [0x01, 0x82, 0x83]
    assert read.found.settings[-1].hid is not None


def test_the_healthy_audio_function_reads_without_a_problem() -> None:
    read = read_audio(read_configuration(configuration_descriptor(HEALTHY)).found)
    assert read.problems == ()
    assert [(one.number, one.terminal_type, one.source) for one in read.found.terminals] == [
        (1, 0x0101, None), (3, 0x0402, 2), (4, 0x0402, None), (6, 0x0101, 5),
    ]  # fmt: skip
    assert all(one.has(MUTE_CONTROL) and one.has(VOLUME_CONTROL) for one in read.found.units)
    assert [(one.channels, one.bits, one.rates) for one in read.found.streams] == [
        (2, 16, (16_000, 32_000, 48_000)), (1, 16, (16_000, 32_000, 48_000)),
    ]  # fmt: skip
    assert all(one.sets_rate for one in read.found.streams)


def test_strings_and_languages_read_as_they_were_built() -> None:
    serial = string_descriptor(3, "VH-1 ☎", HEALTHY)
    assert serial is not None
    assert read_string(serial).found == "VH-1 ☎"
    assert read_string(serial).problems == ()
    assert read_languages(string_descriptor(0, "", HEALTHY) or b"").found == (0x0409,)


@pytest.mark.parametrize(
    ("slug", "clause"),
    [
        ("descriptor-total-length", "USB 2.0, 9.6.3"),
        ("descriptor-interface-count", "USB 2.0, 9.6.3"),
        ("descriptor-control-length", "UAC1, 4.3.2"),
        ("descriptor-rate-count", "Audio Data Formats 1.0, 2.2.5"),
        ("descriptor-dangling-source", "UAC1, 4.3.2.2"),
        ("descriptor-short-endpoint", "UAC1, 4.6.1.1"),
    ],
)
def test_each_descriptor_defect_is_found_under_its_clause_and_no_other(slug: str, clause: str) -> None:
    found = problems_of(behaviour_with({slug: DEFECTS[slug].usual}))
    assert found
    assert {one.clause for one in found} == {clause}


def test_a_string_that_ends_within_a_character_is_a_problem_and_still_read() -> None:
    cut = string_descriptor(2, "", behaviour_with({"string-cut": 1}))
    read = read_string(cut or b"")
    assert [one.clause for one in read.problems] == ["USB 2.0, 9.6.7"]
    assert read.found == "Virtual Headse"


def test_a_length_of_zero_ends_the_reading_and_keeps_what_came_before() -> None:
    raw = configuration_descriptor(HEALTHY)
    read = read_configuration(changed(raw, 9, 0))
    assert str(read.problems[0]) == ("byte 9: bLength is 0, so the next descriptor cannot be found (USB 2.0, 9.5)")
    assert read.found.value == 1


def test_a_descriptor_cut_off_at_the_end_is_named_with_its_place() -> None:
    raw = configuration_descriptor(HEALTHY)
    wrong = [str(one) for one in read_configuration(raw[:-3]).problems]
    assert f"byte {len(raw) - 7}: bLength is 7 and 4 bytes are left (USB 2.0, 9.5)" in wrong


@pytest.mark.parametrize("raw", [b"", b"\x09", bytes(9), bytes((9, 1)) + bytes(7), bytes((9, 2)) + bytes(70_000)])
def test_what_is_no_configuration_at_all_is_the_declared_exception(raw: bytes) -> None:
    with pytest.raises(UnreadableDescriptor):
        read_configuration(raw)


def test_a_device_that_is_not_numbered_in_bcd_is_a_problem() -> None:
    assert [one.offset for one in read_device(changed(device_descriptor(HEALTHY), 12, 0x1F)).problems] == [12]


def test_the_audio_class_2_headset_is_recognised_with_its_terminals() -> None:
    units = (
        bytes((8, 0x24, 0x0A, 9, 1, 1, 0, 0))  # clock source 9
        + bytes((17, 0x24, 2, 1, 0x01, 0x01, 0, 9, 2, 3, 0, 0, 0, 0, 0, 0, 0))
        + bytes((18, 0x24, 6, 2, 1, 3, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0, 0))
        + bytes((12, 0x24, 3, 3, 0x02, 0x04, 0, 2, 9, 0, 0, 0))
    )
    head = bytes((9, 0x24, 1, 0x00, 0x02, 4, 9 + len(units), 0, 0))
    body = bytes((9, 4, 0, 0, 0, 1, 1, 0x20, 0)) + head + units
    raw = bytes((9, 2, 9 + len(body), 0, 1, 1, 0, 0x80, 50)) + body
    read = read_audio(read_configuration(raw).found)
    assert read.problems == ()
    assert read.found.version == 0x0200
    assert [(one.number, one.terminal_type, one.source) for one in read.found.terminals] == [
        (1, 0x0101, None), (3, 0x0402, 2),
    ]  # fmt: skip
    feature = next(one for one in read.found.units if one.name == "feature")
    assert feature.has(MUTE_CONTROL) and feature.has(VOLUME_CONTROL)
