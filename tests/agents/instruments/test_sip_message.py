from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.sip_message import MalformedMessage, Request, Response, parse, request_bytes, response_bytes
from agents.instruments.sip_values import check_routable, contacts, credentials, cseq, parameter, split_list, tag

INVITE = (
    b"INVITE sip:bench@127.0.0.1 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKabc;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"f: <sip:1001@127.0.0.1>;Tag=one\r\n"
    b"To: <sip:bench@127.0.0.1>\r\n"
    b"i: call-1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Subject: a long\r\n  and folded\r\n\tvalue\r\n"
    b"l: 4\r\n"
    b"\r\n"
    b"v=0\n"
)


def test_a_message_keeps_every_byte() -> None:
    message = parse(INVITE)

    assert message.raw == INVITE
    first_line, rest = INVITE.split(b"\r\n", 1)
    assert first_line.decode() == message.start_line
    assert b"".join(header.raw for header in message.headers) == rest.removesuffix(b"\r\nv=0\n")
    assert message.body == b"v=0\n"


def test_compact_names_are_found_by_their_full_name_and_kept_as_sent() -> None:
    message = parse(INVITE)

    assert message.get("call-id") == "call-1"
    assert message.get("VIA") == "SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKabc;rport"
    assert [header.name for header in message.headers][:3] == ["v", "Max-Forwards", "f"]


def test_a_folded_header_is_one_value() -> None:
    assert parse(INVITE).get("Subject") == "a long and folded value"


def test_a_request_and_a_response_are_told_apart() -> None:
    request = parse(INVITE)
    response = parse(b"SIP/2.0 180 Ringing\r\nCall-ID: x\r\n\r\n")

    assert isinstance(request, Request)
    assert (request.method, request.uri) == ("INVITE", "sip:bench@127.0.0.1")
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (180, "Ringing")


def test_bytes_after_the_content_length_are_no_part_of_the_body() -> None:
    assert parse(b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nabcd").body == b"ab"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no empty line"),
        (b"INVITE sip:x SIP/2.0\r\nCall-ID: x\r\n", "no empty line"),
        (b"HELLO\r\n\r\n", "neither a request line nor a status line"),
        (b"SIP/2.0 4294967301 Overlarge\r\n\r\n", "neither a request line nor a status line"),
        (b"SIP/2.0 099 Low\r\n\r\n", "neither a request line nor a status line"),
        (b"SIP/2.0 200 OK\r\n folded: first\r\n\r\n", "begins with white space"),
        (b"SIP/2.0 200 OK\r\nno colon\r\n\r\n", "no name before a colon"),
        (b"SIP/2.0 200 OK\r\nContent-Length: 9\r\n\r\nabc", "9 bytes, 3 came"),
        (b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n", "not a number"),
        (b"SIP/2.0 200 OK\r\nl: 1\r\nContent-Length: 2\r\n\r\nab", "contradict"),
        (b"SIP/2.0 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n", "more than 256"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        parse(raw)


def test_a_built_message_says_what_it_was_told_also_a_wrong_length() -> None:
    assert request_bytes("BYE", "sip:x", [("Call-ID", "1")], b"ab").endswith(b"Content-Length: 2\r\n\r\nab")
    assert b"Content-Length: 99\r\n\r\n" in response_bytes(200, "OK", [("Content-Length", "99")])


def test_header_names_survive_building_and_parsing() -> None:
    headers = [("Via", "SIP/2.0/UDP h;branch=z9hG4bK1"), ("X-Odd", "a\u00e9"), ("X-Odd", "b")]

    message = parse(request_bytes("OPTIONS", "sip:x", headers))

    assert message.get_all("x-odd") == ("a\u00e9", "b")


@given(st.binary(max_size=600))
def test_junk_is_read_or_refused_and_never_crashes(raw: bytes) -> None:
    with suppress(MalformedMessage):
        assert parse(raw).raw == raw


@given(
    st.sampled_from(["Via", "From", "To", "Contact", "CSeq", "Call-ID"]),
    st.text(alphabet=' \t"<>;,=@:sip10ag%\\*self\u00e9', max_size=200),
)
def test_junk_in_a_header_is_read_or_refused_and_never_crashes(name: str, value: str) -> None:
    good = {"Via": "SIP/2.0/UDP h;branch=z9hG4bK1", "From": "<sip:a@b>;tag=1", "To": "<sip:a@b>", "Call-ID": "c"}
    headers = list((good | {"CSeq": "1 OPTIONS", "Contact": "<sip:a@b>"} | {name: value}).items())
    with suppress(MalformedMessage):
        message = parse(request_bytes("OPTIONS", "sip:x", headers))
        check_routable(message)
        contacts(message)


def test_a_parameter_is_found_in_any_case() -> None:
    assert tag(parse(INVITE), "From") == "one"
    assert parameter({"Expires": "60"}, "expires") == "60"
    assert parameter({"rport": None}, "rport") == ""
    assert parameter({}, "rport") is None


def test_commas_in_quotes_and_brackets_divide_nothing() -> None:
    assert split_list('"a, b" <sip:x,y@h>;q="1,2", <sip:z@h>') == ('"a, b" <sip:x,y@h>;q="1,2"', "<sip:z@h>")


def test_the_instance_of_a_contact_is_read_without_its_quotes() -> None:
    raw = request_bytes("REGISTER", "sip:x", [("m", '<sip:1@h:1>;expires=60;+sip.instance="<urn:uuid:1-2>"')])

    (contact,) = contacts(parse(raw))

    assert parameter(contact.parameters, "+SIP.instance") == "<urn:uuid:1-2>"
    assert parameter(contact.parameters, "expires") == "60"


def test_a_request_whose_cseq_names_another_method_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="CSeq"):
        check_routable(parse(INVITE.replace(b"7 INVITE", b"7 BYE")))


def test_a_cseq_number_beyond_31_bits_is_refused() -> None:
    with pytest.raises(MalformedMessage, match=r"2\*\*31"):
        cseq(parse(INVITE.replace(b"CSeq: 7", b"CSeq: 2147483648")))


def test_credentials_are_read_with_commas_and_escapes_in_quotes() -> None:
    found = credentials(r'Digest username="a,\"b\"", realm="r", nc=00000001,uri = "sip:x"')

    assert found == {"username": 'a,"b"', "realm": "r", "nc": "00000001", "uri": "sip:x"}


@pytest.mark.parametrize("value", ["Basic abc", "Digest nonsense", 'Digest a="1", a="2"', 'Digest a="1" b="2"'])
def test_credentials_that_are_no_digest_are_refused(value: str) -> None:
    with pytest.raises(MalformedMessage):
        credentials(value)


@given(st.text(alphabet='abn=", \\\t', max_size=2000))
def test_junk_credentials_take_no_time_and_never_crash(value: str) -> None:
    with suppress(MalformedMessage):
        credentials(f"Digest {value}")
