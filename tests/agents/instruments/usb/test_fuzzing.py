"""Any bytes into the descriptor parsers: the declared exception or an answer, soon, and never anything else."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.instruments.usb.audio import read_audio
from agents.instruments.usb.headset_rules import descriptors_valid, telephony, terminal_types
from agents.instruments.usb.raw import PROBLEMS_MAX, UnreadableDescriptor
from agents.instruments.usb.report_descriptor import INPUT, OUTPUT, REPORT_BITS_MAX, read_report_descriptor
from agents.instruments.usb.reports import UnreadableReport, build_outputs, output_usages, read_input
from agents.instruments.usb.standard import read_configuration, read_device, read_languages, read_string
from agents.simulated.headset.behaviour import HEALTHY
from agents.simulated.headset.descriptors import configuration_descriptor, device_descriptor, string_descriptor
from agents.simulated.headset.reports import report_descriptor

CONFIGURATION = configuration_descriptor(HEALTHY)
REPORT = report_descriptor(HEALTHY)
QUICK = settings(max_examples=150, deadline=2000)


@st.composite
def broken(draw: st.DrawFn, healthy: bytes) -> bytes:
    """A right descriptor with some bytes changed, left out, put in, or its end cut off."""
    raw = bytearray(healthy)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        how = draw(st.sampled_from(("change", "drop", "insert", "cut", "repeat")))
        if how == "change" and raw:
            raw[at] = draw(st.integers(0, 255))
        elif how == "drop":
            del raw[at : at + draw(st.integers(1, 9))]
        elif how == "insert":
            raw[at:at] = draw(st.binary(max_size=9))
        elif how == "cut":
            del raw[at:]
        else:
            raw[at:at] = raw[at : at + 40]
    return bytes(raw)


def look_at_configuration(raw: bytes) -> None:
    with suppress(UnreadableDescriptor):
        read = read_configuration(raw)
        audio = read_audio(read.found)
        assert len(read.problems) <= PROBLEMS_MAX and len(audio.problems) <= PROBLEMS_MAX
        assert all(one.clause and 0 <= one.offset <= len(raw) for one in (*read.problems, *audio.problems))
        assert descriptors_valid(read.found, read.problems) and terminal_types(audio.found)


def look_at_report_descriptor(raw: bytes, report: bytes) -> None:
    with suppress(UnreadableDescriptor):
        read = read_report_descriptor(raw)
        found = read.found
        assert telephony(found)
        for kind in (INPUT, OUTPUT):
            assert all(found.report_bytes(kind, one.report_id) <= REPORT_BITS_MAX // 8 for one in found.fields)
        with suppress(UnreadableReport):
            read_input(found, report)
        for one in sorted({field.report_id for field in found.fields if field.kind == INPUT}):
            body = bytes(found.report_bytes(INPUT, one))
            with suppress(UnreadableReport):
                read_input(found, bytes((one,)) + body if found.uses_ids else body)
        with suppress(UnreadableReport):  # 0 may lie outside of what a field takes
            build_outputs(found, dict.fromkeys(output_usages(found), 0))


@QUICK
@given(broken(CONFIGURATION))
def test_a_broken_configuration_never_crashes_the_parser(raw: bytes) -> None:
    look_at_configuration(raw)


@QUICK
@given(st.binary(max_size=400).map(lambda tail: CONFIGURATION[:9] + tail))
def test_noise_behind_a_right_header_never_crashes_the_parser(raw: bytes) -> None:
    look_at_configuration(raw)


@QUICK
@given(broken(REPORT), st.binary(max_size=4))
def test_a_broken_report_descriptor_never_crashes_the_parser(raw: bytes, report: bytes) -> None:
    look_at_report_descriptor(raw, report)


@QUICK
@given(st.binary(min_size=1, max_size=300), st.binary(max_size=4))
def test_noise_never_crashes_the_report_parser(raw: bytes, report: bytes) -> None:
    look_at_report_descriptor(raw, report)


@QUICK
@given(st.one_of(broken(device_descriptor(HEALTHY)), st.binary(max_size=64)))
def test_noise_never_crashes_the_device_parser(raw: bytes) -> None:
    with suppress(UnreadableDescriptor):
        read_device(raw)


@QUICK
@given(st.one_of(broken(string_descriptor(2, "", HEALTHY) or b""), st.binary(max_size=64)))
def test_noise_never_crashes_the_string_parsers(raw: bytes) -> None:
    for read in (read_string, read_languages):
        with suppress(UnreadableDescriptor):
            read(raw)


@QUICK
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_every_serial_number_comes_back_as_it_was_built(serial: str) -> None:
    built = string_descriptor(3, serial, HEALTHY)
    assert built is not None
    read = read_string(built)
    assert (read.found, read.problems) == (serial, ())


LONGEST = (CONFIGURATION[:9] + bytes((9, 4, 0, 0, 0, 1, 1, 0, 0)) * 7_300)[:65_535]
MOST_COSTLY = (bytes.fromhex("050c0901a1011500250175019601001a00002aff0f8102") * 2_849)[:65_535]
"""Each field of it asks for 4096 usages, in as few bytes as it can be asked for."""


@settings(max_examples=1, deadline=10_000)
@given(st.just((LONGEST, MOST_COSTLY)))
def test_the_longest_and_most_costly_descriptors_are_read_within_seconds(worst: tuple[bytes, bytes]) -> None:
    look_at_configuration(worst[0])
    look_at_report_descriptor(worst[1], b"")
