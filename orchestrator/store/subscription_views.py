"""Reading subscriptions and what waits for them in the journal; counting what was delivered."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from orchestrator.lifecycle.subscription import SubscriptionState, Way
from orchestrator.pipeline.notify import EVENTS, ROWS_BEHIND_MAX, JournaledEvent, event_of
from orchestrator.store import tables as t

s, j = t.subscriptions.c, t.journal.c
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SubscriptionView:
    """A subscription as it stands; ``tries`` and ``failing_since`` are of the notice that is next."""

    subscription: str
    state: SubscriptionState
    way: Way
    target: str
    events: tuple[str, ...]
    secret: str
    delivered_seq: int
    tries: int
    failing_since: datetime | None
    next_try_at: datetime | None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _told(events: Iterable[str]) -> ColumnElement[bool]:
    """The condition that a row of the journal is one of these events."""
    return j.fact.in_([EVENTS[name] for name in events if name in EVENTS])


def number(connection: Connection) -> int:
    """How many subscriptions there are."""
    there = s.state != SubscriptionState.REMOVED.value
    return int(connection.execute(select(func.count()).select_from(t.subscriptions).where(there)).scalar_one())


def subscription(connection: Connection, name: str) -> SubscriptionView | None:
    """The subscription of that name that was not removed, or None."""
    found = _views(connection, (s.subscription == name) & (s.state != SubscriptionState.REMOVED.value))
    return found[0] if found else None


def live(connection: Connection) -> list[SubscriptionView]:
    """The subscriptions for which something may be sent."""
    return _views(connection, s.state == SubscriptionState.LIVE.value)


def _views(connection: Connection, where: Any) -> list[SubscriptionView]:
    rows = connection.execute(select(t.subscriptions).where(where).order_by(s.subscription))
    return [
        SubscriptionView(
            subscription=row.subscription,
            state=SubscriptionState(row.state),
            way=Way(row.way),
            target=row.target,
            events=tuple(row.events.split()),
            secret=row.secret,
            delivered_seq=row.delivered_seq,
            tries=row.tries,
            failing_since=_time(row.failing_since),
            next_try_at=_time(row.next_try_at),
        )
        for row in rows
    ]


def paused(connection: Connection) -> dict[str, str]:
    """The subscriptions that are paused, and why."""
    rows = connection.execute(
        select(s.subscription, s.reason).where(s.state == SubscriptionState.PAUSED.value).order_by(s.subscription)
    )
    return {row.subscription: row.reason for row in rows}


def next_event(connection: Connection, view: SubscriptionView, *, after: int) -> JournaledEvent | None:
    """The first row of the journal after ``after`` that this subscription is yet to be told of, or None."""
    columns = (j.seq, j.at, j.fact, j.machine, j.entity, j.body)
    row = connection.execute(
        select(*columns).where(j.seq > max(after, view.delivered_seq), _told(view.events)).order_by(j.seq).limit(1)
    ).first()
    if row is None:
        return None
    return JournaledEvent(
        seq=row.seq,
        event=event_of(row.fact),
        at=row.at,
        machine=row.machine,
        entity=row.entity,
        body=json.loads(row.body),
    )


def waiting(connection: Connection, events: Iterable[str], after: int) -> int:
    """How many rows of the journal wait to be told."""
    chosen = select(j.seq).where(j.seq > after, _told(events)).limit(ROWS_BEHIND_MAX).subquery()
    return int(connection.execute(select(func.count()).select_from(chosen)).scalar_one())


def listed(connection: Connection) -> list[Row]:
    """Every subscription and how it goes; never its secret."""
    rows = connection.execute(
        select(t.subscriptions).where(s.state != SubscriptionState.REMOVED.value).order_by(s.subscription)
    ).all()
    return [
        {
            "subscription": row.subscription,
            "state": row.state,
            "reason": row.reason,
            "way": row.way,
            "target": row.target,
            "events": row.events.split(),
            "by": row.by,
            "at": row.at,
            "waiting": waiting(connection, row.events.split(), row.delivered_seq),
            "delivered": row.delivered,
            "passed_over": row.passed_over,
            "delivered_at": row.delivered_at,
            "tries": row.tries,
            "next_try_at": row.next_try_at,
            "said": row.said,
        }
        for row in rows
    ]


def keep_delivered(connection: Connection, name: str, seq: int, now: datetime, said: str) -> None:
    """A notice arrived: the rows up to its own are done with."""
    connection.execute(
        update(t.subscriptions)
        .where(s.subscription == name, s.delivered_seq < seq)
        .values(
            delivered_seq=seq,
            delivered=s.delivered + 1,
            delivered_at=now.isoformat(),
            tries=0,
            failing_since=None,
            next_try_at=None,
            said=said,
        )
    )


def keep_failed(connection: Connection, view: SubscriptionView, now: datetime, again_at: datetime, said: str) -> None:
    """A notice did not arrive: when it is tried again, and what was said."""
    connection.execute(
        update(t.subscriptions)
        .where(s.subscription == view.subscription)
        .values(
            tries=view.tries + 1,
            failing_since=(view.failing_since or now).isoformat(),
            next_try_at=again_at.isoformat(),
            said=said,
        )
    )


def pass_over(connection: Connection, view: SubscriptionView, head: int) -> None:
    """Leave out what is further behind than is kept for a subscription, and count it."""
    after = head - ROWS_BEHIND_MAX
    if view.delivered_seq < after:
        gone = select(func.count()).where(j.seq > view.delivered_seq, j.seq <= after, _told(view.events))
        number = int(connection.execute(gone).scalar_one())
        values = {"delivered_seq": after, "passed_over": s.passed_over + number}
        connection.execute(update(t.subscriptions).where(s.subscription == view.subscription).values(values))
