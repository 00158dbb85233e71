"""Reading what quarantine looks at: what is out, and how the last runs on a unit or a bench ended. Never writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from lab_inventory.messages import BenchChecked, CaseEnded, CaseStatus, DeviceIdentified, ReportBody, RunReport
from orchestrator.lifecycle.quarantine import QuarantineState
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.snapshot import EndedRun, QuarantineView
from orchestrator.store import tables as t


def quarantines(connection: Connection) -> Mapping[str, QuarantineView]:
    """The units and benches that are out, by resource."""
    rows = connection.execute(
        select(t.quarantines)
        .where(t.quarantines.c.state != QuarantineState.ENDED.value)
        .order_by(t.quarantines.c.resource)
    )
    return {
        row.resource: QuarantineView(
            resource=row.resource,
            state=QuarantineState(row.state),
            reason=row.reason,
            since=datetime.fromisoformat(row.since),
            attempts=row.attempts,
            batch=row.batch,
        )
        for row in rows
    }


def ended_run(connection: Connection, run_id: str) -> EndedRun | None:
    """A run that has ended on some unit, or None."""
    r = t.runs.c
    where = (r.run == run_id) & r.ended_at.is_not(None) & r.device.is_not(None)
    row = connection.execute(select(r.run, r.device, r.state, r.reason, r.companions).where(where)).first()
    return _with_reports(connection, [row])[0] if row else None


def ended_runs_of_device(connection: Connection, device_id: str, most: int) -> tuple[EndedRun, ...]:
    """The last runs on a unit that have ended since it was last in quarantine, newest first."""
    return _ended_runs(connection, f"device:{device_id}", t.runs.c.device == device_id, most)


def ended_runs_of_bench(
    connection: Connection, bench: str, host: str, slots: Sequence[str], most: int
) -> tuple[EndedRun, ...]:
    """The last runs at the slots of a bench that have ended since it was last in quarantine, newest first."""
    at_it = (t.runs.c.host == host) & t.runs.c.slot.in_(slots)
    return _ended_runs(connection, f"bench:{bench}", at_it, most)


def _ended_runs(connection: Connection, resource: str, where: ColumnElement[bool], most: int) -> tuple[EndedRun, ...]:
    since = connection.execute(
        select(t.quarantines.c.ended_at).where(t.quarantines.c.resource == resource)
    ).scalar_one_or_none()
    r = t.runs.c
    rows = connection.execute(
        select(r.run, r.device, r.state, r.reason, r.companions)
        .where(where, r.ended_at.is_not(None), r.ended_at > (since or ""))
        .order_by(r.ended_at.desc(), r.run)
        .limit(most)
    ).all()
    return _with_reports(connection, rows)


def _with_reports(connection: Connection, rows: Sequence[Any]) -> tuple[EndedRun, ...]:
    said: dict[str, list[ReportBody]] = {row.run: [] for row in rows}
    kinds = ("bench-checked", "device-identified", "case-ended", "started")
    bodies = connection.execute(
        select(t.reports.c.run, t.reports.c.body).where(t.reports.c.run.in_(said), t.reports.c.kind.in_(kinds))
    )
    for row in bodies:
        said[row.run].append(RunReport.model_validate_json(row.body).body)
    return tuple(_ended_run(row, said[row.run]) for row in rows)


def _ended_run(row: Any, said: Sequence[ReportBody]) -> EndedRun:
    checks = [body.passed for body in said if isinstance(body, BenchChecked)]
    in_error = [body for body in said if isinstance(body, CaseEnded) and body.status is CaseStatus.ERROR]
    return EndedRun(
        run=row.run,
        device=row.device,
        state=RunState(row.state),
        reason=row.reason or next((f"{body.case}: {body.reason}" for body in in_error), ""),
        reported=bool(said),
        bench_passed=all(checks) if checks else None,
        identified=any(isinstance(body, DeviceIdentified) and body.same for body in said),
        cases_in_error=len(in_error),
        accompanied=bool(row.companions),
    )
