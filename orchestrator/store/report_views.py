"""Reading what a test report is put together from, and the reports that were issued."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from lab_inventory.device import Registration
from orchestrator.lifecycle.run import PlacedCompanion
from orchestrator.reports.content import Recorded, RunRecord
from orchestrator.store import sample_views, views
from orchestrator.store import tables as t

r = t.test_reports.c
Row = dict[str, Any]
OF_SUBMISSION_MAX = 200


def recorded(connection: Connection, submission: str, vendor: str | None = None) -> Recorded | None:
    """Everything on record of a submission, or None; for a vendor only its own."""
    view = views.submission(connection, submission, vendor)
    programme = views.programme(connection, view.programme_digest) if view else None
    if view is None or programme is None:
        return None
    return Recorded(
        view=view,
        judgement=views.judgement(connection, submission),
        programme=programme,
        lab=views.lab(connection),
        runs=_runs(connection, submission),
        samples=sample_views.samples(connection, submission=submission),
    )


def _runs(connection: Connection, submission: str) -> tuple[RunRecord, ...]:
    rows = connection.execute(
        select(t.runs, t.devices.c.identity_value)
        .outerjoin(t.devices, t.devices.c.device == t.runs.c.device)
        .where(t.runs.c.submission == submission)
        .order_by(t.runs.c.attempt, t.runs.c.run)
    )
    return tuple(
        RunRecord(
            run=row.run,
            state=row.state,
            reason=row.reason,
            host=row.host or "",
            slot=row.slot or "",
            device=row.device or "",
            identity=row.identity_value or "",
            started_at=_time(row.started_at),
            ended_at=_time(row.ended_at),
            driver=_driver(row.registration),
            beside=tuple(_in_words(PlacedCompanion.model_validate(one)) for one in json.loads(row.companions or "[]")),
        )
        for row in rows
    )


def drivers(connection: Connection, submission: str) -> tuple[str, ...]:
    """Which drivers pressed the keys in a submission's runs, each once, in words."""
    placed = select(t.runs.c.registration).where(t.runs.c.submission == submission, t.runs.c.registration.is_not(None))
    rows = connection.execute(placed.order_by(t.runs.c.attempt, t.runs.c.run))
    return tuple(dict.fromkeys(words for text in rows.scalars() if (words := _driver(text))))


def _driver(registration: str | None) -> str:
    return Registration.model_validate_json(registration).driver_in_words() if registration else ""


def _in_words(beside: PlacedCompanion) -> str:
    unit = beside.registration
    what = f"{unit.product.maker} {unit.product.model} {unit.product.firmware}"
    return f"{beside.role} {what} ({unit.identity.value}) in {beside.slot}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def issued(connection: Connection, submission: str, vendor: str | None = None) -> list[Row]:
    """The reports of a submission, the newest first; for a vendor only of its own."""
    rows = connection.execute(
        select(r.number, r.state, r.amends, r.amended_by, r.document_digest, r.by, r.at)
        .join(t.submissions, t.submissions.c.submission == r.submission)
        .where(r.submission == submission, views.of_vendor(vendor))
        .order_by(r.at.desc(), r.number)
        .limit(OF_SUBMISSION_MAX)
    )
    return [dict(row._mapping) for row in rows]


def document(connection: Connection, number: str, vendor: str | None = None) -> tuple[str, str | None] | None:
    """A report as it was issued and the number of the one that took its place; None where there is none."""
    row = connection.execute(
        select(r.document, r.amended_by)
        .join(t.submissions, t.submissions.c.submission == r.submission)
        .where(r.number == number, views.of_vendor(vendor))
    ).first()
    return (row.document, row.amended_by) if row else None


def submission_of(connection: Connection, number: str) -> str | None:
    """Of which submission a report is, or None."""
    return connection.execute(select(r.submission).where(r.number == number)).scalar_one_or_none()
