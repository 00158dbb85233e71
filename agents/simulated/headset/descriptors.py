"""The descriptors the headset answers with, built byte for byte (USB 2.0, chapter 9; USB Audio 1.0; HID 1.11). Pure.

Four interfaces: audio control, speaker (stereo, adaptive: it follows the host), microphone (mono, synchronous: it
follows the bus), HID. Faults that a :class:`Behaviour` asks for are built in.
"""

import struct

from agents.simulated.headset.behaviour import Behaviour
from agents.simulated.headset.reports import report_descriptor

VENDOR, PRODUCT = 0x1209, 0x0001
"""pid.codes' number for tests: no product has it."""

RELEASE = 0x0123
RATES = (16_000, 32_000, 48_000)
SPEAKER_CHANNELS, MIC_CHANNELS, SAMPLE_BYTES = 2, 1, 2
CONTROL, SPEAKER, MICROPHONE, HID = 0, 1, 2, 3
"""Interface numbers."""

SPEAKER_ENDPOINT, MIC_ENDPOINT, HID_ENDPOINT = 0x01, 0x82, 0x83
SPEAKER_TERMINAL, SPEAKER_UNIT, MIC_TERMINAL, MIC_UNIT = 1, 2, 6, 5
CONTROL_PACKET_BYTES = 64
STRINGS = ("", "Virtual Lab", "Virtual Headset")
SHARED_SERIAL = "0123456789"
_SERIAL_INDEX = 3
_ENGLISH = bytes((4, 3, 0x09, 0x04))


def packet_bytes_max(channels: int) -> int:
    """A packet of the highest rate, with room for one more sample than a frame has (UAC1, 3.7.2.2)."""
    return (max(RATES) // 1000 + 1) * channels * SAMPLE_BYTES


def device_descriptor(behaviour: Behaviour) -> bytes:
    """USB 2.0, 9.6.1."""
    release = RELEASE if behaviour.tells_release else 0
    serial = _SERIAL_INDEX if behaviour.tells_serial else 0
    numbers = (18, 1, 0x0200, 0, 0, 0, CONTROL_PACKET_BYTES, VENDOR, PRODUCT, release, 1, 2, serial, 1)
    return struct.pack("<BBHBBBBHHHBBBB", *numbers)


def string_descriptor(index: int, serial: str, behaviour: Behaviour) -> bytes | None:
    """USB 2.0, 9.6.7; None where there is no such string."""
    if index == 0:
        return _ENGLISH
    shown = serial if behaviour.own_serial else SHARED_SERIAL
    texts = (*STRINGS, shown) if behaviour.tells_serial else STRINGS
    if index >= len(texts):
        return None
    text = texts[index].encode("utf-16-le")
    body = text if behaviour.whole_strings else text[:-1]
    return bytes((2 + len(body), 3)) + body


def hid_descriptor(behaviour: Behaviour) -> bytes:
    """HID 1.11, 6.2.1."""
    length = len(report_descriptor(behaviour)) + behaviour.hid_length_excess
    return struct.pack("<BBHBBBH", 9, 0x21, 0x0111, 0, 1, 0x22, length)


def configuration_descriptor(behaviour: Behaviour) -> bytes:
    """The configuration with everything that follows it (USB 2.0, 9.6.3)."""
    body = (
        _interface(CONTROL, 0, 0, 1, 1)
        + _audio_control(behaviour)
        + _streaming(SPEAKER, SPEAKER_TERMINAL, SPEAKER_CHANNELS, SPEAKER_ENDPOINT, 0x09, behaviour)
        + _streaming(MICROPHONE, MIC_TERMINAL, MIC_CHANNELS, MIC_ENDPOINT, 0x0D, behaviour)
        + _interface(HID, 0, 1, 3, 0)
        + hid_descriptor(behaviour)
        + struct.pack("<BBBBHB", 7, 5, HID_ENDPOINT, 3, 16, 4)
    )
    total = 9 + len(body) + behaviour.configuration_length_excess
    head = struct.pack("<BBHBBBBB", 9, 2, total, 4 + behaviour.interface_count_excess, 1, 0, 0x80, 50)
    return head + body


def _interface(number: int, alternate: int, endpoints: int, kind: int, subclass: int) -> bytes:
    return bytes((9, 4, number, alternate, endpoints, kind, subclass, 0, 0))


def _audio_control(behaviour: Behaviour) -> bytes:
    """Two chains: USB to ears (1, 2, 3) and mouth to USB (4, 5, 6); each has a unit for mute and volume."""
    kind = behaviour.terminal_type
    units = (
        struct.pack("<BBBBHBBHBB", 12, 0x24, 2, SPEAKER_TERMINAL, 0x0101, 0, SPEAKER_CHANNELS, 0x0003, 0, 0)
        + bytes((10, 0x24, 6, SPEAKER_UNIT, SPEAKER_TERMINAL, 1, 0x01, 0x02, 0x02, 0))
        + struct.pack("<BBBBHBBB", 9, 0x24, 3, 3, kind, 4, behaviour.speaker_source, 0)
        + struct.pack("<BBBBHBBHBB", 12, 0x24, 2, 4, kind, 3, MIC_CHANNELS, 0, 0, 0)
        + bytes((9, 0x24, 6, MIC_UNIT, 4, 1, 0x03, 0x00, 0))
        + struct.pack("<BBBBHBBB", 9, 0x24, 3, MIC_TERMINAL, 0x0101, 0, MIC_UNIT, 0)
    )
    total = 10 + len(units) + behaviour.control_length_excess
    return struct.pack("<BBBHHBBB", 10, 0x24, 1, 0x0100, total, 2, SPEAKER, MICROPHONE) + units


def _streaming(
    number: int, terminal: int, channels: int, endpoint: int, attributes: int, behaviour: Behaviour
) -> bytes:
    rates = b"".join(rate.to_bytes(3, "little") for rate in RATES)
    count = len(RATES) + behaviour.rate_count_excess
    layout = bytes((8 + len(rates), 0x24, 2, 1, channels, SAMPLE_BYTES, 8 * SAMPLE_BYTES, count)) + rates
    size = packet_bytes_max(channels)
    pipe = struct.pack("<BBBBHB", behaviour.audio_endpoint_bytes, 5, endpoint, attributes, size, 1)
    return (
        _interface(number, 0, 0, 1, 2)
        + _interface(number, 1, 1, 1, 2)
        + bytes((7, 0x24, 1, terminal, 1, 1, 0))
        + layout
        + pipe
        + bytes(behaviour.audio_endpoint_bytes - 7)
        + bytes((7, 0x25, 1, 1, 0, 0, 0))
    )
