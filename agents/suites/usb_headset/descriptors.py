"""What the headset tells of itself: descriptors of USB, of its audio class and of HID."""

from agents.instruments.usb.audio import read_audio
from agents.instruments.usb.headset_rules import (
    Sample,
    descriptors_valid,
    serial_and_firmware,
    telephony,
    terminal_types,
)
from agents.instruments.usb.port import RawDescriptors
from agents.instruments.usb.raw import DescriptorProblem, UnreadableDescriptor
from agents.instruments.usb.report_descriptor import ReportDescriptor, read_report_descriptor
from agents.instruments.usb.standard import Configuration, read_configuration, read_device, read_string
from agents.measure import LabError, Recorder, procedure
from agents.suites.usb_headset.bench import HeadsetBench
from lab_inventory.measurement import Unit

_NAMES = {
    "descriptor_problems": "parse_errors",
    "audio_class_present": "audio_class_present",
    "audio_terminals_both_ways": "terminals_present",
    "headset_terminal_type": "terminal_type_right",
    "bcd_device_present": "firmware_readable",
    "serial_present": "serial_present",
    "telephony_collection": "headset_collection",
    "hook_usage": "hook_declared",
    "mute_usage": "mute_declared",
    "telephony_leds": "leds_present",
    "hook_is_level": "hook_is_level",
    "mute_is_one_shot": "mute_is_one_shot",
}


@procedure(
    "usb-descriptors",
    measures={name: Unit.COUNT if name == "parse_errors" else Unit.BOOL for name in _NAMES.values()},
)
async def usb_descriptors(bench: HeadsetBench, recorder: Recorder) -> None:
    """Every descriptor against its grammar, and what it says of terminals, serial number, firmware, keys and lamps."""
    raw = await bench.port.descriptors()
    for name, data in (("device", raw.device), ("configuration", raw.configuration), ("report", raw.report or b"")):
        if data:
            recorder.attach(f"TC-USB-01 {name}.bin", "application/octet-stream", data)
    try:
        device, configuration = read_device(raw.device), read_configuration(raw.configuration)
    except UnreadableDescriptor as error:
        raise LabError(f"the host has no descriptors of the device that can be read: {error.detail}") from error
    audio = read_audio(configuration.found)
    problems = [*device.problems, *configuration.problems, *audio.problems]
    serial, of_strings = _strings(raw, device.found.serial_index)
    report, of_report = _report(raw, configuration.found)
    problems += [*of_strings, *of_report]
    bench.take(descriptors_valid(configuration.found, problems), _NAMES)
    bench.take(terminal_types(audio.found), _NAMES)
    bench.take(serial_and_firmware([Sample(device=device.found, serial=serial)]), _NAMES)
    bench.take(telephony(report), _NAMES)


def _strings(raw: RawDescriptors, serial_index: int) -> tuple[str | None, list[DescriptorProblem]]:
    """The serial number, and what is wrong with the strings."""
    problems: list[DescriptorProblem] = []
    serial = None
    for index, data in raw.strings.items():
        if index == 0:
            continue
        try:
            text = read_string(data)
        except UnreadableDescriptor as error:
            problems.append(
                DescriptorProblem(offset=0, wrong=f"string {index}: {error.detail}", clause="USB 2.0, 9.6.7")
            )
            continue
        problems += text.problems
        if index == serial_index:
            serial = text.found or None
    return serial, problems


def _report(
    raw: RawDescriptors, configuration: Configuration
) -> tuple[ReportDescriptor | None, list[DescriptorProblem]]:
    declared = [one.hid.report_descriptor_bytes for one in configuration.settings if one.hid is not None]
    length = declared[0][0] if declared and declared[0] else None
    if raw.report is None:
        return None, []
    try:
        read = read_report_descriptor(raw.report, length)
    except UnreadableDescriptor as error:
        return None, [DescriptorProblem(offset=0, wrong=error.detail, clause="HID 1.11, 6.2.2")]
    return read.found, list(read.problems)
