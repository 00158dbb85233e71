"""The public listing: every certificate as it stood at the end of a day, or as it stands now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from orchestrator.lifecycle.certificate import CertificateState
from orchestrator.store import tables as t

Row = dict[str, Any]
PAGE = 50
c, s, li, r = t.certificates.c, t.submissions.c, t.certificate_links.c, t.test_reports.c
SEARCHED = (s.vendor, s.maker, s.model, s.hardware_revision, s.firmware, c.certificate)


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What is looked for. ``words``: each stands somewhere in vendor, maker, model, hardware, firmware or certificate.

    ``on``: as it was at the end of that day (UTC); None: now.
    """

    words: tuple[str, ...] = ()
    state: CertificateState | None = None
    programme: str | None = None
    level: str | None = None
    on: date | None = None


def listing(connection: Connection, sought: Sought, *, page: int = 1) -> tuple[list[Row], int]:
    """One page of the listing, the newest certificate first, and how many there are on all pages."""
    before = (sought.on + timedelta(days=1)).isoformat() if sought.on else None
    query = _query(sought, before)
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    rows = connection.execute(query.order_by(c.at.desc(), c.certificate).limit(PAGE).offset((page - 1) * PAGE)).all()
    reports = _reports(connection, [row.submission for row in rows], before)
    return [_listed(row, reports) for row in rows], total


def _query(sought: Sought, before: str | None) -> Select[Any]:
    """Certificates with their last link; every time is UTC as ISO text, so that text sorts as time."""
    last = select(func.max(li.number)).where(li.certificate == c.certificate)
    if before is not None:
        last = last.where(li.at < before)
    state = func.coalesce(li.state, c.granted_as).label("state")
    query = (
        select(c.certificate, c.submission, c.document, c.at, state)
        .add_columns(li.document.label("link"), li.ends_on, li.limits, li.at.label("since"))
        .join(t.submissions, s.submission == c.submission)
        .join(t.batches, t.batches.c.batch == s.batch)
        .outerjoin(
            t.certificate_links,
            and_(li.certificate == c.certificate, li.number == last.correlate(t.certificates).scalar_subquery()),
        )
    )
    if before is not None:
        query = query.where(c.at < before)
    if sought.state is not None:
        query = query.where(state == sought.state.value)
    if sought.programme is not None:
        # A submission's own programme stands in what was submitted; quotes within its texts are escaped there.
        own = s.content.contains('"programme":{"id":"', autoescape=True)
        named = s.content.contains(f'"programme":{{"id":"{sought.programme}"', autoescape=True)
        query = query.where(or_(named, and_(~own, t.batches.c.programme == sought.programme)))
    if sought.level is not None:
        query = query.where(c.level == sought.level)
    return query.where(*(_holds(word) for word in sought.words))


def _holds(word: str) -> ColumnElement[bool]:
    return or_(*(column.icontains(word, autoescape=True) for column in SEARCHED))


def _reports(connection: Connection, submissions: list[str], before: str | None) -> Mapping[str, str]:
    """The number of the newest report of each submission, as it was then."""
    query = select(r.submission, r.number).where(r.submission.in_(submissions)).order_by(r.at, r.number)
    if before is not None:
        query = query.where(r.at < before)
    return {row.submission: row.number for row in connection.execute(query)}


def _listed(row: Any, reports: Mapping[str, str]) -> Row:
    said = json.loads(row.document)["certificate"]
    # What a link says holds from then on; before there was one, what the certificate says itself.
    given = said.get("provisional") or {"ends_on": None, "conditions": ""}
    return {
        "certificate": row.certificate,
        "vendor": said["vendor"],
        "maker": said["product"]["maker"],
        "model": said["product"]["model"],
        "hardware_revision": said["hardware_revision"],
        "firmware": said["product"]["firmware"],
        "components": [f"{part['name']} {part['version']}" for part in said.get("components", ())],
        "companions": [f"{one['kind']} {one['product']} {one['version']}" for one in said.get("companions", ())],
        "region": said.get("region"),
        "mode": said["mode"],
        "level": said["level"],
        "level_title": said["level_title"],
        "programme": said["programme"],
        "programme_version": said["programme_version"],
        "profile": said["profile"],
        "designations": said.get("designations", []),
        "demonstration": said["demonstration"],
        "granted_at": said["granted_at"],
        "ends_on": row.ends_on if row.link else given["ends_on"],
        "conditions": json.loads(row.link)["link"].get("conditions", "") if row.link else given["conditions"],
        "limits": row.limits or "",
        "state": row.state,
        "since": row.since or row.at,
        "report": reports.get(row.submission),
    }
