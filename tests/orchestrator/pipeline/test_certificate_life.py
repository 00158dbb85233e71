"""What becomes of a certificate: which order makes which link, and which is refused."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from lab_inventory.canonical import sha256
from lab_inventory.errors import BadInput, Conflict
from orchestrator.lifecycle.certificate import CertificateLink, CertificateState, CertificateStatus
from orchestrator.pipeline.certificate_life import CertificateOrder, CertificateView, Event, expiry, next_link
from tests.orchestrator.test_signing import CERTIFICATE

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
WHY = "The firmware that is sold is another."
VIEW = CertificateView(
    certificate=CERTIFICATE,
    status=CertificateStatus(
        certificate=CERTIFICATE.certificate,
        state=CertificateState.GRANTED,
        ends_on=None,
        limits="",
        links=0,
        head=sha256(b"certificate"),
    ),
)


def standing(**change: Any) -> CertificateView:
    return replace(VIEW, status=VIEW.status.model_copy(update=change))


def order(event: Event, view: CertificateView = VIEW, **more: Any) -> CertificateLink:
    return next_link(view, CertificateOrder(event=event, reason=more.pop("reason", WHY), **more), "dora", NOW)


def test_a_link_follows_on_the_newest_document_and_says_what_holds_now() -> None:
    link = order(
        Event.SUSPENDED, standing(links=2, head=sha256(b"link 2"), ends_on=date(2030, 1, 1), limits="Indoors.")
    )
    assert (link.number, link.previous, link.state) == (3, sha256(b"link 2"), CertificateState.SUSPENDED)
    assert (link.ends_on, link.limits, link.reason, link.by) == (date(2030, 1, 1), "Indoors.", WHY, "dora")
    assert (link.demonstration, link.notice) == (True, CERTIFICATE.notice)


def test_it_is_extended_to_a_day_or_for_ever() -> None:
    assert order(Event.EXTENDED, ends_on=date(2031, 8, 15)).ends_on == date(2031, 8, 15)
    assert order(Event.EXTENDED, standing(ends_on=TODAY)).ends_on is None
    assert order(Event.EXTENDED, ends_on=TODAY).ends_on == TODAY


def test_what_expired_holds_again_when_it_is_extended() -> None:
    gone = standing(state=CertificateState.EXPIRED, ends_on=date(2026, 1, 1))
    assert order(Event.EXTENDED, gone, ends_on=date(2027, 1, 1)).state is CertificateState.GRANTED


@pytest.mark.parametrize(
    ("event", "more", "path"),
    [
        (Event.REVOKED, {"reason": "TBD"}, "reason"),
        (Event.EXTENDED, {"ends_on": date(2026, 11, 24)}, "ends_on"),
        (Event.EXTENDED, {}, "ends_on"),
        (Event.SUSPENDED, {"ends_on": date(2030, 1, 1)}, "ends_on"),
        (Event.REDUCED, {}, "limits"),
        (Event.REDUCED, {"limits": "N/A"}, "limits"),
        (Event.REVOKED, {"limits": "Indoors."}, "limits"),
    ],
)
def test_an_order_that_says_too_little_or_too_much_is_refused(event: Event, more: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as refused:
        order(event, **more)
    assert [problem.path for problem in refused.value.problems] == [path]


@pytest.mark.parametrize("state", [CertificateState.REVOKED, CertificateState.WITHDRAWN])
@pytest.mark.parametrize("event", Event)
def test_nothing_becomes_of_what_has_ended_for_ever(state: CertificateState, event: Event) -> None:
    with pytest.raises(Conflict, match=f"is {state.value}: it cannot be {event.value}"):
        order(event, standing(state=state))


def test_it_expires_on_the_day_after_its_last_and_never_while_it_is_suspended() -> None:
    assert expiry(standing(ends_on=None), "assay", NOW) is None
    assert expiry(standing(ends_on=TODAY), "assay", NOW) is None
    over = standing(ends_on=date(2026, 11, 24))
    link = expiry(over, "assay", NOW)
    assert link is not None
    assert (link.state, link.event, link.ends_on) == (CertificateState.EXPIRED, "expired", date(2026, 11, 24))
    suspended = standing(ends_on=date(2026, 11, 24), state=CertificateState.SUSPENDED)
    assert expiry(suspended, "assay", NOW) is None
