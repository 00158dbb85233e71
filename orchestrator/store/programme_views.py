"""Reading which programmes there are: those that come with the product, and a lab's own."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from lab_inventory.programme import Programme
from lab_inventory.programme_terms import LifecycleState
from orchestrator.lifecycle.offering import OfferingState
from orchestrator.store import tables as t
from orchestrator.store import views


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One version of a programme that is kept. ``state``: of a lab's own ones."""

    id: str
    version: str
    digest: str
    offered: bool
    state: OfferingState | None

    @property
    def own(self) -> bool:
        """Whether it was added to this lab, and does not come with the product."""
        return self.state is not None


def versions(connection: Connection, programme_id: str | None = None) -> tuple[Kept, ...]:
    """Everything that is kept of a programme, or of all; in the order of names and versions."""
    p, o = t.programmes.c, t.offerings.c
    query = (
        select(p.id, p.version, p.digest, p.offered, o.state)
        .outerjoin(t.offerings, o.digest == p.digest)
        .order_by(p.id, p.version, p.digest)
    )
    if programme_id is not None:
        query = query.where(p.id == programme_id)
    return tuple(
        Kept(
            id=row.id,
            version=row.version,
            digest=row.digest,
            offered=row.offered,
            state=OfferingState(row.state) if row.state else None,
        )
        for row in connection.execute(query)
    )


def counted(connection: Connection) -> tuple[Programme, ...]:
    """The programmes whose submissions are counted: those that are offered, and a lab's own ones that were."""
    p = t.programmes.c
    return views.programmes(connection, p.offered | p.digest.in_(select(t.offerings.c.digest)))


def open_on(connection: Connection, programme_id: str, today: date) -> bool:
    """Whether some version of a programme is offered, and by its own dates not withdrawn on a day (UTC)."""
    return any(
        one.id == programme_id and (one.lifecycle is None or one.lifecycle.on(today) is not LifecycleState.WITHDRAWN)
        for one in views.programmes(connection)
    )
