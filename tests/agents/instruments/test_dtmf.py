import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from agents.instruments.dtmf import DIGITS, digit_packets, event_faults, key_events
from agents.instruments.rtp import RtpPacket

EVENT = 101


def packets_of(digits: str, *, end_packets: int = 3, gap: int = 1920) -> list[RtpPacket]:
    found: list[RtpPacket] = []
    for key, digit in enumerate(digits):
        for index, out in enumerate(digit_packets(digit, EVENT, end_packets=end_packets)):
            found.append(
                RtpPacket(
                    at_ns=len(found) * 20_000_000,
                    payload_type=EVENT,
                    marker=out.marker,
                    sequence=len(found),
                    timestamp=key * gap,
                    ssrc=1,
                    payload=out.payload,
                )
            )
            assert out.ticks_before == index * 160
    return found


def test_every_digit_is_one_key_with_its_ends_and_duration() -> None:
    keys = key_events(packets_of(DIGITS), EVENT)

    assert "".join(key.digit for key in keys) == DIGITS
    assert {(key.end_packets, key.duration_ticks, key.timestamp_constant) for key in keys} == {(3, 800, True)}


def test_a_duration_that_grows_as_time_does_has_no_error_and_one_that_does_not_has_it_beyond_one_packet() -> None:
    packets = packets_of("7")
    stretched = [
        replace(packet, payload=packet.payload[:2] + struct.pack("!H", 2 * struct.unpack("!H", packet.payload[2:])[0]))
        for packet in packets
    ]

    (right,), (wrong,) = key_events(packets, EVENT), key_events(stretched, EVENT)

    assert right.duration_error_ms == 0
    assert wrong.duration_error_ms == 80 - 20  # four packets after the first: 80 ms passed, and 160 ms were told


def test_an_event_without_an_end_has_no_duration_to_be_wrong() -> None:
    kept = [packet for packet in packets_of("7") if not packet.payload[1] & 0x80]

    assert [key.duration_error_ms for key in key_events(kept, EVENT)] == [None]


def test_the_same_digit_twice_is_two_keys() -> None:
    assert [key.digit for key in key_events(packets_of("55"), EVENT)] == ["5", "5"]


def test_the_same_digit_twice_is_two_keys_even_when_every_end_is_lost() -> None:
    kept = [packet for packet in packets_of("55") if not packet.payload[1] & 0x80]

    assert [(key.digit, key.end_packets) for key in key_events(kept, EVENT)] == [("5", 0), ("5", 0)]


def test_doubled_packets_are_one_key() -> None:
    packets = packets_of("7")

    (key,) = key_events([packet for packet in packets for _ in range(2)], EVENT)

    assert key.packets == len(packets)
    assert key.end_packets == 3


def test_a_time_stamp_that_moves_within_a_key_is_told() -> None:
    packets = [replace(packet, timestamp=packet.sequence * 160) for packet in packets_of("3")]
    moving = [packet for packet in packets if packet.sequence < 4]

    (key,) = key_events(moving, EVENT)

    assert (key.digit, key.timestamp_constant) == ("3", False)


def test_a_single_end_packet_is_counted_as_one() -> None:
    assert [key.end_packets for key in key_events(packets_of("12", end_packets=1), EVENT)] == [1, 1]


def test_other_events_other_payload_types_and_short_packets_are_no_keys() -> None:
    (packet, *_) = packets_of("1")
    flash = replace(packet, payload=struct.pack("!BBH", 16, 0x8A, 160))
    short = replace(packet, sequence=1, payload=b"\1")
    audio = replace(packet, sequence=2, payload_type=0)

    assert key_events([flash, short, audio], EVENT) == ()


def changed(packet: RtpPacket, *, flags: int = 0, volume: int | None = None, duration: int | None = None) -> RtpPacket:
    code, second, told = struct.unpack("!BBH", packet.payload)
    second = second | flags if volume is None else second & 0xC0 | volume
    return replace(packet, payload=struct.pack("!BBH", code, second, told if duration is None else duration))


def test_a_right_event_has_no_fault_in_any_field() -> None:
    assert event_faults(packets_of(DIGITS), EVENT) == ()
    assert event_faults(packets_of("7")[2:], EVENT) == ()  # the first packet was lost, and its marker with it


@pytest.mark.parametrize(
    ("place", "change", "fault"),
    [
        (3, lambda packet: changed(packet, flags=0x40), "the reserved bit is set"),
        (3, lambda packet: changed(packet, volume=12), "the volume changes"),
        (0, lambda packet: replace(packet, marker=False), "no marker on its first packet"),
        (3, lambda packet: replace(packet, marker=True), "a marker on a later packet"),
        (3, lambda packet: changed(packet, duration=100), "the duration shrinks"),
        (6, lambda packet: changed(packet, duration=960), "its ends differ in duration"),
        (1, lambda packet: replace(packet, payload=packet.payload + b"x"), "more or less than four octets"),
    ],
)
def test_each_field_that_is_wrong_is_told(place: int, change: Callable[[RtpPacket], RtpPacket], fault: str) -> None:
    packets = [replace(packet, sequence=packet.sequence + 1) for packet in packets_of("7")]
    audio = replace(packets[0], payload_type=0, sequence=0, marker=False)
    packets[place] = change(packets[place])

    assert event_faults([audio, *packets], EVENT) == (f"7: {fault}",)


def test_a_volume_below_that_of_a_tone_is_told() -> None:
    assert event_faults([changed(packet, volume=50) for packet in packets_of("7")], EVENT) == (
        "7: a volume of -50 dBm0",
    )
