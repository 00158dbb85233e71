import pytest

from agents.instruments.sdp import PCMU, LocalAudio
from agents.instruments.sip_message import Request, parse, request_bytes
from agents.instruments.sip_rules import ack_problems, invite_problems

OFFER = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU,)).describe(version=1)
GOOD = {
    "Via": "SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKone",
    "Max-Forwards": "70",
    "From": "<sip:1@h>;tag=a",
    "To": "<sip:b@h>",
    "Call-ID": "c",
    "CSeq": "1 INVITE",
    "Contact": "<sip:1@127.0.0.1:5062>",
    "Content-Type": "application/sdp",
}


def invite(**changes: str | None) -> Request:
    headers = {name: changes.get(name.replace("-", "_"), value) for name, value in GOOD.items()}
    sent = [(name, value) for name, value in headers.items() if value is not None]
    message = parse(request_bytes("INVITE", "sip:b@h", sent, OFFER))
    assert isinstance(message, Request)
    return message


def test_a_right_invite_has_no_problems() -> None:
    assert invite_problems(invite()) == ()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Max_Forwards": None}, "Max-Forwards stands 0 times"),
        ({"Via": "SIP/2.0/UDP h;branch=old"}, "z9hG4bK"),
        ({"From": "<sip:1@h>"}, "From has no tag"),
        ({"To": "<sip:b@h>;tag=x"}, "To has a tag"),
        ({"Contact": None}, "not exactly one Contact"),
        ({"CSeq": "1 BYE"}, "method in CSeq"),
        ({"Content_Type": "text/plain"}, "application/sdp"),
    ],
)
def test_each_mistake_of_an_invite_is_named(changes: dict[str, str | None], problem: str) -> None:
    assert any(problem in found for found in invite_problems(invite(**changes)))


def test_a_bare_line_feed_is_named() -> None:
    message = parse(invite().raw.replace(b"Max-Forwards: 70\r\n", b"Max-Forwards: 70\n"))
    assert isinstance(message, Request)

    assert any("LF without CR" in found for found in invite_problems(message))


def test_the_ack_for_a_2xx_needs_the_number_of_the_invite_and_a_branch_of_its_own() -> None:
    headers = GOOD | {"CSeq": "2 ACK", "To": "<sip:b@h>;tag=z"}
    ack = parse(request_bytes("ACK", "sip:b@h", list(headers.items())))
    assert isinstance(ack, Request)

    problems = ack_problems(ack, invite())

    assert any("CSeq number" in found for found in problems)
    assert any("branch of the INVITE" in found for found in problems)
