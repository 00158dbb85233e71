import pytest
from sip_texts import a_request

from agents.instruments.referring import (
    ReferTo,
    Replaces,
    parse_replaces,
    progress_of,
    refer_to,
    refer_to_value,
)
from agents.instruments.sip_message import MalformedMessage

NAMED = Replaces(call_id="a@b;c?", to_tag="t", from_tag="f")


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("<sip:x@h:5070>", "sip:x@h:5070"),
        ('"X, of H" <sip:x@h;transport=udp>;method=INVITE', "sip:x@h;transport=udp"),
        ("sip:x@h", "sip:x@h"),
        ("sip:x@h;method=INVITE", "sip:x@h"),
    ],
)
def test_the_target_is_read_without_what_belongs_to_the_header(value: str, uri: str) -> None:
    assert refer_to(a_request("REFER", [("Refer-To", value)])) == ReferTo(uri=uri, replaces=None)


def test_replaces_goes_through_a_refer_to_and_back() -> None:
    named = Replaces(call_id="a@b", to_tag="t%1", from_tag="f")

    found = refer_to(a_request("REFER", [("r", refer_to_value("sip:x@h", named))]))

    assert found == ReferTo(uri="sip:x@h", replaces=named)


def test_replaces_is_read_among_other_headers_of_the_uri() -> None:
    value = "<sip:x@h?Require=replaces&Replaces=a%40b%3Bfrom-tag%3Df%3Bto-tag%3Dt%3Bearly-only>"

    found = refer_to(a_request("REFER", [("Refer-To", value)]))

    assert found.replaces == Replaces(call_id="a@b", to_tag="t", from_tag="f")


@pytest.mark.parametrize("headers", [[], [("Refer-To", "<sip:a@h>"), ("Refer-To", "<sip:b@h>")]])
def test_a_refer_has_exactly_one_target(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(MalformedMessage, match="exactly one"):
        refer_to(a_request("REFER", headers))


@pytest.mark.parametrize("value", ["", "a@b", "a@b;to-tag=t", "a@b;to-tag=;from-tag=f", ";to-tag=t;from-tag=f"])
def test_replaces_without_call_id_or_a_tag_cannot_be_read(value: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_replaces(value)


@pytest.mark.parametrize(
    ("body", "status"), [(b"SIP/2.0 200 OK\r\n", 200), (b"\r\nSIP/2.0 486 Busy", 486), (b"200 OK", None), (b"", None)]
)
def test_progress_is_the_status_of_the_fragment(body: bytes, status: int | None) -> None:
    assert progress_of(a_request("NOTIFY", body=body)) == status
