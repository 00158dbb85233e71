import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.packets import Packet
from agents.instruments.rtp import Outgoing, RtpPacket, RtpPort, build_rtp, parse_rtp
from agents.instruments.rtp_analysis import extended_sequence, in_sequence, main_source, missing, pace, payloads
from agents.instruments.sender.sender import Sender
from lab_inventory.clock import SystemClock

MS = 1_000_000


def a_packet(
    sequence: int, *, at_ms: float = 0.0, payload_type: int = 0, ssrc: int = 1, payload: bytes = b"x"
) -> RtpPacket:
    return RtpPacket(
        at_ns=round(at_ms * MS),
        payload_type=payload_type,
        marker=False,
        sequence=sequence & 0xFFFF,
        timestamp=sequence * 160,
        ssrc=ssrc,
        payload=payload,
    )


def datagram(data: bytes) -> Packet:
    return Packet(at_ns=5, peer=("127.0.0.1", 9), data=data)


def test_what_is_built_is_read_again() -> None:
    raw = build_rtp(payload_type=101, marker=True, sequence=65535, timestamp=2**32 - 1, ssrc=7, payload=b"abc")

    found = parse_rtp(datagram(raw))

    assert found == RtpPacket(
        at_ns=5, payload_type=101, marker=True, sequence=65535, timestamp=2**32 - 1, ssrc=7, payload=b"abc"
    )


def test_sources_extension_and_padding_are_no_payload() -> None:
    header = bytes([0x80 | 0x20 | 0x10 | 2, 0]) + bytes(10)
    extension = bytes([0xBE, 0xDE, 0, 1]) + bytes(4)

    found = parse_rtp(datagram(header + bytes(8) + extension + b"payload" + bytes([0, 0, 3])))

    assert found is not None
    assert found.payload == b"payload"


@given(st.binary(max_size=60))
def test_junk_is_a_packet_or_none(data: bytes) -> None:
    found = parse_rtp(datagram(data))

    assert found is None or data[0] >> 6 == 2


def test_the_pace_is_that_of_one_payload_type() -> None:
    packets = [a_packet(n, at_ms=20 * n + (4 if n == 5 else 0)) for n in range(11)]
    events = [a_packet(100 + n, at_ms=20 * n + 1, payload_type=101) for n in range(11)]

    found = pace(sorted(packets + events, key=lambda packet: packet.at_ns), 0)

    assert found is not None
    assert (found.intervals, found.mean_ms, found.gap_ms_max) == (10, 20.0, 24.0)
    assert 1.8 < found.sd_ms < 2.0


def test_two_packets_have_no_pace() -> None:
    assert pace([a_packet(1), a_packet(2)], 0) is None


def test_missing_packets_are_counted_over_all_payload_types_and_over_the_wrap() -> None:
    packets = [a_packet(n, payload_type=101 if n % 2 else 0) for n in range(65530, 65550) if n not in (65535, 65540)]

    assert missing(packets) == 2
    assert extended_sequence(packets)[-1] == 65549


def test_reordered_and_doubled_packets_are_not_missing() -> None:
    packets = [a_packet(n) for n in (1, 3, 2, 2, 4)]

    assert missing(packets) == 0
    assert [packet.sequence for packet in in_sequence(packets)] == [1, 2, 3, 4]


def test_nothing_received_is_nothing_missing() -> None:
    assert missing([]) == 0
    assert main_source([]) == ()


def test_the_main_source_is_the_one_that_sent_most() -> None:
    packets = [a_packet(1, ssrc=1), a_packet(1, ssrc=2), a_packet(2, ssrc=2)]

    assert {packet.ssrc for packet in main_source(packets)} == {2}


def test_payloads_come_in_the_order_they_were_sent() -> None:
    packets = [a_packet(n, payload=bytes([n])) for n in (2, 1, 3)]

    assert payloads(packets, 0) == (b"\1", b"\2", b"\3")


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender()
    await sender.ready()
    yield sender
    sender.close()


