import re

import pytest

from agents.instruments.sdp import PCMU, LocalAudio
from agents.instruments.sip_message import MalformedMessage, parse
from agents.instruments.sip_values import check_routable
from agents.instruments.torture import MESSAGES, Due, Scene, TortureMessage

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
