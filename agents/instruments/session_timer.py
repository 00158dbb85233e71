"""Session timers: Session-Expires and Min-SE read, and when something is due (RFC 4028). Pure."""

import re
from dataclasses import dataclass

from agents.instruments.sip_message import SipMessage

OPTION_TAG = "timer"
INTERVAL_S_MIN = 90
"""No session interval is shorter (RFC 4028, 4)."""
_SECONDS = re.compile(r"\s*([0-9]{1,9})\s*(?:;|$)")
_REFRESHER = re.compile(r";\s*refresher\s*=\s*(uac|uas)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SessionExpires:
    """The interval in seconds, and who refreshes: ``uac``, ``uas`` or nobody named."""

    interval_s: int
    refresher: str | None


def session_expires(message: SipMessage) -> SessionExpires | None:
    """Session-Expires of a message; None where it is missing or no number stands in it."""
    value = message.get("Session-Expires") or ""
    match = _SECONDS.match(value)
    if match is None:
        return None
    named = _REFRESHER.search(value)
    return SessionExpires(interval_s=int(match[1]), refresher=named[1].lower() if named else None)


def min_se_s(message: SipMessage) -> int | None:
    """Min-SE in seconds; None where it is missing or no number stands in it."""
    match = _SECONDS.match(message.get("Min-SE") or "")
    return int(match[1]) if match else None


def bye_due_s(interval_s: float) -> float:
    """From the last refresh to the BYE of who waits in vain: min(32 s, a third) before it expires (RFC 4028, 10)."""
    return interval_s - min(32.0, interval_s / 3)


def acceptance_problems(answer: SessionExpires | None, *, asked_s: int, refresher: str) -> tuple[str, ...]:
    """What is wrong with the Session-Expires of a 200 to an INVITE that asked for ``asked_s`` and this refresher."""
    if answer is None:
        return ("the 200 has no Session-Expires (RFC 4028, 9)",)
    problems: list[str] = []
    if not min(INTERVAL_S_MIN, asked_s) <= answer.interval_s <= asked_s:
        wanted = f"{asked_s} were asked for"
        problems.append(f"the 200 says {answer.interval_s} s, {wanted}: it may lower that, not below 90 (RFC 4028, 9)")
    if answer.refresher != refresher:
        problems.append(f"refresher is {answer.refresher or 'not named'} in the 200, not {refresher} (RFC 4028, 9)")
    return tuple(problems)
