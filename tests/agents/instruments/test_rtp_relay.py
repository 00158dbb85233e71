"""What a description looks like that is led over the bench, and that packets go on byte for byte."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.packets import Packet, PacketPort
from agents.instruments.rtp import build_rtp
from agents.instruments.rtp_relay import led_over, relay_between
from agents.instruments.sdp import MediaDirection, parse_sdp
from lab_inventory.clock import SystemClock

HERE = ("127.0.0.9", 4000)
OFFER = (
    b"v=0\r\no=phone 1 2 IN IP4 10.0.0.7\r\ns=-\r\nc=IN IP4 10.0.0.7\r\nt=0 0\r\na=ice-ufrag:x\r\n"
    b"m=audio 7000 RTP/AVP 96 0 101\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:7001\r\n"
    b"a=candidate:1 1 UDP 1 10.0.0.7 7000 typ host\r\na=sendonly\r\n"
    b"m=video 7002 RTP/AVP 97\r\nc=IN IP4 10.0.0.8\r\na=rtpmap:97 H264/90000\r\n"
)


LINES = [*OFFER.split(b"\r\n")[5:], b"m=audio 0 RTP/AVP 0", b"m=audio 9 RTP/AVP 8", b"c=IN IP6 ::1"]


def test_the_audio_comes_to_the_bench_in_formats_that_it_hears_and_the_rest_stays() -> None:
    led = parse_sdp(led_over(OFFER, HERE))
    audio, video = led.media
    assert audio.destination == HERE
    assert [one.encoding for one in audio.formats] == ["PCMU", "TELEPHONE-EVENT"]
    assert audio.direction is MediaDirection.SENDONLY
    assert not video.accepted
    assert led.origin == "phone 1 2 IN IP4 10.0.0.7"
    for past in ("a=rtcp:", "a=candidate", "a=ice", "opus", "useinbandfec", "10.0.0.8"):
        assert past not in led.text
    assert "a=fmtp:101 0-15" in led.text


def test_an_address_of_the_section_itself_is_led_over_too() -> None:
    own = OFFER.replace(b"m=audio 7000 RTP/AVP 96 0 101\r\n", b"m=audio 7000 RTP/AVP 96 0 101\r\nc=IN IP4 10.0.0.8\r\n")
    audio, _ = parse_sdp(led_over(own, HERE)).media
    assert audio.destination == HERE


@pytest.mark.parametrize("body", [b"", b"no description", b"v=0\r\ns=-\r\n"])
def test_what_cannot_be_read_is_passed_on_as_it_is(body: bytes) -> None:
    assert led_over(body, HERE) == body


def test_audio_that_was_refused_stays_refused() -> None:
    refused = OFFER.replace(b"m=audio 7000", b"m=audio 0")
    assert not any(media.accepted for media in parse_sdp(led_over(refused, HERE)).media)


def test_audio_without_a_codec_that_the_bench_hears_is_refused() -> None:
    unheard = OFFER.replace(b"RTP/AVP 96 0 101", b"RTP/AVP 96 101")
    assert parse_sdp(led_over(unheard, HERE)).audio is None


@given(st.lists(st.sampled_from(LINES)))
def test_whatever_is_described_no_audio_goes_past_the_bench(lines: list[bytes]) -> None:
    body = b"\r\n".join([*OFFER.split(b"\r\n")[:5], *(line for line in lines if line)]) + b"\r\n"
    before, after = parse_sdp(body), parse_sdp(led_over(body, HERE))
    assert [media.kind for media in after.media] == [media.kind for media in before.media]
    assert all(media.destination == HERE for media in after.media if media.accepted)
    assert sum(media.accepted for media in after.media) <= 1


async def test_packets_go_on_byte_for_byte_both_ways_and_are_kept() -> None:
    came: list[Packet] = []
    arrived = asyncio.Event()

    def take(packet: Packet) -> None:
        came.append(packet)
        arrived.set()

    one, other = (PacketPort.open(("127.0.0.1", 0), take) for _ in range(2))
    first, second = relay_between("127.0.0.1", "127.0.0.1", SystemClock())
    first.destination, second.destination = one.address, None
    packet = build_rtp(payload_type=0, marker=True, sequence=7, timestamp=9, ssrc=1, payload=b"x" * 160)
    try:
        one.send(packet, first.address)
        other.send(packet, second.address)
        async with asyncio.timeout(2):
            await arrived.wait()
            await first.heard.first(lambda _: True, timeout_s=2)
    finally:
        for port in (one, other, first, second):
            port.close()
    assert [packet.data for packet in came] == [packet]
    assert len(first.heard) == len(second.heard) == 1
    assert second.unsent == 1
