"""Answers: the headers an answer must copy from its request, and where it goes. Pure (RFC 3261, 8.2.6.2 and 18.2)."""

import re
from collections.abc import Sequence

from agents.instruments.packets import Peer
from agents.instruments.sip_message import Request, response_bytes
from agents.instruments.sip_streams import Flow
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import parameter, tag, top_via

REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed", 420: "Bad Extension",
    422: "Session Interval Too Small", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
    500: "Server Internal Error", 503: "Service Unavailable", 603: "Decline",
}  # fmt: skip

SIP_PORT = 5060
_EMPTY_RPORT = re.compile(r";\s*rport\s*(?=[;,]|$)", re.IGNORECASE)


def answer_to(
    received: Received[Request],
    status: int,
    *,
    to_tag: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """The bytes of an answer. ``to_tag`` is added to To unless the request has one or the status is 100."""
    request = received.message
    to = request.get("To") or ""
    if status > 100 and tag(request, "To") is None:
        to += f";tag={to_tag}"
    first, *others = request.get_all("Via")
    copied = [("Via", _with_source(first, received.peer)), *(("Via", value) for value in others)]
    copied += [("Record-Route", value) for value in request.get_all("Record-Route")]
    copied += [
        ("From", request.get("From") or ""),
        ("To", to),
        ("Call-ID", request.get("Call-ID") or ""),
        ("CSeq", request.get("CSeq") or ""),
    ]
    return response_bytes(status, REASONS[status], [*copied, *headers], body)


def answer_peer(received: Received[Request]) -> Peer:
    """Where the answer goes: the connection the request came on (RFC 3261, 18.2.2); over UDP the source port where the
    phone asked for it by rport, else the port in its Via.
    """
    if isinstance(received.peer, Flow):
        return received.peer
    via = top_via(received.message)
    if parameter(via.parameters, "rport") is not None:
        return received.peer
    return (received.peer[0], via.port or SIP_PORT)


def _with_source(via: str, peer: Peer) -> str:
    """The Via with the source filled in where rport asks for it (RFC 3581, 4)."""
    return _EMPTY_RPORT.sub(f";rport={peer[1]};received={peer[0]}", via, count=1)
