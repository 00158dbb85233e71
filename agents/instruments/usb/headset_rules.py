"""What descriptors show of a headset: the rows HS-USB-01, HS-USB-02, HS-USB-06 and HS-HID-01. Pure, never judges.

Takes what the parsers read; gives quantities with their units, as a recorder takes them. A value None was looked for
and could not be had.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.instruments.usb.audio import AudioFunction
from agents.instruments.usb.raw import DescriptorProblem
from agents.instruments.usb.report_descriptor import INPUT, ReportDescriptor, ReportField
from agents.instruments.usb.reports import output_usages
from agents.instruments.usb.standard import AUDIO_CLASS, Configuration, DeviceDescriptor
from agents.instruments.usb.usages import (
    HEADSET,
    HOOK_SWITCH,
    LED_HOLD,
    LED_MUTE,
    LED_OFF_HOOK,
    LED_RING,
    PHONE_MUTE,
    usage_name,
)
from lab_inventory.measurement import Unit, Value

HEADSET_TERMINAL = 0x0402
SPEAKERPHONE_TERMINALS = frozenset({0x0403, 0x0404, 0x0405})
_NOTE_LETTERS_MAX = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One quantity that was found, in its unit; ``note`` says where it comes from."""

    quantity: str
    unit: Unit
    value: Value | None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One unit of the product, as its device descriptor and strings tell it. ``serial`` None: there is none."""

    device: DeviceDescriptor
    serial: str | None


def descriptors_valid(configuration: Configuration, problems: Sequence[DescriptorProblem]) -> tuple[Quantity, ...]:
    """HS-USB-01 (USB 2.0, chapter 9; UAC): breaches in all descriptors, and whether there is an audio interface."""
    audio = any(one.interface_class == AUDIO_CLASS for one in configuration.settings)
    note = "; ".join(map(str, problems))[:_NOTE_LETTERS_MAX]
    return (
        Quantity(quantity="descriptor_problems", unit=Unit.COUNT, value=len(problems), note=note),
        Quantity(quantity="audio_class_present", unit=Unit.BOOL, value=audio),
    )


def terminal_types(audio: AudioFunction) -> tuple[Quantity, ...]:
    """HS-USB-02 (USB terminal types 1.0, 2.4): terminals both ways, and whether they say headset or speakerphone.

    A headset is bi-directional, so an input and an output terminal must both carry the type.
    """
    outside = [one for one in audio.terminals if one.terminal_type >> 8 != 0x01]
    kinds_in = {one.terminal_type for one in outside if one.source is None}
    kinds_out = {one.terminal_type for one in outside if one.source is not None}
    right = {HEADSET_TERMINAL} | SPEAKERPHONE_TERMINALS
    note = "terminal types " + ", ".join(f"0x{one:04x}" for one in sorted(kinds_in | kinds_out))
    return (
        Quantity(
            quantity="audio_terminals_both_ways",
            unit=Unit.BOOL,
            value=bool(kinds_in) and bool(kinds_out),
            note=note,
        ),
        Quantity(
            quantity="headset_terminal_type",
            unit=Unit.BOOL,
            value=bool(kinds_in & kinds_out & right),
            note=note,
        ),
    )


def serial_and_firmware(
    samples: Sequence[Sample], *, other_release: DeviceDescriptor | None = None
) -> tuple[Quantity, ...]:
    """HS-USB-06 (USB 2.0, 9.6.1): ``samples`` are different units; ``other_release`` is one with other firmware.

    With fewer than two units nothing can be said of uniqueness, without another release nothing of its change.
    """
    serials = [one.serial for one in samples]
    present = bool(serials) and all(serials)
    unique = None if len(samples) < 2 else present and len(set(serials)) == len(serials)
    changes = None if other_release is None or not samples else other_release.release != samples[0].device.release
    return (
        Quantity(
            quantity="bcd_device_present",
            unit=Unit.BOOL,
            value=bool(samples) and all(one.device.release != 0 for one in samples),
            note=", ".join(f"0x{one.device.release:04x}" for one in samples[:16]),
        ),
        Quantity(quantity="serial_present", unit=Unit.BOOL, value=present),
        Quantity(
            quantity="serial_unique",
            unit=Unit.BOOL,
            value=unique,
            note="" if len(samples) > 1 else "two units are needed to tell",
        ),
        Quantity(
            quantity="bcd_device_changes",
            unit=Unit.BOOL,
            value=changes,
            note="" if other_release else "two releases are needed to tell",
        ),
    )


def telephony(descriptor: ReportDescriptor | None) -> tuple[Quantity, ...]:
    """HS-HID-01 and the declared half of HS-HID-02 (HID Usage Tables, 0x08 and 0x0B). None: there is no HID.

    The hook is a level (absolute) and mute a press (relative), so that each is understood as it is meant.
    """
    fields = descriptor.fields if descriptor else ()
    top = any(one.usage == HEADSET and one.kind == 1 for one in (descriptor.collections if descriptor else ()))
    hook, mute = _input(descriptor, fields, HOOK_SWITCH), _input(descriptor, fields, PHONE_MUTE)
    outputs = output_usages(descriptor) if descriptor else frozenset()
    missing = [one for one in (LED_MUTE, LED_OFF_HOOK, LED_RING, LED_HOLD) if one not in outputs]
    return (
        Quantity(quantity="telephony_collection", unit=Unit.BOOL, value=top),
        Quantity(quantity="hook_usage", unit=Unit.BOOL, value=hook is not None),
        Quantity(quantity="mute_usage", unit=Unit.BOOL, value=mute is not None),
        Quantity(
            quantity="telephony_leds",
            unit=Unit.BOOL,
            value=not missing,
            note="missing: " + ", ".join(map(usage_name, missing)) if missing else "",
        ),
        Quantity(quantity="hook_is_level", unit=Unit.BOOL, value=None if hook is None else not hook.relative),
        Quantity(quantity="mute_is_one_shot", unit=Unit.BOOL, value=None if mute is None else mute.relative),
    )


def _input(descriptor: ReportDescriptor | None, fields: Sequence[ReportField], code: int) -> ReportField | None:
    """The input field of ``code`` within the telephony headset's collection."""
    if descriptor is None:
        return None
    of_it = (one for one in fields if one.kind == INPUT and not one.constant and code in one.usages)
    return next((one for one in of_it if descriptor.within(one.collection, HEADSET)), None)
