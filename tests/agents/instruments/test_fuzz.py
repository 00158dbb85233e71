"""Parsers and whoever stands on them under random input: nothing but the declared refusal, what is built is read again.

``make fuzz`` runs the same with many more examples.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.dialog import Dialog
from agents.instruments.digest import Challenger, DigestAnswer, DigestVerdict
from agents.instruments.dtmf import DIGITS, digit_packets, key_events
from agents.instruments.packets import Packet
from agents.instruments.registrar import Registrar
from agents.instruments.rtp import RtpPacket, build_rtp, parse_rtp
from agents.instruments.rtp_analysis import in_sequence, main_source, missing, pace
from agents.instruments.sdp import (
    G722,
    OPUS,
    PCMA,
    PCMU,
    AudioFormat,
    LocalAudio,
    MalformedSdp,
    MediaDirection,
    answer_problems,
    parse_sdp,
)
from agents.instruments.sip_answers import answer_peer, answer_to
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import MalformedMessage, Request, parse, request_bytes
from agents.instruments.sip_rules import ack_problems, invite_problems, request_problems
from agents.instruments.sip_transactions import ServerTransaction, Timers
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import check_routable, contacts, credentials, split_list, tag
from lab_inventory.clock import ManualClock, SystemClock
from tests.agents.instruments.garbled import ACCOUNT, AUDIO, DTLS, PEER, SDP, SIP, fuzzed, mutated


@fuzzed
@given(mutated(SIP))
def test_a_sip_message_is_read_or_refused_by_everything_that_reads_one(raw: bytes) -> None:
    readers: list[Callable[[], object]] = []
    with suppress(MalformedMessage):
        message = parse(raw)
        assert message.raw == raw
        assert raw.startswith(message.start_line.encode("utf-8", "surrogateescape"))
        readers = [
            lambda: contacts(message),
            lambda: tag(message, "To"),
            lambda: credentials(message.get("Authorization") or ""),
        ]
        if isinstance(message, Request):
            assert isinstance(request_problems(message), tuple)
            assert isinstance(invite_problems(message), tuple)
            assert isinstance(ack_problems(message, message), tuple)
            check_routable(message)
            received = Received(message=message, at_ns=0, peer=PEER)
            answer = parse(answer_to(received, 200, to_tag="t"))
            check_routable(answer)
            assert 0 < answer_peer(received)[1] < 65536
            status, answered = Registrar(ACCOUNT, expires_s=60, clock=ManualClock()).answer(received)
            assert (status, parse(answered).get("Call-ID")) != (0, None)
    for read in readers:
        with suppress(MalformedMessage):
            read()


class Bench:
    """An endpoint in a loop of its own that takes datagrams as if the kernel had given them."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.runner = asyncio.Runner()
        loop = self.runner.get_loop()
        loop.set_exception_handler(lambda _, context: self.faults.append(repr(context)))
        self.renew()

    def renew(self) -> None:
        async def opened() -> SipEndpoint:
            registrar = Registrar(ACCOUNT, expires_s=60, clock=SystemClock())
            return SipEndpoint(clock=SystemClock(), registrar=registrar, timers=Timers(t1_s=0.001)).open(
                ("127.0.0.1", 0)
            )

        self.endpoint = self.runner.run(opened())

    def take(self, raw: bytes) -> None:
        def on_call(invitation: ServerTransaction) -> Dialog:
            dialog = Dialog.incoming(self.endpoint, audio=AUDIO, invitation=invitation)
            dialog.ring()
            dialog.accept()
            return dialog

        async def taken() -> None:
            with self.endpoint.expecting_calls(on_call):
                self.endpoint.transport._on_packet(Packet(at_ns=1, peer=PEER, data=raw))
            await asyncio.sleep(0)

        self.runner.run(taken())

    def close(self) -> None:
        self.endpoint.close()
        self.runner.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@fuzzed
@given(st.lists(mutated(SIP), min_size=1, max_size=4))
def test_no_datagram_breaks_the_endpoint(bench: Bench, datagrams: list[bytes]) -> None:
    for raw in datagrams:
        bench.take(raw)

    assert bench.faults == []
    bench.endpoint.close()
    bench.renew()


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9\-.!%*_+`'~]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in {"content-length", "l"}
)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=60).map(
    lambda value: value.strip(" \t")
)


@fuzzed
@given(
    st.from_regex(r"[A-Z][A-Za-z0-9\-.!%*_+`'~]{0,20}", fullmatch=True),
    st.from_regex(r"[!-~]{1,60}", fullmatch=True),
    st.lists(st.tuples(NAMES, VALUES), max_size=20),
    st.binary(max_size=200),
)
def test_what_is_built_is_read_again(method: str, uri: str, headers: list[tuple[str, str]], body: bytes) -> None:
    read = parse(request_bytes(method, uri, headers, body))

    assert isinstance(read, Request)
    assert (read.method, read.uri, read.body) == (method, uri, body)
    assert [(header.name, header.value) for header in read.headers[:-1]] == headers


@fuzzed
@given(st.lists(st.from_regex(r'"([^"\\]|\\.)*" <[^<>\n]*>(;[a-z]+="[^"\\]*")?', fullmatch=True), max_size=6))
def test_a_list_is_taken_apart_where_it_was_put_together(items: list[str]) -> None:
    assert split_list(", ".join(items)) == tuple(items)


SAFE = st.text(st.characters(exclude_characters='"\\\r\n', exclude_categories=["Cs"]), max_size=30)


