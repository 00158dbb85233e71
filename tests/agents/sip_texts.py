"""SIP messages for tests of pure functions: a line of headers more than what every message has."""

from collections.abc import Sequence

from agents.instruments.sip_message import Request, Response, parse, request_bytes, response_bytes

Headers = Sequence[tuple[str, str]]


def a_request(method: str = "INVITE", headers: Headers = (), body: bytes = b"", *, number: int = 1) -> Request:
    own = [
        ("Via", "SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK1"),
        ("From", "<sip:1001@127.0.0.1>;tag=phone"),
        ("To", "<sip:bench@127.0.0.1:5060>"),
        ("Call-ID", "call"),
        ("CSeq", f"{number} {method}"),
    ]
    message = parse(request_bytes(method, "sip:bench@127.0.0.1:5060", [*own, *headers], body))
    assert isinstance(message, Request)
    return message


def a_response(status: int, headers: Headers = (), body: bytes = b"") -> Response:
    message = parse(response_bytes(status, "X", [("CSeq", "1 INVITE"), *headers], body))
    assert isinstance(message, Response)
    return message
