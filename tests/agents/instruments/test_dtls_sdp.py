"""Fingerprints and setup in descriptions: read, answered, and what is wrong with them told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.dtls_sdp import (
    Fingerprint,
    MalformedFingerprint,
    Setup,
    fingerprint_of,
    fingerprints_match,
    is_dtls,
    read_fingerprint,
)
from agents.instruments.sdp import PCMU, LocalAudio, answer_problems, parse_sdp

OURS, THEIRS = fingerprint_of(b"ours"), fingerprint_of(b"theirs")
LOCAL = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU,), fingerprint=OURS)
OTHER = replace(LOCAL, port=5000, fingerprint=THEIRS)
OFFER = parse_sdp(OTHER.describe(version=1))


@given(st.sampled_from([("sha-1", 20), ("sha-256", 32), ("sha-512", 64)]), st.data())
def test_a_fingerprint_is_read_as_it_was_told(named: tuple[str, int], data: st.DataObject) -> None:
    told = Fingerprint(hash_name=named[0], value=data.draw(st.binary(min_size=named[1], max_size=named[1])))

    assert read_fingerprint(told.attribute()) == told
    assert read_fingerprint(told.attribute().lower()) == told


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "hexadecimal with colons"),
        ("sha-256 " + "AB" * 32, "hexadecimal with colons"),
        ("md5 " + ":".join(["AB"] * 16), "md5 is not used"),
        ("sha-256 " + ":".join(["AB"] * 20), "has 32 bytes, not 20"),
        ("sha-256 " + ":".join(["AB"] * 32) + " x", "hexadecimal with colons"),
    ],
)
def test_what_is_no_fingerprint_is_refused_with_the_reason(value: str, words: str) -> None:
    with pytest.raises(MalformedFingerprint, match=words):
        read_fingerprint(value)


def test_an_offer_tells_fingerprint_and_that_either_side_may_begin() -> None:
    audio = OFFER.audio

    assert audio is not None
    assert (audio.protocol, audio.fingerprints, audio.setup) == ("UDP/TLS/RTP/SAVP", (THEIRS,), Setup.ACTPASS)


def test_attributes_of_the_whole_description_hold_for_its_audio() -> None:
    lines = OFFER.text.replace(f"a=fingerprint:{THEIRS.attribute()}\r\na=setup:actpass\r\n", "")
    whole = lines.replace("t=0 0\r\n", f"t=0 0\r\na=fingerprint:{OURS.attribute()}\r\na=setup:passive\r\n")
    audio = parse_sdp(whole.encode()).audio

    assert audio is not None
    assert (audio.fingerprints, audio.setup) == ((OURS,), Setup.PASSIVE)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [(Setup.ACTPASS, Setup.ACTIVE), (Setup.PASSIVE, Setup.ACTIVE), (Setup.ACTIVE, Setup.PASSIVE)],
)
@pytest.mark.parametrize("transport", ["UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"])
def test_the_bench_begins_wherever_it_may_under_the_transport_of_the_offer(
    offered: Setup, answered: Setup, transport: str
) -> None:
    offer = parse_sdp(replace(OTHER, setup=offered, dtls_transport=transport).describe(version=1))

    body = LOCAL.answer(offer, version=2)

    assert body is not None
    answer = parse_sdp(body)
    assert answer.audio is not None
    assert (answer.audio.protocol, answer.audio.setup, answer.audio.fingerprints) == (transport, answered, (OURS,))
    assert answer_problems(offer, answer) == ()


def test_without_a_certificate_or_a_fingerprint_dtls_is_not_answered() -> None:
    assert replace(LOCAL, fingerprint=None).answer(OFFER, version=1) is None
    bare = "".join(line for line in OFFER.text.splitlines(keepends=True) if "fingerprint" not in line)
    assert LOCAL.answer(parse_sdp(bare.encode()), version=1) is None


@pytest.mark.parametrize(
    ("was", "put", "words"),
    [
        ("setup:active", "setup:actpass", "setup actpass does not answer actpass"),
        ("setup:active", "setup:holdconn", "setup holdconn does not answer"),
        ("a=fingerprint:", "a=x:", "no usable fingerprint"),
        ("UDP/TLS/RTP/SAVP ", "RTP/AVP ", "transport is not the one offered"),
    ],
)
def test_what_is_wrong_with_an_answer_is_named(was: str, put: str, words: str) -> None:
    body = LOCAL.answer(OFFER, version=1)
    assert body is not None

    problems = answer_problems(OFFER, parse_sdp(body.decode().replace(was, put).encode()))

    assert [problem for problem in problems if words in problem], problems


def test_a_certificate_must_match_a_fingerprint_of_every_hash_that_was_told() -> None:
    other = Fingerprint(hash_name="sha-1", value=bytes(20))

    assert fingerprints_match([OURS, THEIRS], b"ours")
    assert not fingerprints_match([OURS, other], b"ours")
    assert not fingerprints_match([], b"ours")
    assert not fingerprints_match([THEIRS], b"ours")


def test_the_first_byte_tells_dtls_from_rtp_and_stun() -> None:
    assert [byte for byte in range(256) if is_dtls(bytes([byte]))] == list(range(20, 64))
    assert not is_dtls(b"")