@fuzzed
@given(SAFE, SAFE, SAFE, SAFE, st.integers(0, 0xFFFF_FFFF))
def test_credentials_are_read_as_they_were_written(username: str, realm: str, nonce: str, uri: str, count: int) -> None:
    answer = DigestAnswer(
        username=username, realm=realm, nonce=nonce, uri=uri, nonce_count=f"{count:08x}", client_nonce="c"
    )

    read = credentials(answer.header("REGISTER", "secret"))

    assert (read["username"], read["realm"], read["nonce"], read["uri"]) == (username, realm, nonce, uri)
    assert (read["nc"], read["response"]) == (f"{count:08x}", answer.response("REGISTER", "secret"))


@fuzzed
@given(
    st.one_of(
        st.text(max_size=200),
        mutated(
            [
                b'Digest username="1001", realm="bench", nonce="n", uri="sip:b", '
                b'response="0", algorithm=MD5, cnonce="c", qop=auth, nc=00000001'
            ]
        ).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    )
)
def test_made_up_credentials_are_never_correct(value: str) -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    challenger.challenge()

    assert challenger.check(value, "REGISTER").verdict not in {DigestVerdict.CORRECT, DigestVerdict.ABSENT}


@fuzzed
@given(mutated(SDP), mutated(SDP))
def test_a_session_description_is_read_or_refused_by_everything_that_reads_one(first: bytes, second: bytes) -> None:
    with suppress(MalformedSdp):
        offer = parse_sdp(first)
        assert offer.text.encode("utf-8", "surrogateescape") == first
        audio = offer.audio
        if audio is not None and audio.destination is not None:
            host, port = audio.destination
            assert all(part.isascii() and int(part) < 256 for part in host.split("."))
            assert 0 < port < 65536
        for local in (AUDIO, DTLS):
            ours = local.answer(offer, version=1)
            assert ours is None or parse_sdp(ours).audio is not None
        assert isinstance(answer_problems(offer, parse_sdp(second)), tuple)


FORMATS = st.lists(
    st.one_of(
        st.sampled_from([PCMU, PCMA, G722, OPUS]),
        st.builds(
            AudioFormat,
            payload_type=st.integers(96, 127),
            encoding=st.from_regex(r"[A-Z0-9][A-Z0-9\-]{0,12}", fullmatch=True),
            clock_hz=st.integers(1, 999_999),
            parameters=st.from_regex(r"([!-~]([ -~]{0,30}[!-~])?)?", fullmatch=True),
        ),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one.payload_type,
)


@fuzzed
@given(FORMATS, st.integers(1, 65535), st.sampled_from(MediaDirection), st.integers(1, 9999))
def test_a_description_is_read_as_it_was_written(
    formats: list[AudioFormat], port: int, direction: MediaDirection, ptime_ms: int
) -> None:
    local = LocalAudio(host="192.0.2.1", port=port, formats=tuple(formats), ptime_ms=ptime_ms)

    read = parse_sdp(local.describe(version=1, direction=direction)).audio

    assert read is not None
    assert (read.destination, read.direction, read.ptime_ms) == (("192.0.2.1", port), direction, ptime_ms)
    assert read.formats == tuple(formats)


@fuzzed
@given(st.binary(max_size=80))
def test_a_datagram_is_an_rtp_packet_or_none(data: bytes) -> None:
    read = parse_rtp(Packet(at_ns=1, peer=PEER, data=data))

    assert read is None or (data[0] >> 6 == 2 and len(read.payload) <= len(data) - 12 and read.payload in data)


UINT16, UINT32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)


@fuzzed
@given(st.integers(0, 127), st.booleans(), UINT16, UINT32, UINT32, st.binary(max_size=200))
def test_an_rtp_packet_is_read_as_it_was_built(
    payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes
) -> None:
    built = build_rtp(
        payload_type=payload_type, marker=marker, sequence=sequence, timestamp=timestamp, ssrc=ssrc, payload=payload
    )

    assert parse_rtp(Packet(at_ns=7, peer=PEER, data=built)) == RtpPacket(
        at_ns=7,
        payload_type=payload_type,
        marker=marker,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=payload,
    )


PACKETS = st.lists(
    st.builds(
        RtpPacket,
        at_ns=st.integers(0, 10**12),
        payload_type=st.sampled_from([0, 101]),
        marker=st.booleans(),
        sequence=UINT16,
        timestamp=UINT32,
        ssrc=st.integers(0, 2),
        payload=st.binary(max_size=8),
    ),
    max_size=40,
)


@fuzzed
@given(PACKETS)
def test_any_stream_can_be_summed_up(packets: list[RtpPacket]) -> None:
    stream = main_source(packets)
    assert missing(stream) >= 0
    assert len(in_sequence(stream)) + missing(stream) >= bool(stream)
    assert pace(stream, 0) is None or len(stream) >= 3
    keys = key_events(stream, 101)
    assert sum(key.packets for key in keys) <= len(stream)
    assert all(key.digit in DIGITS and key.end_packets <= key.packets for key in keys)


@fuzzed
@given(st.text(alphabet=DIGITS, max_size=20), UINT16, st.integers(2, 8), st.integers(1, 3))
def test_digits_are_heard_as_they_were_pressed(digits: str, first: int, frames: int, ends: int) -> None:
    packets = [
        RtpPacket(
            at_ns=0,
            payload_type=101,
            marker=out.marker,
            sequence=(first + index) & 0xFFFF,
            timestamp=((index * 160) - out.ticks_before) & 0xFFFF_FFFF,
            ssrc=1,
            payload=out.payload,
        )
        for index, out in enumerate(digit_packets(digits, 101, frames_per_key=frames, end_packets=ends))
    ]

    keys = key_events(packets, 101)

    assert "".join(key.digit for key in keys) == digits
    assert {(key.end_packets, key.timestamp_constant) for key in keys} <= {(ends, True)}
