"""Reliable provisional responses: RSeq, RAck, and what is wrong with them (RFC 3262). Pure.

Takes messages, gives values and problems in words, each with its clause.
"""

import re

from agents.instruments.sip_message import Request, Response
from agents.instruments.sip_values import cseq, tokens

OPTION_TAG = "100rel"
_RSEQ = re.compile(r"[0-9]{1,10}")
_RACK = re.compile(r"([0-9]{1,10})\s+([0-9]{1,10})\s+(\S+)")


def rseq(response: Response) -> int | None:
    """The number in RSeq; None where there is none or it is outside 1 to 2**32 - 1 (RFC 3262, 7.1)."""
    value = response.get("RSeq") or ""
    return int(value) if _RSEQ.fullmatch(value) and 1 <= int(value) < 1 << 32 else None


def rack(response_number: int, invite: Request) -> str:
    """The RAck that acknowledges this response number of this INVITE (RFC 3262, 7.2)."""
    return f"{response_number} {cseq(invite).sequence} INVITE"


def reliable_problems(response: Response) -> tuple[str, ...]:
    """What keeps a provisional response from being a reliable one (RFC 3262, 3)."""
    problems: list[str] = []
    if OPTION_TAG not in tokens(response, "Require"):
        problems.append(f"{response.status} has no Require: 100rel (RFC 3262, 3)")
    if rseq(response) is None:
        problems.append(f"{response.status} has no RSeq of 1 to 2**32 - 1 (RFC 3262, 3 and 7.1)")
    return tuple(problems)


def prack_problems(prack: Request, *, response_number: int, invite: Request) -> tuple[str, ...]:
    """What is wrong with the PRACK for one reliable response to this INVITE (RFC 3262, 4 and 7.2)."""
    match = _RACK.fullmatch(prack.get("RAck") or "")
    if match is None:
        return ("PRACK has no RAck of response number, CSeq number and method (RFC 3262, 7.2)",)
    wanted = rack(response_number, invite)
    problems: list[str] = []
    if (int(match[1]), int(match[2]), match[3]) != (response_number, cseq(invite).sequence, "INVITE"):
        problems.append(f"RAck is {prack.get('RAck')!r}, {wanted!r} was due (RFC 3262, 4)")
    if cseq(prack).sequence <= cseq(invite).sequence:
        problems.append("the CSeq number of PRACK is not above that of the INVITE (RFC 3261, 12.2.1.1)")
    return tuple(problems)
