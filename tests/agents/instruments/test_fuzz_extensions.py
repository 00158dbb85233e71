"""What reads streams, extensions and keys, under random input; see ``test_fuzz.py``."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.client_hello import MalformedHello, read_client_hello
from agents.instruments.referring import Replaces, parse_replaces, progress_of, refer_to, refer_to_value
from agents.instruments.reliability import prack_problems, reliable_problems, rseq
from agents.instruments.sdes import MASTER_BYTES, Crypto, MalformedCrypto, Suite, mask_keys, read_crypto
from agents.instruments.session_timer import acceptance_problems, min_se_s, session_expires
from agents.instruments.sip_framing import BrokenStream, MessageFraming
from agents.instruments.sip_message import MalformedMessage, Request, Response, parse, request_bytes, response_bytes
from agents.instruments.sip_values import cseq
from agents.instruments.srtp import SrtpReceiver, SrtpSender
from agents.instruments.subscriptions import event_package
from tests.agents.instruments.garbled import SIP, fuzzed, mutated

COMMON = [
    ("Via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1"),
    ("From", "<sip:a@b>;tag=1"),
    ("To", "<sip:a@b>;tag=2"),
    ("Call-ID", "call"),
]
EXTENDED = [
    request_bytes(
        "REFER",
        "sip:a",
        [
            *COMMON,
            ("CSeq", "2 REFER"),
            ("Refer-To", "<sip:c@d?Replaces=x%40y%3Bto-tag%3D1%3Bfrom-tag%3D2>"),
            ("Event", "refer;id=2"),
            ("Session-Expires", "1800;refresher=uas"),
            ("Min-SE", "90"),
            ("RAck", "1 1 INVITE"),
            ("Replaces", "x@y;to-tag=1;from-tag=2;early-only"),
        ],
        b"SIP/2.0 200 OK\r\n",
    ),
    response_bytes(
        183,
        "Session Progress",
        [*COMMON, ("CSeq", "1 INVITE"), ("Require", "100rel"), ("RSeq", "1"), ("Session-Expires", "90;refresher=uac")],
    ),
]


@fuzzed
@given(mutated(EXTENDED))
def test_headers_of_extensions_are_read_or_refused(raw: bytes) -> None:
    with suppress(MalformedMessage):
        message = parse(raw)
        found = session_expires(message)
        assert found is None or found.refresher in {None, "uac", "uas"}
        assert isinstance(acceptance_problems(found, asked_s=90, refresher="uac"), tuple)
        assert (min_se_s(message) or 0) >= 0
        assert event_package(message.get("Event")) == event_package(message.get("Event")).strip()
        if isinstance(message, Response):
            assert (rseq(message) or 1) >= 1
            assert isinstance(reliable_problems(message), tuple)
        if isinstance(message, Request):
            assert (progress_of(message) or 100) >= 100
            with suppress(MalformedMessage):
                parse_replaces(message.get("Replaces") or "")
            with suppress(MalformedMessage):
                refer_to(message)
            cseq(message)
            assert isinstance(prack_problems(message, response_number=1, invite=message), tuple)


WORD = st.from_regex(r"[A-Za-z0-9\-.!%*_+`'~@]{1,20}", fullmatch=True)


@fuzzed
@given(WORD, WORD, WORD)
def test_a_dialog_to_be_replaced_is_read_as_it_was_written(leg: str, to_tag: str, from_tag: str) -> None:
    replaces = Replaces(call_id=leg, to_tag=to_tag, from_tag=from_tag)
    value = refer_to_value("sip:c@d", replaces)
    request = parse(request_bytes("REFER", "sip:a", [*COMMON, ("CSeq", "2 REFER"), ("Refer-To", value)]))

    assert isinstance(request, Request)
    assert refer_to(request).replaces == parse_replaces(replaces.value()) == replaces


def framed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """What comes out of a stream, and whether it broke."""
    framing, frames = MessageFraming(), []
    for piece in pieces:
        try:
            frames += framing.feed(piece)
        except BrokenStream as broken:
            return frames + broken.frames, True
    return frames, False


@fuzzed
@given(st.lists(mutated([raw for raw in SIP if b"Content-Length" in raw]), min_size=1, max_size=4), st.data())
def test_a_stream_gives_the_same_however_it_is_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    whole, broke = framed([stream])
    assert framed(pieces) == (whole, broke)
    assert stream.startswith(b"".join(whole))


@fuzzed
@given(st.binary(max_size=300), st.integers(0, 300), st.binary(max_size=10))
def test_the_beginning_of_a_connection_is_a_hello_or_none(data: bytes, at: int, other: bytes) -> None:
    hello = b"\x16\x03\x01\x00\x43\x01\x00\x00\x3f\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00"
    hello += b"\x00\x14\x00\x00\x00\x09\x00\x07\x00\x00\x04host\x00\x2b\x00\x03\x02\x03\x04"
    for begun in (data, hello[:at] + other + hello[at + len(other) :]):
        with suppress(MalformedHello):
            found = read_client_hello(begun)
            assert found is None or all(version.split()[0] in {"SSL", "TLS"} for version in found.offered)


CRYPTOS = st.builds(
    Crypto,
    tag=st.integers(0, 999_999_999),
    suite=st.sampled_from(Suite),
    master=st.binary(min_size=MASTER_BYTES, max_size=MASTER_BYTES),
)


@fuzzed
@given(CRYPTOS, st.text(max_size=60))
def test_a_key_is_read_as_it_was_written_and_junk_is_refused(crypto: Crypto, junk: str) -> None:
    assert read_crypto(crypto.attribute()) == crypto
    masked = mask_keys(crypto.attribute().encode())
    assert len(masked) == len(crypto.attribute())
    assert crypto.attribute().split(":")[1].encode() not in masked
    for value in (junk, crypto.attribute() + junk, crypto.attribute().replace("inline:", f"inline:{junk}")):
        with suppress(MalformedCrypto):
            assert read_crypto(value).attribute()


@fuzzed
@given(CRYPTOS, st.binary(max_size=100), st.integers(0, 199), st.integers(1, 255))
def test_audio_under_a_key_is_heard_and_what_was_changed_is_not(crypto: Crypto, audio: bytes, at: int, by: int) -> None:
    packet = bytes([0x80, 0, 0, 1]) + bytes(8) + audio
    sent = SrtpSender(crypto).protect(packet)
    place = at % len(sent)
    changed = sent[:place] + bytes([sent[place] ^ by]) + sent[place + 1 :]

    assert SrtpReceiver(crypto).unprotect(sent) == packet
    assert SrtpReceiver(crypto).unprotect(changed) is None
    assert SrtpReceiver(crypto).unprotect(audio) is None
