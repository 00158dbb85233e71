"""Input reports to usages, and usages to output reports, by a report descriptor that was read. Pure.

The bytes are those of hidraw: where the descriptor uses ids, a report begins with its id (HID 1.11, 5.6).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agents.instruments.usb.report_descriptor import INPUT, OUTPUT, ReportDescriptor, ReportField
from agents.instruments.usb.usages import usage_name
from lab_inventory.errors import BadInput, NotFound


class UnreadableReport(BadInput):
    """The bytes are no report of this device"""

    slug = "unreadable-hid-report"


class NoSuchUsage(NotFound):
    """The device has no output of this usage"""

    slug = "no-such-hid-usage"


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageValue:
    """What one report says of one usage. ``relative``: a change and no state, so 1 is one press (one-shot)."""

    usage: int
    value: int
    relative: bool
    report_id: int
    in_range: bool


def read_input(descriptor: ReportDescriptor, report: bytes) -> tuple[UsageValue, ...]:
    """What an input report says; raises UnreadableReport for an unknown id or another length than declared.

    Of an array field each usage that the report names comes with value 1 (HID 1.11, 6.2.2.5).
    """
    if descriptor.uses_ids and not report:
        raise UnreadableReport("an empty report; expected its id first (HID 1.11, 5.6)")
    number, data = (report[0], report[1:]) if descriptor.uses_ids else (0, report)
    expected = descriptor.report_bytes(INPUT, number)
    if not expected or len(data) != expected:
        raise UnreadableReport(
            f"input report {number} of {len(data)} bytes; expected {expected or 'another id'} (HID 1.11, 5.6)"
        )
    bits = int.from_bytes(data, "little")
    found: list[UsageValue] = []
    for one in descriptor.fields:
        if one.kind == INPUT and one.report_id == number and not one.constant:
            found += _values(one, bits)
    return tuple(found)


def build_outputs(descriptor: ReportDescriptor, values: Mapping[int, int]) -> tuple[bytes, ...]:
    """The output reports that set ``values`` (usage to value) and everything else in them to 0, by rising id.

    Raises NoSuchUsage where the device has no such output, UnreadableReport for a value outside its range.
    """
    bits: dict[int, int] = {}
    left = dict(values)
    for one, index, code in _variables(descriptor):
        if code not in left:
            continue
        value = left.pop(code)
        if not one.logical_min <= value <= one.logical_max:
            said = f"{value} for {usage_name(code)}; expected {one.logical_min} to {one.logical_max}"
            raise UnreadableReport(said)
        place = one.bit_offset + index * one.size_bits
        bits[one.report_id] = bits.get(one.report_id, 0) | (value & (1 << one.size_bits) - 1) << place
    if left:
        raise NoSuchUsage(f"no output for {', '.join(map(usage_name, left))}")
    reports = []
    for number in sorted(bits):
        data = bits[number].to_bytes(descriptor.report_bytes(OUTPUT, number), "little")
        reports.append(bytes((number,)) + data if descriptor.uses_ids else data)
    return tuple(reports)


def output_usages(descriptor: ReportDescriptor) -> frozenset[int]:
    """The usages that the host can set."""
    return frozenset(code for _, _, code in _variables(descriptor))


def _variables(descriptor: ReportDescriptor) -> Iterator[tuple[ReportField, int, int]]:
    for one in descriptor.fields:
        if one.kind == OUTPUT and one.variable and not one.constant:
            for index, code in enumerate(one.usages):
                yield one, index, code


def _values(one: ReportField, bits: int) -> Iterator[UsageValue]:
    mask = (1 << one.size_bits) - 1
    for index in range(min(one.count, len(one.usages)) if one.variable else one.count):
        raw = bits >> one.bit_offset + index * one.size_bits & mask
        value = raw - (1 << one.size_bits) if one.logical_min < 0 and raw >> one.size_bits - 1 else raw
        in_range = one.logical_min <= value <= one.logical_max
        if one.variable:
            yield UsageValue(
                usage=one.usages[index],
                value=value,
                relative=one.relative,
                report_id=one.report_id,
                in_range=in_range,
            )
        elif in_range and value - one.logical_min < len(one.usages):  # out of range means: nothing (6.2.2.5)
            yield UsageValue(
                usage=one.usages[value - one.logical_min],
                value=1,
                relative=one.relative,
                report_id=one.report_id,
                in_range=True,
            )
