"""Odd answers to a call of the phone: what it must take, what it must pass over (RFC 4475, 3.1; RFC 3261, 18). Pure.

Takes the phone's INVITE, gives the bytes of an answer. An answer that is taken is acknowledged, one that is passed over
is not, and the call goes on. What must be passed over stands first, so that one call serves for all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.instruments.sip_message import Request
from agents.instruments.sip_values import cseq, top_via


@dataclass(frozen=True, kw_only=True)
class TortureAnswer:
    """``odd`` says in a sentence what is odd, ``taken`` whether a phone must take it, ``clause`` where that stands."""

    slug: str
    odd: str
    clause: str
    taken: bool
    valid: bool
    build: Callable[[Request], bytes]


def _answer(
    invite: Request, start_line: str = "SIP/2.0 486 Busy Here", headers: Mapping[str, str | None] | None = None
) -> bytes:
    """A right failure with what is odd put in; None leaves a header out."""
    values: dict[str, str | None] = {
        "Via": ", ".join(invite.get_all("Via")),
        "From": invite.get("From"),
        "To": f"{invite.get('To')};tag=odd",
        "Call-ID": invite.get("Call-ID"),
        "CSeq": invite.get("CSeq"),
        "Content-Length": "0",
    }
    values |= headers or {}
    lines = [start_line, *(f"{name}: {value}" for name, value in values.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _elsewhere(invite: Request) -> str:
    """The phone's own Via, but of another host."""
    return (invite.get("Via") or "").replace(top_via(invite).host, "192.0.2.99", 1)


def _tortuous(invite: Request) -> bytes:
    lines = [
        "SIP/2.0 486 Besetzt: größer 語",
        f"v:\t{invite.get('Via')}",
        *(f"VIA  :\r\n {value}" for value in invite.get_all("Via")[1:]),
        f"f  :\r\n\t{invite.get('From')}",
        f"TO:   {invite.get('To')} ;\r\n  tag = odd;other",
        f"i:  {invite.get('Call-ID')}",
        f"cseq:\r\n  000{cseq(invite).sequence}   INVITE",
        'Warning: 399 bench.example "\\"quoted\\" 語"',
        "Odd: ;;,=",
        "l:   0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


ANSWERS: tuple[TortureAnswer, ...] = (
    TortureAnswer(
        slug="answer-overlarge-code",
        odd="The status of an answer is above what 32 bits hold.",
        clause="RFC 3261, 7.2 and 25.1 (three digits); RFC 4475, 3.1.2.19",
        taken=False,
        valid=False,
        build=lambda invite: _answer(invite, "SIP/2.0 4294967301 Busy Here"),
    ),
    TortureAnswer(
        slug="answer-content-length-too-large",
        odd="An answer is shorter than its Content-Length says.",
        clause="RFC 3261, 18.3 (it must be discarded)",
        taken=False,
        valid=False,
        build=lambda invite: _answer(invite, headers={"Content-Length": "999"}),
    ),
    TortureAnswer(
        slug="answer-for-another-host",
        odd="The Via of an answer names another host than the phone.",
        clause="RFC 3261, 18.1.2 (it must be discarded); RFC 4475, 3.3.10",
        taken=False,
        valid=False,
        build=lambda invite: _answer(invite, headers={"Via": _elsewhere(invite)}),
    ),
    TortureAnswer(
        slug="answer-with-two-vias",
        odd="An answer has a second Via, as if it were for somebody behind the phone.",
        clause="RFC 3261, 8.1.3.3",
        taken=False,
        valid=False,
        build=lambda invite: _answer(
            invite, headers={"Via": f"{invite.get('Via')}, SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKother"}
        ),
    ),
    TortureAnswer(
        slug="answer-of-another-method",
        odd="CSeq in an answer names another method than the request.",
        clause="RFC 3261, 17.1.3",
        taken=False,
        valid=False,
        build=lambda invite: _answer(invite, headers={"CSeq": f"{cseq(invite).sequence} OPTIONS"}),
    ),
    TortureAnswer(
        slug="answer-without-reason",
        odd="The reason phrase of an answer is empty.",
        clause="RFC 3261, 7.2 and 25.1; RFC 4475, 3.1.1.13",
        taken=True,
        valid=True,
        build=lambda invite: _answer(invite, "SIP/2.0 486 "),
    ),
    TortureAnswer(
        slug="answer-tortuous",
        odd="An answer has a reason phrase in UTF-8, folded lines, compact names, white space wherever it may be.",
        clause="RFC 3261, 7.3.1 and 25.1; RFC 4475, 3.1.1.1 and 3.1.1.12",
        taken=True,
        valid=True,
        build=_tortuous,
    ),
    TortureAnswer(
        slug="answer-unknown-code",
        odd="The status of an answer is one that nobody knows, 479.",
        clause="RFC 3261, 8.1.3.2 (treated as 400)",
        taken=True,
        valid=True,
        build=lambda invite: _answer(invite, "SIP/2.0 479 Nobody Knows"),
    ),
)
