"""Odd and malformed messages in the spirit of RFC 4475: what is valid is taken, the rest refused, nothing breaks."""

import asyncio

import pytest
from phone_wire import value_of
from reference_wire import AtWire, reference_at_wire

from lab_inventory.clock import ManualClock


def request(at: AtWire, method: str = "OPTIONS", name: str = "odd") -> str:
    """A request as text, with {names} of lines that a test may change."""
    call = at.wire.new_call()
    uri, host = at.wire.contact, at.wire.registrar
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch=z9hG4bK{name}{call.call_id};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:bench@{host}>;tag=a\r\nTo: <{uri}>\r\nCall-ID: {name}{call.call_id}\r\n"
        f"CSeq: 1 {method}\r\nContact: <sip:bench@{host}>\r\nContent-Length: 0\r\n\r\n"
    )


async def status_of(at: AtWire, message: str | bytes) -> int | None:
    data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    since = len(at.wire.sip.seen)
    at.wire.sip.send(data, at.wire.peer)
    found = await at.first(lambda data: data.startswith(b"SIP/2.0"), since=since, timeout_s=0.2)
    return int(found.data[8:11]) if found else None


VALID = [
    ("folded lines", "Max-Forwards: 70\r\n", "Max-Forwards:\r\n  70\r\nSubject: a\r\n\tb\r\n"),
    ("compact names", "From: ", "f: "),
    ("names in another case", "Call-ID: ", "cALL-id   :\t"),
    ("white space in To", "To: <", "TO :\r\n   <"),
    ("zeros before a number", "CSeq: 1 ", "CSeq: 0001   "),
    ("no space before an address", "From: <", "From: caller<"),
    ("a quoted name with quotes", "From: <", r'From: "a \"b\", c <d>" <'),
    ("an address without brackets", "From: <sip:bench@", "From: sip:x@192.0.2.1;tag=b\r\nX-Rest: <sip:bench@"),
    ("parameters with space", ";tag=a", " ; x ; tag  =  a;q = 0.3"),
    ("escaped characters", "From: <sip:bench@", "From: <sip:%62en%20%3Bch@"),
    ("many values", "Contact: <", "Contact: <sip:a@192.0.2.1>;q=1, <"),
    ("transports nobody has", ";rport\r\n", ";rport\r\nVia: SIP/2.0/NOBODY 192.0.2.1;branch=z9hG4bKx\r\n"),
    ("white space in Via", "Via: SIP/2.0/UDP ", "v:  SIP  / 2.0  / UDP     "),
    ("a long header", "Max-Forwards: 70\r\n", f"Max-Forwards: 70\r\nX-Long: {'x' * 9000}\r\n"),
    ("a header nobody knows", "Max-Forwards", 'X-Nobody: *;;,,"=\r\nMax-Forwards'),
    ("a date that is none", "Max-Forwards", "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nMax-Forwards"),
    ("bytes above ASCII", "Max-Forwards", "Subject: \u00e4\u20ac\r\nMax-Forwards"),
    ("no Max-Forwards", "Max-Forwards: 70\r\n", ""),
    ("Max-Forwards 0, as it is for the phone", "Max-Forwards: 70", "Max-Forwards: 0"),
    ("a branch of RFC 2543", ";branch=z9hG4bK", ";branch="),
    ("the cookie alone", "branch=z9hG4bKodd", "branch=z9hG4bK;x="),
    ("no From tag", ";tag=a", ""),
    ("surplus behind the body", "\r\n\r\n", "\r\n\r\nOPTIONS sip:x SIP/2.0\r\n\r\n"),
    ("lines before it", "OPTIONS sip", "\r\n\r\nOPTIONS sip"),
    ("a parameter in the Request-URI", " SIP/2.0\r\n", ";unknown=%20x SIP/2.0\r\n"),
]
REFUSED = [
    ("a body that is too short", 400, "Content-Length: 0", "Content-Length: 99"),
    ("a negative length", 400, "Content-Length: 0", "Content-Length: -9"),
    ("two lengths", 400, "Content-Length: 0", "Content-Length: 0\r\nl: 0"),
    ("a CSeq above 2**31", 400, "CSeq: 1 ", "CSeq: 36893488147419103232 "),
    ("a CSeq of another method", 400, "CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
    ("Max-Forwards above 255", 400, "Max-Forwards: 70", "Max-Forwards: 300"),
    ("an open quote in To", 400, "To: <", 'To: "Mr J. User <'),
    ("two To", 400, "To: <", "To: <sip:x@192.0.2.1>\r\nt: <"),
    ("separators without values", 400, "Contact: <", "Contact: ;;,;,, <"),
    ("separators behind a Via", 400, ";rport\r\n", ";rport;;,;,,\r\n"),
    ("brackets around the Request-URI", 400, "OPTIONS sip:", "OPTIONS <sip:"),
    ("two spaces in the request line", 400, "OPTIONS sip:", "OPTIONS  sip:"),
    ("space behind the version", 400, " SIP/2.0\r\nVia", " SIP/2.0  \r\nVia"),
    ("headers in the Request-URI", 400, " SIP/2.0\r\nVia", "?Route=%3Csip:x%3E SIP/2.0\r\nVia"),
    ("no Call-ID", 400, "Call-ID: ", "X-Call-ID: "),
    ("no From", 400, "From: ", "X-From: "),
    ("no CSeq", 400, "CSeq: ", "X-CSeq: "),
    ("a line that is no header", 400, "Max-Forwards: 70", "Max-Forwards 70"),
    ("another version", 505, " SIP/2.0\r\nVia", " SIP/7.0\r\nVia"),
    ("an unknown scheme", 416, "OPTIONS sip:", "OPTIONS soap.beep://"),
    ("an unknown extension", 420, "Max-Forwards", "Require: nothingSupportsThis\r\nMax-Forwards"),
    ("an unknown method", 405, "OPTIONS", "!interesting-Method0123456789_*+`.%indeed'~"),
    ("an escaped method", 405, "OPTIONS", "RE%47IST%45R"),
    ("a dialog there is not", 481, "To: <", "Subject: x\r\nTo: <sip:y@192.0.2.1>;tag=no;x=<"),
]


@pytest.mark.parametrize(("what", "old", "new"), VALID, ids=[case[0] for case in VALID])
async def test_what_is_odd_and_valid_is_taken(what: str, old: str, new: str) -> None:
    async with reference_at_wire() as at:
        assert await status_of(at, request(at).replace(old, new, 1)) == 200


@pytest.mark.parametrize(("what", "status", "old", "new"), REFUSED[:-1], ids=[case[0] for case in REFUSED[:-1]])
async def test_what_is_malformed_or_not_understood_is_refused(what: str, status: int, old: str, new: str) -> None:
    async with reference_at_wire() as at:
        text = request(at)
        text = text.replace(old, new) if old == "OPTIONS" else text.replace(old, new, 1)
        assert await status_of(at, text) == status
        assert await status_of(at, request(at)) == 200


async def test_what_a_refusal_must_name_is_in_it() -> None:
    async with reference_at_wire() as at:
        await status_of(at, request(at).replace("Max-Forwards", "Require: x, y\r\nMax-Forwards"))
        await status_of(at, request(at, "MESSAGE"))
        offer = request(at, "INVITE").replace(
            "Content-Length: 0\r\n\r\n", "Content-Type: a/b\r\nContent-Length: 1\r\n\r\nx"
        )
        assert await status_of(at, offer) == 415
        last = [seen.data for seen in at.wire.sip.seen[-3:]]
        assert value_of(last[0], "Unsupported") == "x, y"
        assert "INVITE" in value_of(last[1], "Allow")
        assert value_of(last[2], "Accept") == "application/sdp"


async def test_a_body_that_may_be_passed_over_does_not_stop_a_call() -> None:
    async with reference_at_wire() as at:
        body = "Content-Type: a/b\r\nContent-Disposition: x;handling=optional\r\nContent-Length: 1\r\n\r\nx"
        assert await status_of(at, request(at, "INVITE").replace("Content-Length: 0\r\n\r\n", body)) == 180


async def test_the_same_invite_by_two_ways_is_a_loop_once() -> None:
    async with reference_at_wire() as at:
        text = request(at, "INVITE")
        assert await status_of(at, text) == 180
        assert await status_of(at, text.replace("branch=z9hG4bK", "branch=z9hG4bKother")) == 482


async def test_an_answer_nobody_waits_for_is_dropped() -> None:
    async with reference_at_wire() as at:
        stray = request(at).replace(f"OPTIONS {at.wire.contact} SIP/2.0", "SIP/2.0 200 OK", 1)
        assert await status_of(at, stray) is None
        assert await status_of(at, stray.replace("200 OK", "4294967301 better not break", 1)) is None
        assert await status_of(at, request(at)) == 200


async def test_the_phone_lives_through_messages_that_were_garbled(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(seed=4475)

    def below(number: int) -> int:
        return int(clock.uniform(0, number - 0.001))

    async with reference_at_wire() as at:
        for number in range(400):
            method = ("OPTIONS", "INVITE", "BYE", "REFER", "NOTIFY", "SUBSCRIBE")[below(6)]
            data = bytearray(request(at, method, f"g{number}").encode() + at.wire.sdp("0"))
            for _ in range(1 + below(11)):
                place = below(len(data))
                match below(3):
                    case 0:
                        data[place] = below(256)
                    case 1:
                        del data[place : place + 1 + below(40)]
                    case _:
                        data[place:place] = (b"\r\n", b'"', b"<", b";", b",", b"\0", b"%00", b"9" * 30)[below(8)]
            at.wire.sip.send(bytes(data), at.wire.peer)
            if number % 20 == 0:
                await asyncio.sleep(0)
                at.phone.reset()
        await asyncio.sleep(0.05)
        at.phone.reset()
        assert await status_of(at, request(at, name="after")) is not None
        assert (await at.wire.ask("OPTIONS", at.wire.new_call()))[8:11] == b"200"
    assert "Traceback" not in capsys.readouterr().err
