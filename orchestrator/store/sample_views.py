"""Reading samples: as they stand, their chain of custody, and what they are linked with. Never writes."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, true

from orchestrator.lifecycle.sample import HERE, Origin, SampleState, SampleView
from orchestrator.store import tables as t

PAGE_MAX = 200
Row = dict[str, Any]
s, links = t.samples.c, t.sample_submissions.c
_STANDS = [state.value for state in (SampleState.ANNOUNCED, *HERE, SampleState.LOST)]


def _view(row: Any) -> SampleView:
    return SampleView(
        sample=row.sample,
        state=SampleState(row.state),
        vendor=row.vendor,
        maker=row.maker,
        model=row.model,
        hardware_revision=row.hardware_revision,
        serial=row.serial,
        origin=Origin(row.origin) if row.origin else None,
        condition=row.condition,
        seal=row.seal,
        place=row.place,
        holder=row.holder,
        unit=row.unit,
        announced_at=datetime.fromisoformat(row.announced_at),
        received_at=datetime.fromisoformat(row.received_at) if row.received_at else None,
        changed_at=datetime.fromisoformat(row.changed_at),
    )


def _of_vendor(vendor: str | None) -> ColumnElement[bool]:
    return true() if vendor is None else s.vendor == vendor


def sample(connection: Connection, sample_id: str, vendor: str | None = None) -> SampleView | None:
    """One sample, or None; for a vendor only its own."""
    row = connection.execute(select(t.samples).where(s.sample == sample_id, _of_vendor(vendor))).first()
    return _view(row) if row else None


def samples(
    connection: Connection,
    *,
    vendor: str | None = None,
    state: str = "",
    origin: str = "",
    words: str = "",
    submission: str = "",
    limit: int = 50,
    offset: int = 0,
) -> list[SampleView]:
    """Samples, announced last first. ``words``: part of vendor, maker, model, serial or id; empty: any."""
    where = _of_vendor(vendor)
    if state:
        where &= s.state == state
    if origin:
        where &= s.origin == origin
    if words:
        columns = (s.sample, s.vendor, s.maker, s.model, s.serial)
        where &= or_(*(column.icontains(words, autoescape=True) for column in columns))
    if submission:
        where &= s.sample.in_(select(links.sample).where(links.submission == submission))
    chosen = select(t.samples).where(where).order_by(s.announced_at.desc(), s.sample)
    return [_view(row) for row in connection.execute(chosen.limit(min(limit, PAGE_MAX)).offset(offset))]


def of_serial(connection: Connection, maker: str, model: str, serial: str) -> tuple[SampleView, ...]:
    """The samples of the same maker and model under a serial, which were not given back or destroyed."""
    where = (s.maker == maker) & (s.model == model) & (s.serial == serial) & s.state.in_(_STANDS)
    return tuple(_view(row) for row in connection.execute(select(t.samples).where(where)))


def of_unit(connection: Connection, unit: str) -> tuple[SampleView, ...]:
    """The samples that are this registered unit and that the lab has."""
    where = (s.unit == unit) & s.state.in_([state.value for state in HERE])
    return tuple(_view(row) for row in connection.execute(select(t.samples).where(where)))


def submissions_of(connection: Connection, sample_id: str) -> list[str]:
    """The submissions that a sample is for."""
    chosen = select(links.submission).where(links.sample == sample_id).order_by(links.submission)
    return list(connection.execute(chosen).scalars())


def custody(connection: Connection, sample_id: str) -> list[Row]:
    """What happened to a sample, earliest first: ``fact``, and everything that was written down of it."""
    c = t.custody.c
    rows = connection.execute(select(c.fact, c.body).where(c.sample == sample_id).order_by(c.number))
    return [{"fact": row.fact, **json.loads(row.body)} for row in rows]


def shown(view: SampleView) -> Row:
    """A sample as API and pages tell of it."""
    return {
        "sample": view.sample,
        "state": view.state.value,
        "vendor": view.vendor,
        "maker": view.maker,
        "model": view.model,
        "hardware_revision": view.hardware_revision,
        "serial": view.serial,
        "origin": view.origin.value if view.origin else None,
        "condition": view.condition,
        "seal": view.seal,
        "place": view.place,
        "holder": view.holder,
        "unit": view.unit,
        "announced_at": view.announced_at.isoformat(),
        "received_at": view.received_at.isoformat() if view.received_at else None,
        "changed_at": view.changed_at.isoformat(),
    }
