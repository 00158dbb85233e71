"""What the signalling procedures say of messages, without a phone: each says nothing of what is right."""

import pytest
from sip_texts import a_request, a_response

from agents.instruments.sdp import PCMU, TELEPHONE_EVENT, LocalAudio, parse_sdp
from agents.instruments.sip_message import Request
from agents.instruments.sip_transport import Received
from agents.suites.ip_phone import offers
from agents.suites.ip_phone.dialog_events import states
from agents.suites.ip_phone.offers import late_offer_problems, offer_answer_problems
from agents.suites.ip_phone.outage import attempts_of, randomised, waits_s
from agents.suites.ip_phone.request_rules import route_problems
from agents.suites.ip_phone.session_timers import retry_problems
from agents.suites.ip_phone.transfer import refer_problems

AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU, TELEPHONE_EVENT))
ANSWER = LocalAudio(host="127.0.0.1", port=5000, formats=(PCMU, TELEPHONE_EVENT)).describe(version=1)
VIDEO = b"m=video %d RTP/AVP 99\r\na=rtpmap:99 X-ASSAY/90000\r\n"


def ok(body: bytes) -> object:
    return a_response(200, [("Content-Type", "application/sdp")], body)


@pytest.mark.parametrize(
    "offer", [offers.with_unknown_formats, offers.with_unknown_attributes, offers.with_media_address]
)
def test_an_unusual_offer_is_a_description_that_pcmu_answers(offer: object) -> None:
    assert callable(offer)
    offered = parse_sdp(offer(AUDIO))

    assert offered.audio is not None
    assert offered.audio.host == "127.0.0.1"
    assert offer_answer_problems(offered, a_response(200, body=ANSWER)) == ()


def test_an_offer_with_its_address_in_the_media_has_none_in_the_session() -> None:
    session, _, media = offers.with_media_address(AUDIO).partition(b"m=audio")

    assert b"c=" not in session
    assert media.count(b"c=IN IP4 127.0.0.1") == 1


def test_video_that_is_refused_with_port_0_is_right() -> None:
    offered = parse_sdp(offers.with_video(AUDIO))

    assert offer_answer_problems(offered, a_response(200, body=ANSWER + VIDEO % 0)) == ()


@pytest.mark.parametrize(
    ("answer", "clause"),
    [
        (ANSWER, "m= lines answer 2"),
        (ANSWER + VIDEO % 5002, "not refused with port 0"),
        (ANSWER.replace(b"m=audio 5000", b"m=audio 0") + VIDEO % 0, "the audio line is refused"),
        (b"junk", "RFC 8866"),
    ],
)
def test_an_answer_that_drops_or_takes_the_video_is_wrong(answer: bytes, clause: str) -> None:
    offered = parse_sdp(offers.with_video(AUDIO))

    assert clause in "; ".join(offer_answer_problems(offered, a_response(200, body=answer)))


def test_a_refused_or_missing_answer_is_told_with_its_status() -> None:
    offered = parse_sdp(offers.with_video(AUDIO))

    assert offer_answer_problems(offered, a_response(488)) == ("the INVITE was answered 488",)
    assert offer_answer_problems(offered, None) == ("the INVITE was answered not at all",)


def test_nobody_has_a_codec_in_common_with_the_one_that_is_made_up() -> None:
    assert AUDIO.answer(parse_sdp(offers.without_common_codec(AUDIO)), version=1) is None


def test_a_late_offer_stands_in_the_200() -> None:
    assert late_offer_problems(a_response(200, body=ANSWER)) == ()


@pytest.mark.parametrize(
    ("answer", "clause"),
    [
        (a_response(200), "13.2.1"),
        (a_response(488), "answered 488"),
        (a_response(200, body=b"junk"), "RFC 8866"),
        (a_response(200, body=ANSWER.replace(b"m=audio 5000", b"m=audio 0")), "no audio line"),
        (None, "not at all"),
    ],
)
def test_anything_else_is_no_late_offer(answer: object, clause: str) -> None:
    assert answer is None or hasattr(answer, "status")
    assert clause in "; ".join(late_offer_problems(answer))  # type: ignore[arg-type]


def test_a_longer_interval_with_its_least_follows_a_422() -> None:
    again = a_request(headers=[("Session-Expires", "7200"), ("Min-SE", "7200")])

    assert retry_problems(again, least_s=7200) == ()