async def test_a_port_sends_at_an_even_pace_and_hears_what_it_sent(sender: Sender) -> None:
    near, far = (RtpPort(clock=SystemClock(), sender=sender).open("127.0.0.1") for _ in range(2))
    near.start_sending(far.address, payload_type=0, frames=(b"a" * 160, b"b" * 160))
    near.send_events([Outgoing(payload_type=101, marker=True, payload=b"\5\x0a\0\xa0", ticks_before=0)])
    last = await far.heard.first(lambda _: len(far.heard) >= 30, timeout_s=3)
    near.stop_sending()
    near.close()
    far.close()

    assert last is not None
    found = pace(far.packets(), 0)
    assert found is not None
    assert 19 < found.mean_ms < 21
    assert missing(far.packets()) == 0
    assert [packet.payload_type for packet in far.packets()].count(101) == 1
    assert near.address[1] % 2 == 0


async def test_a_stream_that_is_stopped_and_started_again_is_one_stream() -> None:
    near, far = (RtpPort(clock=SystemClock()).open("127.0.0.1") for _ in range(2))
    for _ in range(2):
        before = len(far.heard)
        near.start_sending(far.address, payload_type=0, frames=(b"a",))
        await far.heard.first(lambda _, seen=before: len(far.heard) > seen + 2, timeout_s=3)
        near.stop_sending()
    near.close()
    await asyncio.sleep(0)
    far.close()

    assert len({packet.ssrc for packet in far.packets()}) == 1
    assert missing(far.packets()) == 0
    assert [packet.marker for packet in far.packets()].count(True) == 2


async def test_an_address_to_which_nothing_can_be_sent_is_counted_and_the_stream_goes_on() -> None:
    port = RtpPort(clock=SystemClock()).open("127.0.0.1")
    port.start_sending(("255.255.255.255", 4000), payload_type=0, frames=[b"x" * 160])  # refused: no broadcast
    async with asyncio.timeout(5):
        while not port.unsendable:
            await asyncio.sleep(0.005)
    port.start_sending(port.address, payload_type=0, frames=[b"x" * 160])
    heard = await port.heard.first(lambda _: True, timeout_s=2)
    port.close()

    assert heard is not None
    (refused,) = port.unsendable.values()
    assert refused >= 1
    assert next(iter(port.sent_ns)) == heard.sequence


async def test_a_secured_port_gives_dtls_to_who_hears_it_and_keeps_what_came_before() -> None:
    near, far = (RtpPort(clock=SystemClock()).open("127.0.0.1") for _ in range(2))
    heard: list[bytes] = []
    both = asyncio.Event()

    def hear(packet: Packet) -> None:
        heard.append(packet.data)
        if len(heard) == 2:
            both.set()

    far.secure()
    near.send_datagram(b"\x16early", far.address)
    near.send_datagram(b"\x80no DTLS", far.address)
    while not far.unauthentic:
        await asyncio.sleep(0.005)
    far.hear_dtls(hear)
    near.send_datagram(b"\x3flate", far.address)
    await asyncio.wait_for(both.wait(), 5)
    near.close()
    far.close()

    assert heard == [b"\x16early", b"\x3flate"]
    assert [packet.data for packet in far.unauthentic] == [b"\x80no DTLS"]


async def test_a_port_in_clear_takes_dtls_for_foreign() -> None:
    near, far = (RtpPort(clock=SystemClock()).open("127.0.0.1") for _ in range(2))
    near.send_datagram(b"\x16hello", far.address)
    while not far.foreign:
        await asyncio.sleep(0.005)
    near.close()
    far.close()

    assert far.foreign == 1


async def test_time_stamps_go_on_by_the_clock_of_the_codec() -> None:
    near, far = (RtpPort(clock=SystemClock()).open("127.0.0.1") for _ in range(2))
    near.start_sending(far.address, payload_type=111, frames=(b"opus",), ticks=960)
    await far.heard.first(lambda _: len(far.heard) >= 3, timeout_s=5)
    near.close()
    far.close()

    first, second, *_ = in_sequence(far.packets())
    assert (second.timestamp - first.timestamp) & 0xFFFF_FFFF == 960
