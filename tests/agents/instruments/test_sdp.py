from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.sdes import Crypto, Suite
from agents.instruments.sdp import (
    G722,
    OPUS,
    PCMA,
    PCMU,
    TELEPHONE_EVENT,
    AudioFormat,
    LocalAudio,
    MalformedSdp,
    MediaDirection,
    answer_problems,
    parse_sdp,
)

LOCAL = LocalAudio(host="127.0.0.1", port=4000, formats=(G722, PCMU, TELEPHONE_EVENT))


def test_what_is_described_is_read_again() -> None:
    body = LOCAL.describe(version=3, direction=MediaDirection.SENDONLY)

    found = parse_sdp(body)

    assert found.text.encode() == body
    assert found.audio is not None
    assert found.audio.formats == LOCAL.formats
    assert found.audio.destination == ("127.0.0.1", 4000)
    assert (found.audio.direction, found.audio.ptime_ms) == (MediaDirection.SENDONLY, 20)


def test_static_formats_need_no_rtpmap_and_direction_and_address_may_stand_at_the_top() -> None:
    found = parse_sdp(b"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 10.0.0.1\r\na=inactive\r\nm=audio 9 RTP/AVP 8 0\r\n")

    assert found.audio is not None
    assert found.audio.formats == (PCMA, PCMU)
    assert found.audio.destination == ("10.0.0.1", 9)
    assert found.audio.direction is MediaDirection.INACTIVE


def test_a_section_with_port_zero_is_refused_and_is_no_audio_in_use() -> None:
    assert parse_sdp(b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 0 RTP/AVP 0\r\n").audio is None


@pytest.mark.parametrize(
    "body", [b"", b"junk", b"v=0\r\nm=audio\r\n", b"v=0\r\ns=-\r\n", b"v=0\r\no=-\r\nm=audio 70000 RTP/AVP 0\r\n"]
)
def test_what_is_no_description_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedSdp):
        parse_sdp(body)


@given(st.binary(max_size=300))
def test_junk_after_a_right_beginning_never_crashes(junk: bytes) -> None:
    with suppress(MalformedSdp):
        parse_sdp(b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 9 RTP/AVP 0\r\na=" + junk)


def test_the_bench_answers_with_what_is_common_under_the_numbers_of_the_offer() -> None:
    other = AudioFormat(payload_type=96, encoding="TELEPHONE-EVENT", parameters="0-16")
    offer = parse_sdp(replace(LOCAL, formats=(PCMA, PCMU, other)).describe(version=1))

    answer = LOCAL.answer(offer, version=2)

    assert answer is not None
    read = parse_sdp(answer)
    assert read.audio is not None
    assert [format_.payload_type for format_ in read.audio.formats] == [0, 96]
    assert answer_problems(offer, read) == ()


@pytest.mark.parametrize(("offered", "answered"), [("sendonly", "recvonly"), ("inactive", "inactive")])
def test_the_bench_mirrors_the_direction_of_an_offer(offered: str, answered: str) -> None:
    offer = parse_sdp(LOCAL.describe(version=1, direction=MediaDirection(offered)))

    assert f"a={answered}".encode() in (LOCAL.answer(offer, version=2) or b"")


def test_without_a_common_codec_the_bench_does_not_answer() -> None:
    offer = parse_sdp(replace(LOCAL, formats=(PCMA, TELEPHONE_EVENT)).describe(version=1))

    assert LOCAL.answer(offer, version=2) is None


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (b"m=audio 5000 RTP/AVP 0 18\r\na=rtpmap:18 G729/8000\r\n", "not offered: G729"),
        (b"m=audio 5000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n", "no codec of the offer"),
        (b"m=audio 5000 RTP/SAVP 0\r\n", "transport"),
        (b"m=audio 5000 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n", "m= lines"),
    ],
)
def test_an_answer_that_does_not_fit_its_offer_is_named(wrong: bytes, problem: str) -> None:
    offer = parse_sdp(LOCAL.describe(version=1))
    answer = parse_sdp(b"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 127.0.0.1\r\n" + wrong)

    assert any(problem in found for found in answer_problems(offer, answer))


def test_sendrecv_does_not_answer_a_hold() -> None:
    offer = parse_sdp(LOCAL.describe(version=1, direction=MediaDirection.SENDONLY))
    answer = parse_sdp(LOCAL.describe(version=1))

    assert answer_problems(offer, answer) == ("sendrecv does not answer sendonly (RFC 3264, 6.1)",)


def test_a_secured_offer_is_answered_under_its_tag_with_a_key_of_our_own_and_only_by_who_has_one() -> None:
    theirs = Crypto(tag=7, suite=Suite.AES_CM_128_HMAC_SHA1_32, master=bytes(range(30)))
    ours = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(30))
    offer = parse_sdp(replace(LOCAL, key=theirs).describe(version=1))
    assert offer.audio is not None
    assert (offer.audio.protocol, offer.audio.keys) == ("RTP/SAVP", (theirs,))
    assert LOCAL.answer(offer, version=1) is None
    body = replace(LOCAL, key=ours).answer(offer, version=1)
    assert body is not None
    answer = parse_sdp(body)
    assert answer.audio is not None
    assert answer.audio.keys == (replace(ours, tag=7, suite=Suite.AES_CM_128_HMAC_SHA1_32),)
    assert answer_problems(offer, answer) == ()


def test_a_key_in_the_clear_transport_changes_nothing_and_a_strange_transport_is_refused() -> None:
    ours = replace(LOCAL, key=Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(30)))
    plain = parse_sdp(LOCAL.describe(version=1))
    answered = ours.answer(plain, version=1)
    assert answered is not None
    assert b"RTP/AVP " in answered
    assert b"crypto" not in answered
    strange = parse_sdp(LOCAL.describe(version=1).replace(b"RTP/AVP", b"UDP/TLS/RTP/SAVP"))
    assert ours.answer(strange, version=1) is None


def test_a_secured_answer_without_a_key_is_a_problem() -> None:
    key = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(30))
    offer = parse_sdp(replace(LOCAL, key=key).describe(version=1))
    answer = parse_sdp(LOCAL.describe(version=1).replace(b"RTP/AVP", b"RTP/SAVP"))
    assert any("0 usable" in problem for problem in answer_problems(offer, answer))


def test_opus_is_described_as_it_is_registered_and_read_again() -> None:
    body = replace(LOCAL, formats=(OPUS,)).describe(version=1)

    assert b"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 sprop-stereo=0;stereo=0\r\n" in body
    read = parse_sdp(body).audio
    assert read is not None
    assert read.formats == (OPUS,)


def test_opus_is_answered_under_the_number_of_the_offer_and_with_our_own_parameters() -> None:
    offered = replace(OPUS, payload_type=97, parameters="stereo=1;maxaveragebitrate=20000")
    offer = parse_sdp(replace(LOCAL, formats=(offered,)).describe(version=1))

    answer = replace(LOCAL, formats=(OPUS,)).answer(offer, version=2)

    assert answer is not None
    read = parse_sdp(answer).audio
    assert read is not None
    assert read.formats == (replace(OPUS, payload_type=97),)


def test_opus_with_one_channel_in_its_rtpmap_answers_no_opus() -> None:
    offer = parse_sdp(replace(LOCAL, formats=(OPUS,)).describe(version=1))
    answer = parse_sdp(offer.text.replace("opus/48000/2", "opus/48000").encode())

    assert "formats that were not offered: OPUS (RFC 3264, 6.1)" in answer_problems(offer, answer)