@pytest.mark.parametrize(
    "headers", [[], [("Session-Expires", "1800"), ("Min-SE", "7200")], [("Session-Expires", "7200"), ("Min-SE", "90")]]
)
def test_an_interval_that_is_too_short_again_is_wrong(headers: list[tuple[str, str]]) -> None:
    assert retry_problems(a_request(headers=headers), least_s=7200)


def test_no_invite_after_a_422_is_wrong() -> None:
    assert "RFC 4028, 7.3" in retry_problems(None, least_s=7200)[0]


def test_a_refer_to_the_number_that_was_dialled_is_right() -> None:
    contact = ("Contact", "<sip:1001@127.0.0.1:5062>")
    right = a_request("REFER", [contact, ("Refer-To", "<sip:target@127.0.0.1:5060;user=phone>")])
    wrong = a_request("REFER", [contact, ("Refer-To", "<sip:other@127.0.0.1:5060>")])

    assert refer_problems(right, "sip:target@127.0.0.1:5060") == []
    assert len(refer_problems(wrong, "sip:target@127.0.0.1:5060")) == 1
    assert len(refer_problems(a_request("REFER", [contact]), "sip:target@127.0.0.1:5060")) == 1


ROUTE = ["<sip:127.0.0.1:5060;lr;hop=1>", "<sip:127.0.0.1:5060;lr;hop=2>"]
TARGET = "sip:bench@127.0.0.1:5060"


@pytest.mark.parametrize("headers", [[("Route", ", ".join(ROUTE))], [("Route", one) for one in ROUTE]])
def test_a_route_as_recorded_is_right_on_one_line_or_two(headers: list[tuple[str, str]]) -> None:
    assert route_problems(a_request("BYE", headers), due=ROUTE, target=TARGET) == []


@pytest.mark.parametrize("headers", [[], [("Route", ROUTE[0])], [("Route", f"{ROUTE[1]}, {ROUTE[0]}")]])
def test_a_route_that_is_missing_short_or_reversed_is_wrong(headers: list[tuple[str, str]]) -> None:
    assert len(route_problems(a_request("BYE", headers), due=ROUTE, target=TARGET)) == 1


def test_a_request_to_another_uri_than_the_peers_contact_is_wrong() -> None:
    bye = a_request("BYE", [("Route", ", ".join(ROUTE))])

    assert "Contact" in route_problems(bye, due=ROUTE, target="sip:other@127.0.0.1")[0]
    assert route_problems(None, due=ROUTE, target=TARGET)


@pytest.mark.parametrize("waits", [[30, 30], [30, 60, 120], [30, 60, 60.1], [0, 0, 0], [30.1, 30, 30.2]])
def test_waits_that_are_the_same_or_double_are_not_random(waits: list[float]) -> None:
    assert randomised(waits) is False


def test_waits_that_follow_no_rule_are_random() -> None:
    assert randomised([48.4, 77.3]) is True
    assert randomised([30, 60, 77.3]) is True


def test_one_wait_says_nothing() -> None:
    assert randomised([51.0]) is None


def came(number: int, at_s: float) -> Received[Request]:
    peer = ("127.0.0.1", 5062)
    return Received(message=a_request("REGISTER", number=number), at_ns=round(at_s * 1e9), peer=peer)


def test_a_wait_counts_from_the_end_of_an_attempt_with_all_its_repeats() -> None:
    repeats = [came(1, 10 + at) for at in (0, 0.5, 1.5, 3.5, 7.5, 31.5)]

    found = attempts_of((*repeats, came(2, 72), came(3, 172)))

    assert [(one.number, one.began_ns, one.last_ns) for one in found] == [
        (1, 10_000_000_000, 41_500_000_000),
        (2, 72_000_000_000, 72_000_000_000),
        (3, 172_000_000_000, 172_000_000_000),
    ]
    assert waits_s(found) == pytest.approx([30, 68])


def test_attempts_that_follow_at_once_have_no_wait() -> None:
    assert waits_s(attempts_of((came(1, 10), came(2, 10.02), came(3, 10.04)))) == [0, 0]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<dialog-info><dialog id='1'><state>early</state></dialog></dialog-info>", ("early",)),
        (b'<d:state event="cancelled">\n terminated </d:state><state>trying</state>', ("terminated", "trying")),
        (b"<dialog-info/>", ()),
        (b"<statement>early</statement><state>EARLY</state>", ()),
    ],
)
def test_the_states_of_dialogs_are_read_from_their_document(body: bytes, found: tuple[str, ...]) -> None:
    assert states(a_request("NOTIFY", body=body)) == found
