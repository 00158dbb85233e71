import re

import pytest

from agents.instruments.sdp import PCMU, LocalAudio
from agents.instruments.sip_message import MalformedMessage, Request, parse
from agents.instruments.sip_values import branch, call_id, check_routable, cseq, tag
from agents.instruments.torture import ANSWERS, MESSAGES, Due, Scene, TortureAnswer, TortureMessage

SCENE = Scene(
    target="sip:1001-0xab@192.0.2.7:5062",
    own=("192.0.2.1", 5060),
    mark="torture-mark-1",
    offer=LocalAudio(host="192.0.2.1", port=4000, formats=(PCMU,)).describe(version=1),
)
by_slug = {message.slug: message for message in MESSAGES}
each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.slug)


def test_every_message_has_a_name_of_its_own_and_differs_from_all_others() -> None:
    assert len(by_slug) == len(MESSAGES) >= 50
    assert len({message.build(SCENE) for message in MESSAGES}) == len(MESSAGES)


@each_message
def test_a_message_says_what_is_odd_what_is_due_and_where_that_is_written(message: TortureMessage) -> None:
    assert message.odd.endswith(".")
    assert re.search(r"RFC \d{4}, \d+", message.clause)
    # What allows everything would be no check.
    assert message.due.statuses or message.due.silence
    assert not (message.due.allows(None) and message.due.allows(200))
    assert not message.due.allows(500)


@each_message
def test_a_message_carries_its_mark_and_no_other_scenes(message: TortureMessage) -> None:
    assert SCENE.mark.encode() in message.build(SCENE)
    assert message.build(SCENE).isascii() or message.slug in {"odd-characters-in-values", "response-without-reason"}


@each_message
def test_what_is_valid_is_read_by_our_own_parser(message: TortureMessage) -> None:
    if not message.valid:
        return
    read = parse(message.build(SCENE))
    assert (read.get("Call-ID") or "").startswith(SCENE.mark)


@pytest.mark.parametrize(
    "slug", ["content-length-too-large", "content-length-negative", "cseq-overlarge", "unknown-version", "no-to"]
)
def test_what_is_invalid_is_refused_by_our_own_parser(slug: str) -> None:
    with pytest.raises(MalformedMessage):
        check_routable(parse(by_slug[slug].build(SCENE)))


def test_the_second_request_of_a_datagram_is_no_part_of_the_first() -> None:
    read = parse(by_slug["octets-after-the-end"].build(SCENE))

    assert (read.body, read.get("CSeq")) == (b"", "1 OPTIONS")


def test_what_is_due_reads_as_words() -> None:
    assert str(by_slug["tortuous-invite"].due) == "180 to 183 or 200"
    assert str(by_slug["no-to"].due) == "400 or no answer"
    assert Due(statuses=frozenset({481})).allows(481)
    assert not Due(statuses=frozenset({481})).allows(None)


INVITE = (
    b"INVITE sip:bench@192.0.2.1 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKphone;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:1001@192.0.2.1>;tag=one\r\nTo: <sip:bench@192.0.2.1>\r\nCall-ID: call\r\n"
    b"CSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.slug)
def test_an_answer_says_what_is_odd_and_keeps_to_the_call_where_it_must_be_taken(answer: TortureAnswer) -> None:
    invite = parse(INVITE)
    assert isinstance(invite, Request)
    raw = answer.build(invite)

    assert answer.odd.endswith(".")
    assert re.search(r"RFC \d{4}, \d+", answer.clause)
    if answer.taken:
        read = parse(raw)
        check_routable(read)
        assert (branch(read), call_id(read), cseq(read)) == (branch(invite), call_id(invite), cseq(invite))
        assert tag(read, "From") == tag(invite, "From")


def test_answers_that_must_be_passed_over_stand_first_so_that_one_call_serves_for_all() -> None:
    assert [answer.taken for answer in ANSWERS] == sorted(answer.taken for answer in ANSWERS)
    assert len({one.slug for one in (*ANSWERS, *MESSAGES)}) == len(ANSWERS) + len(MESSAGES)
