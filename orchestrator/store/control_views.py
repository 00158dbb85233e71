"""Reading what control looks at: the marked units, their runs, and the drifts that were found. Never writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from lab_inventory.messages import CaseEnded, RunReport
from lab_inventory.programme import Purpose
from orchestrator.lifecycle.control import ControlState, DriftState
from orchestrator.lifecycle.run import RunState
from orchestrator.pipeline.control import POINTS_MAX, ControlRun, DriftView
from orchestrator.store import bench_views
from orchestrator.store import tables as t


def marked(connection: Connection) -> Mapping[str, str]:
    """The control devices with why they are."""
    c = t.controls.c
    rows = connection.execute(select(c.device, c.reason).where(c.state == ControlState.MARKED.value).order_by(c.device))
    return {row.device: row.reason for row in rows}


def open_batches(connection: Connection) -> Mapping[str, str]:
    """The control batches that go on, by the unit that each is bound to."""
    b, s = t.batches.c, t.submissions.c
    chosen = select(s.unit, b.batch).join(t.submissions, s.batch == b.batch)
    rows = connection.execute(chosen.where(b.purpose == Purpose.CONTROL.value, b.state.in_(["open", "held"])))
    return {row.unit: row.batch for row in rows}


def last_ended(connection: Connection, device: str) -> datetime | None:
    """When the last control run of a unit ended, however it did."""
    r = t.runs.c
    ended = connection.execute(
        _control_runs(r.ended_at)
        .where(r.device == device, r.ended_at.is_not(None))
        .order_by(r.ended_at.desc())
        .limit(1)
    ).scalar()
    return datetime.fromisoformat(ended) if ended else None


def control_runs(connection: Connection, host: str, slots: Sequence[str]) -> tuple[ControlRun, ...]:
    """The newest completed control runs at these slots, earliest first."""
    r = t.runs.c
    rows = connection.execute(
        _control_runs(r.run, r.ended_at)
        .where(r.host == host, r.slot.in_(slots), r.state == RunState.COMPLETED.value)
        .order_by(r.ended_at.desc(), r.run)
        .limit(POINTS_MAX)
    ).all()
    said: dict[str, list[CaseEnded]] = {row.run: [] for row in rows}
    reports = connection.execute(
        select(t.reports.c.run, t.reports.c.body)
        .where(t.reports.c.run.in_(said), t.reports.c.kind == "case-ended")
        .order_by(t.reports.c.run, t.reports.c.seq)
    )
    for row in reports:
        body = RunReport.model_validate_json(row.body).body
        if isinstance(body, CaseEnded):
            said[row.run].append(body)
    return tuple(
        ControlRun(run=row.run, at=datetime.fromisoformat(row.ended_at), ended=tuple(said[row.run]))
        for row in reversed(rows)
    )


def _control_runs(*columns: ColumnElement[Any]) -> Select[Any]:
    s, b = t.submissions.c, t.batches.c
    joined = t.runs.join(t.submissions, t.runs.c.submission == s.submission).join(t.batches, s.batch == b.batch)
    return select(*columns).select_from(joined).where(b.purpose == Purpose.CONTROL.value)


def drifts(connection: Connection, bench: str | None = None, *, only_open: bool = False) -> tuple[DriftView, ...]:
    """Drifts, newest first; of one bench, or of all."""
    d = t.drifts.c
    chosen = select(t.drifts).order_by(d.found_at.desc(), d.drift)
    if bench is not None:
        chosen = chosen.where(d.bench == bench)
    if only_open:
        chosen = chosen.where(d.state == DriftState.OPEN.value)
    return tuple(
        DriftView(
            drift=row.drift,
            bench=row.bench,
            chart=row.chart,
            run=row.run,
            words=row.words,
            state=DriftState(row.state),
            found_at=datetime.fromisoformat(row.found_at),
            explanation=row.explanation,
            explained_by=row.explained_by or "",
            explained_at=datetime.fromisoformat(row.explained_at) if row.explained_at else None,
            anew=bool(row.anew),
        )
        for row in connection.execute(chosen)
    )


def drifting_places(connection: Connection) -> frozenset[tuple[str, str]]:
    """The hosts and slots of benches with a drift that nobody has explained."""
    names = {one.bench for one in drifts(connection, only_open=True)}
    return frozenset(
        (view.host, slot.name)
        for view in (bench_views.benches(connection) if names else ())
        if view.bench.name in names
        for slot in view.bench.slots
    )


def wait_for_explanation(connection: Connection) -> frozenset[str]:
    """The open submissions of certification that were measured on a bench with a drift that nobody has explained."""
    places = drifting_places(connection)
    if not places:
        return frozenset()
    r, s, b = t.runs.c, t.submissions.c, t.batches.c
    joined = t.runs.join(t.submissions, r.submission == s.submission).join(t.batches, s.batch == b.batch)
    rows = connection.execute(
        select(s.submission, r.host, r.slot)
        .select_from(joined)
        .where(s.state == "open", b.purpose == Purpose.CERTIFICATION.value, r.host.is_not(None))
    )
    return frozenset(row.submission for row in rows if (row.host, row.slot) in places)


def drifts_of(connection: Connection, submission: str) -> tuple[DriftView, ...]:
    """The unexplained drifts of the benches that a submission was measured on."""
    r = t.runs.c
    rows = connection.execute(select(r.host, r.slot).where(r.submission == submission, r.host.is_not(None)))
    places = {(row.host, row.slot) for row in rows}
    benches = {
        view.bench.name
        for view in bench_views.benches(connection)
        if any((view.host, slot.name) in places for slot in view.bench.slots)
    }
    return tuple(one for one in drifts(connection, only_open=True) if one.bench in benches)
