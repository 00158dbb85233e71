"""What RFC 3261 asks of a request that starts or confirms a call. Gives what is wrong with it. Pure."""

import re

from agents.instruments.sdp import MalformedSdp, parse_sdp
from agents.instruments.sip_message import MalformedMessage, Request
from agents.instruments.sip_values import address, branch, contacts, cseq, tag

_NUMBER = re.compile(r"[0-9]{1,3}")
_BARE_LF = re.compile(rb"(?<!\r)\n")


def request_problems(request: Request) -> tuple[str, ...]:
    """What any request must have (RFC 3261, 7.3, 8.1.1); empty when nothing is wrong."""
    problems = [
        f"{name} stands {len(request.get_all(name))} times (RFC 3261, 8.1.1)"
        for name in ("From", "To", "Call-ID", "CSeq", "Max-Forwards")
        if len(request.get_all(name)) != 1
    ]
    if _BARE_LF.search(request.raw[: len(request.raw) - len(request.body)]):
        problems.append("a line ends in LF without CR (RFC 3261, 7)")
    if not _NUMBER.fullmatch(request.get("Max-Forwards") or ""):
        problems.append("Max-Forwards is no number of 0 to 255 (RFC 3261, 20.22)")
    try:
        if not branch(request).startswith("z9hG4bK"):
            problems.append("the branch does not begin with z9hG4bK (RFC 3261, 8.1.1.7)")
        if not tag(request, "From"):
            problems.append("From has no tag (RFC 3261, 8.1.1.3)")
        if cseq(request).method != request.method:
            problems.append("the method in CSeq is not the method of the request (RFC 3261, 8.1.1.5)")
        address(request, "To")
    except MalformedMessage as error:
        problems.append(error.detail)
    return tuple(problems)


def invite_problems(invite: Request) -> tuple[str, ...]:
    """What a first INVITE must have besides (RFC 3261, 8.1.1.8, 13.2.1)."""
    problems = list(request_problems(invite))
    try:
        if len(contacts(invite)) != 1:
            problems.append("there is not exactly one Contact (RFC 3261, 8.1.1.8)")
        if tag(invite, "To") is not None:
            problems.append("To has a tag before there is a dialog (RFC 3261, 8.1.1.2)")
    except MalformedMessage as error:
        problems.append(error.detail)
    if invite.body:
        if (invite.get("Content-Type") or "").split(";")[0].strip().lower() != "application/sdp":
            problems.append("a body without Content-Type application/sdp (RFC 3261, 7.4.1)")
        try:
            if parse_sdp(invite.body).audio is None:
                problems.append("the offer has no audio in use (RFC 3264, 5.1)")
        except MalformedSdp as error:
            problems.append(f"the offer cannot be read: {error.detail}")
    return tuple(problems)


def ack_problems(ack: Request, invite: Request) -> tuple[str, ...]:
    """What the ACK for a 2xx must have (RFC 3261, 13.2.2.4): the INVITE's number, a branch of its own, a To tag."""
    problems = list(request_problems(ack))
    try:
        if cseq(ack).sequence != cseq(invite).sequence:
            problems.append("the CSeq number of ACK is not that of the INVITE (RFC 3261, 13.2.2.4)")
        if branch(ack) == branch(invite):
            problems.append("the ACK for a 2xx has the branch of the INVITE (RFC 3261, 8.1.1.7 and 13.2.2.4)")
        if tag(ack, "To") is None:
            problems.append("the ACK has no To tag (RFC 3261, 12.2.1.1)")
    except MalformedMessage as error:
        problems.append(error.detail)
    return tuple(problems)
