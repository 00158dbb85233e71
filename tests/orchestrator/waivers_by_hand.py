"""Waivers of the small programme, as they stand in each state."""

from datetime import date, timedelta

import small_programme as small

from orchestrator.lifecycle.waiver import (
    WaivedProduct,
    WaiverApproved,
    WaiverProposed,
    WaiverRefused,
    WaiverRevoked,
    WaiverScope,
    WaiverState,
    WaiverView,
)

TODAY = small.NOW.date()
LATER = TODAY + timedelta(days=90)
PRODUCT = WaivedProduct(maker="Acme", model="One", hardware_revision="A")


def scope(
    requirement: str = "R-2",
    *levels: str,
    programme: str = "small",
    version: str = "1.0",
    product: WaivedProduct | None = PRODUCT,
    submission: str | None = None,
) -> WaiverScope:
    return WaiverScope(
        programme=programme,
        programme_version=version,
        requirement=requirement,
        levels=levels or ("works-with",),
        product=None if submission else product,
        submission=submission,
    )


def waiver(
    of: WaiverScope | None = None,
    state: WaiverState = WaiverState.APPROVED,
    *,
    name: str = "wai-1",
    ends_on: date = LATER,
    by: str = "ann",
    approver: str = "dan",
) -> WaiverView:
    """A waiver in a state, with all that led to it."""
    proposed = WaiverProposed(
        waiver=name, scope=of or scope(), reason="fixed in spring", ends_on=ends_on, by=by, at=small.NOW
    )
    said = {"waiver": name, "by": approver, "reason": "a small risk", "at": small.NOW}
    was_approved = state in (WaiverState.APPROVED, WaiverState.REVOKED, WaiverState.LAPSED)
    end: WaiverRefused | WaiverRevoked | None = None
    if state is WaiverState.REFUSED:
        end = WaiverRefused.model_validate(said)
    elif state is WaiverState.REVOKED:
        end = WaiverRevoked.model_validate(said)
    return WaiverView(
        waiver=name,
        state=state,
        proposed=proposed,
        approval=WaiverApproved.model_validate(said) if was_approved else None,
        end=end,
    )
