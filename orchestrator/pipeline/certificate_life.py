"""What becomes of a certificate: from an order, or a day that has come, to the next link of its history. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from lab_inventory.errors import BadInput, Conflict, Problem
from lab_inventory.noun import Noun, Text, says_nothing
from orchestrator.lifecycle.certificate import (
    MACHINE,
    MOVES,
    Certificate,
    CertificateLink,
    CertificateState,
    CertificateStatus,
)
from orchestrator.lifecycle.certificate_moved import CertificateMoved


class Event(StrEnum):
    """What people can order."""

    CONFIRMED = "confirmed"
    SUSPENDED = "suspended"
    REINSTATED = "reinstated"
    REDUCED = "reduced"
    EXTENDED = "extended"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"


EXPIRED = "expired"
HOLDING = frozenset({CertificateState.PROVISIONAL, CertificateState.GRANTED})
"""The states in which a certificate holds, up to and including its last day."""
ENDED = MACHINE.terminal
"""The states that end a certificate for ever."""
EXPIRY_REASON = "Its last day is over."


class CertificateOrder(Noun):
    """An order. ``ends_on``: with ``extended`` and ``confirmed`` the new last day, None for no end.

    ``limits``: with ``reduced``.
    """

    event: Event
    reason: Text
    ends_on: date | None = None
    limits: Text = ""


@dataclass(frozen=True, kw_only=True)
class CertificateView:
    """A certificate with what holds of it now."""

    certificate: Certificate
    status: CertificateStatus


def against_order(order: CertificateOrder, now: CertificateStatus, today: date) -> tuple[Problem, ...]:
    """Everything that is wrong with an order but for the state that the certificate is in."""
    problems = []
    if says_nothing(order.reason):
        expected = "why, in a sentence: it stands in the history that everybody sees"
        problems.append(Problem(path="reason", wrong=f"says {order.reason!r}", expected=expected))
    if order.event is Event.EXTENDED:
        if order.ends_on is not None and order.ends_on < today:
            wrong = f"is {order.ends_on}, which is over"
            problems.append(Problem(path="ends_on", wrong=wrong, expected="today or later, or none for no end"))
        elif order.ends_on == now.ends_on:
            words = str(now.ends_on or "none")
            problems.append(Problem(path="ends_on", wrong=f"is {words} already", expected="another last day"))
        elif order.ends_on is None and now.conditions:
            problems.append(Problem(path="ends_on", wrong="is none", expected="a day: while something is open"))
    elif order.event is Event.CONFIRMED:
        if order.ends_on is not None and order.ends_on < today:
            wrong = f"is {order.ends_on}, which is over"
            problems.append(Problem(path="ends_on", wrong=wrong, expected="today or later, or none for no end"))
    elif order.ends_on is not None:
        expected = f"only with {Event.EXTENDED.value} and {Event.CONFIRMED.value}"
        problems.append(Problem(path="ends_on", wrong="is given", expected=expected))
    if order.event is Event.REDUCED:
        if says_nothing(order.limits) or order.limits == now.limits:
            wrong = f"says {order.limits!r}"
            problems.append(Problem(path="limits", wrong=wrong, expected="the new limits of use, in a sentence"))
    elif order.limits:
        problems.append(Problem(path="limits", wrong="is given", expected=f"only with {Event.REDUCED.value}"))
    return tuple(problems)


def next_link(of: CertificateView, order: CertificateOrder, by: str, now: datetime) -> CertificateLink:
    """The link that an order makes. Raises BadInput, and Conflict where the state does not allow it."""
    _require_move(of.status, order.event.value)
    if of.status.state is CertificateState.EXPIRED and of.status.conditions and order.event is Event.EXTENDED:
        raise Conflict(
            f"certificate {of.status.certificate} was provisional and expired with something open: it cannot be "
            "extended; what is settled by now is for a new submission"
        )
    problems = against_order(order, of.status, now.date())
    if problems:
        raise BadInput("the certificate stays as it is", problems=problems)
    ends_on = order.ends_on if order.event in (Event.EXTENDED, Event.CONFIRMED) else of.status.ends_on
    limits = order.limits if order.event is Event.REDUCED else of.status.limits
    return _link(of, order.event.value, order.reason, by, now, ends_on, limits)


def expiry(of: CertificateView, by: str, now: datetime) -> CertificateLink | None:
    """The link of a certificate whose last day is over, or None. What is suspended expires when it is reinstated."""
    ends_on = of.status.ends_on
    holds = of.status.state in HOLDING
    if not holds or ends_on is None or now.date() <= ends_on:
        return None
    return _link(of, EXPIRED, EXPIRY_REASON, by, now, ends_on, of.status.limits)


def moved(link: CertificateLink, document: str, document_digest: str) -> CertificateMoved:
    """The fact of a link that was signed."""
    return MOVES[link.event](
        certificate=link.certificate,
        number=link.number,
        ends_on=link.ends_on,
        limits=link.limits,
        conditions=link.conditions,
        document=document,
        document_digest=document_digest,
        by=link.by,
        at=link.at,
    )


def _link(
    of: CertificateView, event: str, reason: str, by: str, now: datetime, ends_on: date | None, limits: str
) -> CertificateLink:
    return CertificateLink(
        certificate=of.certificate.certificate,
        number=of.status.links + 1,
        previous=of.status.head,
        event=event,
        state=_require_move(of.status, event),
        ends_on=ends_on,
        limits=limits,
        conditions="" if event == Event.CONFIRMED else of.status.conditions,
        reason=reason,
        by=by,
        at=now,
        issuer=of.certificate.issuer,
        demonstration=of.certificate.demonstration,
        notice=of.certificate.notice,
    )


def _require_move(status: CertificateStatus, event: str) -> CertificateState:
    """The state after an event; raises Conflict where it does not follow from the state that is."""
    found = MACHINE.transitions.get((status.state, MOVES[event].__name__))
    if found is None:
        raise Conflict(f"certificate {status.certificate} is {status.state.value}: it cannot be {event}")
    return CertificateState(found)
