import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from phone_wire import Udp, phone_at_wire, value_of

from agents.instruments.rtcp import build_report
from agents.instruments.rtp import RtpPort, build_rtp
from agents.simulated.defect_proxy import RELAYS_MAX, DefectProxy
from agents.simulated.defects import DEFECTS
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput, Unavailable

OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n"


class Pair:
    """A phone's socket and a registrar's, with a proxy between them."""

    def __init__(self) -> None:
        self.phone, self.bench = Udp(), Udp()

    async def open(self, slugs: list[str]) -> "Pair":
        await self.phone.open()
        await self.bench.open()
        self.proxy = DefectProxy(("127.0.0.1", 0), self.bench.address, slugs, SystemClock())
        self.proxy.start()
        self.up(b"REGISTER sip:lab SIP/2.0\r\n\r\n")
        await self.bench.wait_for(lambda data: data.startswith(b"REGISTER"))
        return self

    def up(self, data: bytes) -> None:
        self.phone.send(data, self.proxy.listen)

    def down(self, data: bytes) -> None:
        self.bench.send(data, self.bench.seen[0].peer)

    def close(self) -> None:
        self.proxy.close()
        self.phone.close()
        self.bench.close()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = await Pair().open([])
    yield pair
    pair.close()


def _call(number: int, port: int) -> bytes:
    body = OFFER % port
    return b"INVITE sip:x SIP/2.0\r\nCall-ID: c%d\r\nContent-Length: %d\r\n\r\n%b" % (number, len(body), body)


async def test_the_registrar_sees_the_address_of_the_proxy_and_never_the_phones(tmp_path: Path) -> None:
    async with phone_at_wire(tmp_path, slugs=[]) as at:
        call, _, answer = await at.wire.call(at.driver, "0")
        own = f"127.0.0.1:{at.wire.peer[1]}"
        assert own in at.wire.contact
        for seen in at.wire.sip.seen:
            assert own in value_of(seen.data, "Contact") or not value_of(seen.data, "Contact")
        assert int(answer.partition(b"m=audio ")[2].split()[0]) not in range(10000, 20000)
        await at.wire.ask("BYE", call)


async def test_what_is_no_sip_passes_as_it_is(pair: Pair) -> None:
    for junk in (b"\r\n\r\n", b"\x00\xff" * 700, b"INVITE", b"SIP/2.0 \xff\r\nm=audio 50 \r\n", b"Content-Length: 9"):
        pair.up(junk)
        await pair.bench.wait_for(lambda data, junk=junk: data == junk)
        pair.down(junk)
        await pair.phone.wait_for(lambda data, junk=junk: data == junk)


async def test_no_junk_stops_a_proxy_with_every_defect() -> None:
    pair = await Pair().open(sorted(DEFECTS))
    for junk in (
        b"",
        b"\x00",
        b"SIP/2.0 20",
        b"SIP/2.0 200 OK\r\nCSeq: x INVITE\r\n\r\n",
        b"REGISTER \xff",
        b"m=audio 99999 ",
    ):
        pair.up(junk)
        pair.down(junk)
    pair.up(b"MESSAGE sip:alive SIP/2.0\r\n\r\n")
    await pair.bench.wait_for(lambda data: b"sip:alive" in data)
    pair.close()


async def test_a_stranger_is_not_passed_on(pair: Pair) -> None:
    stranger = Udp()
    await stranger.open()
    stranger.send(b"MESSAGE sip:strange SIP/2.0\r\n\r\n", pair.proxy.listen)
    stranger.send(b"MESSAGE sip:strange SIP/2.0\r\n\r\n", pair.bench.seen[0].peer)
    pair.up(b"MESSAGE sip:last SIP/2.0\r\n\r\n")
    await pair.bench.wait_for(lambda data: b"sip:last" in data)
    pair.down(b"MESSAGE sip:last SIP/2.0\r\n\r\n")
    await pair.phone.wait_for(lambda data: b"sip:last" in data)
    assert not any(b"strange" in seen.data for seen in (*pair.bench.seen, *pair.phone.seen))
    stranger.close()


