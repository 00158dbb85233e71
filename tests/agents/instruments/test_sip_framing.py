import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.sip_framing import BODY_BYTES_MAX, HEAD_BYTES_MAX, BrokenStream, MessageFraming
from agents.instruments.sip_message import MalformedMessage


def message(body: bytes = b"", *, name: bytes = b"Content-Length", line_end: bytes = b"\r\n") -> bytes:
    lines = [b"OPTIONS sip:a@b SIP/2.0", b"Via: SIP/2.0/TCP h", b"%s: %d" % (name, len(body))]
    return line_end.join(lines) + 2 * line_end + body


def test_several_messages_in_one_piece_are_taken_apart() -> None:
    first, second = message(b"one"), message(b"\r\n\r\n", name=b"l")
    assert MessageFraming().feed(first + second) == [first, second]


def test_a_message_waits_until_it_is_whole() -> None:
    framing, whole = MessageFraming(), message(b"body")
    assert [framing.feed(whole[place : place + 1]) for place in range(len(whole))][:-1] == [[]] * (len(whole) - 1)
    assert framing.pending == b""


def test_a_ping_is_given_whole_and_single_line_ends_are_given_apart() -> None:
    whole = message()
    assert MessageFraming().feed(b"\r\n\r\n" + b"\r\n" + whole) == [b"\r\n\r\n", b"\r\n", whole]


def test_a_length_in_a_folded_line_counts_and_one_in_another_header_does_not() -> None:
    head = b"OPTIONS sip:a@b SIP/2.0\r\nSubject: x\r\n Content-Length: 9\r\nContent-Length:\r\n 2\r\n\r\n"
    assert MessageFraming().feed(head + b"ab") == [head + b"ab"]


@pytest.mark.parametrize(
    ("junk", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "first line"),
        (b"\x16\x03\x01\x02\x00\n", "first line"),
        (b"x" * 10_000, "does not end within"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nTo: x\r\n\r\n", "Content-Length is missing"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nl: -1\r\n\r\n", "not a number"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n", "contradict"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nl: %d\r\n\r\n" % (BODY_BYTES_MAX + 1), "above"),
        (b"OPTIONS sip:a@b SIP/2.0\r\n" + b"a: b\r\n" * (HEAD_BYTES_MAX // 6), "no empty line"),
    ],
)
def test_a_stream_without_a_next_message_is_refused_with_the_messages_before_it(junk: bytes, reason: str) -> None:
    with pytest.raises(BrokenStream) as refused:
        MessageFraming().feed(message() + junk)
    assert reason in refused.value.detail
    assert refused.value.frames == [message()]


_PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20).map(message),
        st.binary(max_size=9).map(lambda body: message(body, name=b"L", line_end=b"\n")),
        st.sampled_from([b"\r\n", b"\r\n\r\n", b"\n"]),
    ),
    max_size=6,
)


@given(pieces=_PIECES, data=st.data())
def test_how_the_bytes_are_cut_up_changes_nothing(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces) + message(b"last")
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    framing, frames = MessageFraming(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += framing.feed(stream[start:end])
    assert frames == MessageFraming().feed(stream)
    assert b"".join(frames) == stream


@given(junk=st.binary(max_size=300))
def test_any_bytes_are_framed_or_refused(junk: bytes) -> None:
    framing = MessageFraming()
    try:
        frames = framing.feed(junk)
    except MalformedMessage:
        return
    assert b"".join(frames) + framing.pending == junk
