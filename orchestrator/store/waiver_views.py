"""Reading waivers: as they stand, those in force, and who took part in what they are for. Never writes."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, true

from lab_inventory.programme import Programme
from orchestrator.authority.impediments import Part
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.waiver import (
    FACTS,
    WaiverApproved,
    WaiverProposed,
    WaiverRefused,
    WaiverRevoked,
    WaiverScope,
    WaiverState,
    WaiverView,
)
from orchestrator.store import review_views
from orchestrator.store import tables as t
from orchestrator.store.listings import PAGE_MAX

DUE_MAX = 100
Row = dict[str, Any]
w, e = t.waivers.c, t.waiver_entries.c


def _views(connection: Connection, rows: Iterable[Any]) -> list[WaiverView]:
    """Waivers in the order of ``rows``, each put together from what happened to it."""
    states = {row.waiver: WaiverState(row.state) for row in rows}
    facts: dict[str, list[Any]] = {waiver: [] for waiver in states}
    entries = select(e.waiver, e.fact, e.body).where(e.waiver.in_(list(states))).order_by(e.waiver, e.number)
    for entry in connection.execute(entries):
        facts[entry.waiver].append(FACTS[entry.fact].model_validate_json(entry.body))
    return [
        WaiverView(
            waiver=waiver,
            state=state,
            proposed=next(one for one in facts[waiver] if isinstance(one, WaiverProposed)),
            approval=next((one for one in facts[waiver] if isinstance(one, WaiverApproved)), None),
            end=next((one for one in facts[waiver] if isinstance(one, WaiverRefused | WaiverRevoked)), None),
        )
        for waiver, state in states.items()
    ]


def waiver(connection: Connection, waiver_id: str) -> WaiverView | None:
    """One waiver, or None."""
    return named(connection, [waiver_id]).get(waiver_id)


def named(connection: Connection, waivers: Iterable[str]) -> Mapping[str, WaiverView]:
    """Those of these waivers that there are, by id."""
    wanted = sorted(waivers)
    if not wanted:
        return {}
    rows = connection.execute(select(w.waiver, w.state).where(w.waiver.in_(wanted))).all()
    return {view.waiver: view for view in _views(connection, rows)}


def waivers(
    connection: Connection,
    *,
    state: WaiverState | None = None,
    programme: str = "",
    limit: int = 50,
    offset: int = 0,
) -> list[WaiverView]:
    """Waivers, those first that end first. ``programme``: of any version of it alone."""
    where: ColumnElement[bool] = true() if state is None else w.state == state.value
    if programme:
        where &= w.programme == programme
    chosen = select(w.waiver, w.state).where(where).order_by(w.ends_on, w.waiver)
    rows = connection.execute(chosen.limit(min(limit, PAGE_MAX)).offset(offset)).all()
    return _views(connection, rows)


def approved(connection: Connection, programme: Programme, view: SubmissionView) -> list[WaiverView]:
    """The approved waivers that are of a programme version and may be for a submission: what counts, judging says."""
    product = view.content.product
    of_it = (w.programme == programme.id) & (w.programme_version == programme.version)
    of_product = (w.maker == product.maker) & (w.model == product.model)
    for_it = or_(w.submission == view.submission, of_product)
    chosen = select(w.waiver, w.state).where(of_it, for_it, w.state == WaiverState.APPROVED.value).order_by(w.waiver)
    return _views(connection, connection.execute(chosen).all())


def due(connection: Connection, today: date) -> tuple[str, ...]:
    """Waivers that wait or are in force, and whose last day is before ``today``: at most :data:`DUE_MAX`."""
    open_ones = w.state.in_([WaiverState.PROPOSED.value, WaiverState.APPROVED.value])
    chosen = select(w.waiver).where(open_ones, w.ends_on < today.isoformat()).order_by(w.waiver).limit(DUE_MAX)
    return tuple(connection.execute(chosen).scalars())


def concerned(connection: Connection, scope: WaiverScope) -> tuple[str, ...]:
    """The submissions that a waiver is for: the one it names, or all of its product under any of its versions."""
    if scope.product is None:
        return (scope.submission,) if scope.submission else ()
    s, b, of = t.submissions.c, t.batches.c, scope.product
    is_it = (s.maker == of.maker) & (s.model == of.model) & (s.hardware_revision == of.hardware_revision)
    chosen = select(s.submission).join(t.batches, b.batch == s.batch).where(is_it, b.programme == scope.programme)
    return tuple(connection.execute(chosen.order_by(s.submission)).scalars())


def parts(connection: Connection, submissions: Iterable[str], person: str) -> tuple[Part, ...]:
    """What somebody did in the evaluation of any of these, or in submitting it."""
    if not review_views.ever_took_part(connection, person):
        # A product may have thousands of submissions; as a rule who approves never touched the lab at all.
        return ()
    found = (part for submission in submissions for part in review_views.parts(connection, submission))
    return tuple(dict.fromkeys(part for part in found if part.person == person))


def vendors(connection: Connection, submissions: Iterable[str]) -> frozenset[str]:
    """The vendors of these submissions."""
    s = t.submissions.c
    chosen = select(s.vendor).where(s.submission.in_(list(submissions))).distinct()
    return frozenset(connection.execute(chosen).scalars())


def shown(view: WaiverView) -> Row:
    """A waiver for people and programs."""
    proposed, approval, end = view.proposed, view.approval, view.end
    return {
        "waiver": view.waiver,
        "state": view.state.value,
        "scope": view.scope.model_dump(mode="json"),
        "words": view.scope.words,
        "reason": proposed.reason,
        "author": proposed.by,
        "proposed_at": proposed.at.isoformat(),
        "ends_on": proposed.ends_on.isoformat(),
        "approver": approval.by if approval else None,
        "approved_at": approval.at.isoformat() if approval else None,
        "approved_because": approval.reason if approval else None,
        "ended_by": end.by if end else None,
        "ended_at": end.at.isoformat() if end else None,
        "ended_because": end.reason if end else None,
    }


def used_by(connection: Connection, view: WaiverView) -> tuple[str, ...]:
    """The submissions that were judged with a waiver, earliest first; at most :data:`PAGE_MAX`."""
    j = t.judgements.c
    # A verdict names its waiver, and in no text of a judgement do these quotes stand without a backslash.
    names_it = j.body.contains(f'"waiver":"{view.waiver}"', autoescape=True)
    chosen = select(j.submission).where(j.submission.in_(concerned(connection, view.scope)), names_it)
    return tuple(connection.execute(chosen.order_by(j.at, j.submission).limit(PAGE_MAX)).scalars())