async def test_a_wrong_length_of_the_phones_own_stays_wrong(pair: Pair) -> None:
    pair.up(b"MESSAGE sip:x SIP/2.0\r\nContent-Length: 99\r\n\r\nhello")
    seen = await pair.bench.wait_for(lambda data: data.startswith(b"MESSAGE"))
    assert value_of(seen.data, "Content-Length") == "99"


async def test_audio_of_several_calls_is_relayed_both_ways_each_to_its_own(pair: Pair) -> None:
    ends: list[tuple[Udp, Udp]] = []
    for number in range(3):
        phone, bench = Udp(), Udp()
        await phone.open()
        await bench.open()
        ends.append((phone, bench))
        pair.up(_call(number, phone.address[1]))
        offered = await pair.bench.wait_for(lambda data, number=number: b"c%d\r" % number in data)
        pair.down(_call(number, bench.address[1]))
        answered = await pair.phone.wait_for(lambda data, number=number: b"c%d\r" % number in data)
        bench.send(b"to phone %d" % number, ("127.0.0.1", _port(offered.data)))
        phone.send(b"to bench %d" % number, ("127.0.0.1", _port(answered.data)))
    for number, (phone, bench) in enumerate(ends):
        assert (await phone.wait_for(bool)).data == b"to phone %d" % number
        assert (await bench.wait_for(bool)).data == b"to bench %d" % number
        phone.close()
        bench.close()


async def test_reports_pass_and_what_the_phone_sends_keeps_its_marks(pair: Pair) -> None:
    bench, marked = RtpPort(clock=SystemClock()).open("127.0.0.1"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone = Udp()
    await phone.open()
    pair.up(_call(1, phone.address[1]))
    await pair.bench.wait_for(lambda data: b"c1\r" in data)
    pair.down(_call(1, bench.address[1]))
    answered = _port((await pair.phone.wait_for(lambda data: b"c1\r" in data)).data)
    marked.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2)
    audio = build_rtp(payload_type=0, marker=False, sequence=1, timestamp=2, ssrc=3, payload=b"x")
    marked.sendto(audio, ("127.0.0.1", answered))
    marked.sendto(build_report(3, sent=None, heard=(), name="phone"), ("127.0.0.1", answered + 1))
    heard = await bench.heard.first(lambda _: True, timeout_s=2)
    report = await bench.rtcp.first(lambda _: True, timeout_s=2)
    for port in (bench, marked, phone):
        port.close()

    assert heard is not None
    assert heard.dscp == 46
    assert report is not None
    assert report.source == 3


async def test_calls_beyond_the_bound_take_the_place_of_the_oldest(pair: Pair) -> None:
    before = _open_files()
    for number in range(RELAYS_MAX + 10):
        pair.up(_call(number, 5000))
        await pair.bench.wait_for(lambda data, number=number: b"c%d\r" % number in data)
    assert _open_files() - before == 4 * RELAYS_MAX  # two sides, each with a port for audio and one for RTCP


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _port(data: bytes) -> int:
    return int(data.partition(b"m=audio ")[2].split()[0])


async def test_an_unknown_defect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"no-such.*bye-unanswered"):
        DefectProxy(("127.0.0.1", 0), ("127.0.0.1", 9), ["no-such"], SystemClock())


async def test_a_taken_address_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        proxy = DefectProxy(other.getsockname(), ("127.0.0.1", 9), [], SystemClock())
        with pytest.raises(Unavailable, match=str(other.getsockname()[1])):
            proxy.start()


async def test_the_program_passes_on_until_it_is_told_to_end() -> None:
    phone, bench = Udp(), Udp()
    await phone.open()
    await bench.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        listen: tuple[str, int] = free.getsockname()
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.simulated.defect_proxy", "--listen", f"127.0.0.1:{listen[1]}"),
        *("--upstream", f"127.0.0.1:{bench.address[1]}", "--defect", "options-unanswered"),
    )
    try:
        async with asyncio.timeout(10):
            while not bench.seen:
                phone.send(b"REGISTER sip:lab SIP/2.0\r\n\r\n", listen)
                await asyncio.sleep(0.05)
    finally:
        program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    phone.close()
    bench.close()


def test_the_program_names_an_unknown_defect() -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "agents.simulated.defect_proxy", "--listen", "127.0.0.1:0"),
            *("--upstream", "127.0.0.1:9", "--defect", "no-such"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "unknown defect no-such" in ended.stderr
