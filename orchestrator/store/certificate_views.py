"""Reading certificates with what became of them."""

import json
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from orchestrator.lifecycle.certificate import Certificate, CertificateState, CertificateStatus
from orchestrator.pipeline.certificate_life import HOLDING, CertificateView
from orchestrator.store import tables as t
from orchestrator.store import views

c, li = t.certificates.c, t.certificate_links.c
DUE_MAX = 50
LINKS_MAX = 1000


def _status(row: Any, document: str | None = None) -> CertificateStatus:
    return CertificateStatus(
        certificate=row.certificate,
        state=CertificateState(row.state),
        ends_on=date.fromisoformat(row.ends_on) if row.ends_on else None,
        limits=row.limits,
        conditions=row.conditions,
        links=row.links,
        head=row.head,
        document=document,
    )


def _view(row: Any) -> CertificateView:
    content = Certificate.model_validate(json.loads(row.document)["certificate"])
    return CertificateView(certificate=content, status=_status(row))


def certificate(connection: Connection, name: str, vendor: str | None = None) -> CertificateView | None:
    """A certificate as it stands, or None; for a vendor only its own."""
    row = connection.execute(
        select(t.certificates)
        .join(t.submissions, t.submissions.c.submission == c.submission)
        .where(c.certificate == name, views.of_vendor(vendor))
    ).first()
    return _view(row) if row else None


def statuses(connection: Connection, *, with_documents: bool) -> tuple[CertificateStatus, ...]:
    """What holds of every certificate, by name; with the digest of each that links follow on where that is asked."""
    columns = (c.certificate, c.state, c.ends_on, c.limits, c.conditions, c.links, c.head, c.document_digest)
    return tuple(
        _status(row, row.document_digest if with_documents and row.links else None)
        for row in connection.execute(select(*columns).order_by(c.certificate))
    )


def signed_since(connection: Connection, at: datetime) -> tuple[CertificateView, ...]:
    """Certificates granted at ``at`` or later, the oldest first."""
    rows = connection.execute(select(t.certificates).order_by(c.at, c.certificate))
    return tuple(_view(row) for row in rows if datetime.fromisoformat(row.at) >= at)


def over(connection: Connection, today: date) -> tuple[CertificateView, ...]:
    """Certificates that hold and whose last day is over, the oldest first; at most ``DUE_MAX``."""
    where = c.state.in_(sorted(HOLDING)) & (c.ends_on < today.isoformat())
    return tuple(
        _view(row)
        for row in connection.execute(
            select(t.certificates).where(where).order_by(c.ends_on, c.certificate).limit(DUE_MAX)
        )
    )


def links(connection: Connection, name: str) -> tuple[str, ...]:
    """The signed links of a certificate in their order, as documents."""
    rows = connection.execute(select(li.document).where(li.certificate == name).order_by(li.number).limit(LINKS_MAX))
    return tuple(rows.scalars())
