"""The desk for waivers: reads what was recorded, lets the rules decide, commits, answers."""

from datetime import date, datetime

from pydantic import Field

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, NotFound
from lab_inventory.programme import Programme
from orchestrator.authority.impediments import Impediment, require_none
from orchestrator.authority.waivers import against_approving, against_proposing
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.waiver import (
    MACHINE,
    Reason,
    WaiverApproved,
    WaiverLapsed,
    WaiverProposed,
    WaiverRefused,
    WaiverRevoked,
    WaiverScope,
    WaiverView,
)
from orchestrator.pipeline.waived import WaivedAt, covering
from orchestrator.store import past, review_views, views, waiver_views
from orchestrator.store.store import Reading, Store

BY_ITSELF = "assay"


class WaiverWanted(WaiverScope):
    """A waiver that is asked for. ``ends_on``: its last day, in UTC, at most a year ahead."""

    reason: Reason = Field(examples=["the vendor's fix is in firmware 2.1, due in spring"])
    ends_on: date = Field(examples=["2027-03-31"])

    @property
    def scope(self) -> WaiverScope:
        """What it is for."""
        return WaiverScope.model_validate(self.model_dump(exclude={"reason", "ends_on"}))


class Waiving:
    """Who asks for waivers, and who answers; safe to be called from several threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def propose(self, wanted: WaiverWanted, by: str) -> str:
        """Ask for a waiver; gives its id. Raises NotFound, and BadInput with every mistake."""
        with self._store.deciding() as connection:
            now = self._clock.now()
            programme, view = self._concerned(connection, wanted)
            problems = against_proposing(wanted.scope, wanted.ends_on, programme, view, now.date())
            if problems:
                raise BadInput("the waiver is not proposed", problems=problems)
            fact = WaiverProposed(
                waiver=self._clock.new_id("wai"),
                scope=wanted.scope,
                reason=wanted.reason,
                ends_on=wanted.ends_on,
                by=by,
                at=now,
            )
            self._store.commit([fact])
        return fact.waiver

    @staticmethod
    def _concerned(connection: Reading, wanted: WaiverWanted) -> tuple[Programme, SubmissionView | None]:
        """The programme version, and the submission that it is for, if one; raises NotFound."""
        programme = past.programme_named(connection, wanted.programme, wanted.programme_version)
        if wanted.submission is None:
            return programme, None
        view = views.submission(connection, wanted.submission)
        if view is None:
            raise NotFound(f"there is no submission {wanted.submission[:80]}")
        return programme, view

    def approve(self, waiver: str, by: str, reason: str) -> None:
        """Put it in force; raises NotFound, Conflict where it does not wait, Prevented with all that is against it."""
        with self._store.deciding() as connection:
            view = _there(connection, waiver)
            fact = WaiverApproved(waiver=waiver, by=by, reason=reason, at=self._clock.now())
            MACHINE.next(view.state, fact)
            require_none(waiver, self._against_approving(connection, view, by))
            self._store.commit([fact])

    def against(self, waiver: str, by: str) -> tuple[Impediment, ...]:
        """Why ``by`` cannot approve it now, all at once; raises NotFound."""
        with self._store.reading() as connection:
            return self._against_approving(connection, _there(connection, waiver), by)

    def _against_approving(self, connection: Reading, view: WaiverView, by: str) -> tuple[Impediment, ...]:
        submissions = waiver_views.concerned(connection, view.scope)
        product = view.scope.product
        return against_approving(
            view,
            by,
            parts=waiver_views.parts(connection, submissions, by),
            # Before anything of a product was submitted its maker is all that is known of whose it is.
            vendors=waiver_views.vendors(connection, submissions) | ({product.maker} if product else set()),
            of=review_views.vendors_of(connection, [by])[by],
            now=self._clock.now(),
        )

    def refuse(self, waiver: str, by: str, reason: str) -> None:
        """It is not approved; raises NotFound, and Conflict where it does not wait."""
        self._end(WaiverRefused(waiver=waiver, by=by, reason=reason, at=self._clock.now()))

    def revoke(self, waiver: str, by: str, reason: str) -> None:
        """It counts no more from now on; raises NotFound, and Conflict where it is not in force."""
        self._end(WaiverRevoked(waiver=waiver, by=by, reason=reason, at=self._clock.now()))

    def _end(self, fact: WaiverRefused | WaiverRevoked) -> None:
        with self._store.deciding() as connection:
            _there(connection, fact.waiver)
            self._store.commit([fact])


def waived_now(connection: Reading, view: SubmissionView, programme: Programme, now: datetime) -> WaivedAt:
    """What the waivers that are in force at this moment cover of a submission."""
    return covering(waiver_views.approved(connection, programme, view), view, programme, now)


def lapse_waivers(store: Store, now: datetime) -> bool:
    """Write down the end of waivers whose last day is over; True where there may be more."""
    with store.reading() as connection:
        if not waiver_views.due(connection, now.date()):
            return False
    with store.deciding() as connection:
        due = waiver_views.due(connection, now.date())
        facts: list[Fact] = [WaiverLapsed(waiver=waiver, by=BY_ITSELF, at=now) for waiver in due]
        if facts:
            store.commit(facts)
    return len(due) >= waiver_views.DUE_MAX


def _there(connection: Reading, waiver: str) -> WaiverView:
    view = waiver_views.waiver(connection, waiver)
    if view is None:
        raise NotFound(f"there is no waiver {waiver[:80]}")
    return view
