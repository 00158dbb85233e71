import pytest
from sip_texts import a_request, a_response

from agents.instruments.reliability import prack_problems, rack, reliable_problems, rseq

INVITE = a_request(number=7)


def test_a_response_with_require_and_a_number_is_reliable() -> None:
    ringing = a_response(180, [("Require", "foo, 100rel"), ("RSeq", "17")])

    assert reliable_problems(ringing) == ()
    assert rseq(ringing) == 17


@pytest.mark.parametrize("headers", [[("RSeq", "17")], [("Require", "100rel")], [("Require", "100rel"), ("RSeq", "x")]])
def test_a_response_without_one_of_both_is_not(headers: list[tuple[str, str]]) -> None:
    assert len(reliable_problems(a_response(180, headers))) == 1


@pytest.mark.parametrize("number", ["0", "4294967296", "-1", "1 2", ""])
def test_numbers_outside_of_their_range_are_none(number: str) -> None:
    assert rseq(a_response(180, [("RSeq", number)])) is None


def test_a_prack_that_names_the_response_is_right() -> None:
    prack = a_request("PRACK", [("RAck", rack(17, INVITE))], number=8)

    assert prack_problems(prack, response_number=17, invite=INVITE) == ()


@pytest.mark.parametrize(
    ("value", "number"), [("18 7 INVITE", 8), ("17 8 INVITE", 8), ("17 7 BYE", 8), ("17", 8), ("17 7 INVITE", 7)]
)
def test_a_prack_that_names_another_or_reuses_a_number_is_wrong(value: str, number: int) -> None:
    prack = a_request("PRACK", [("RAck", value)], number=number)

    assert len(prack_problems(prack, response_number=17, invite=INVITE)) == 1


def test_a_prack_without_rack_is_wrong() -> None:
    assert "no RAck" in prack_problems(a_request("PRACK"), response_number=17, invite=INVITE)[0]
