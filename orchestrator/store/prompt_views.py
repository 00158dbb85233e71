"""Reading prompts: what people are asked to measure, what became of it, and whose time is over."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, true

from lab_inventory.programme import Programme
from orchestrator.lifecycle.prompt import CLOSED, ENTRIES, PromptState, PromptView
from orchestrator.store import tables as t

Row = dict[str, Any]
PAGE_MAX = 200
DUE_MAX = 200
p, s = t.prompts.c, t.submissions.c

_UNCLOSED = [state.value for state in PromptState if state not in CLOSED]


def unclosed() -> ColumnElement[bool]:
    """The condition that a prompt still waits for somebody."""
    return p.state.in_(_UNCLOSED)


def _of_vendor(vendor: str | None) -> ColumnElement[bool]:
    return true() if vendor is None else s.vendor == vendor


def prompt(connection: Connection, name: str, vendor: str | None = None) -> PromptView | None:
    """One prompt with everything that became of it, or None; for a vendor only of its own submissions."""
    row = connection.execute(
        select(t.prompts).join(t.submissions, s.submission == p.submission).where(p.prompt == name, _of_vendor(vendor))
    ).first()
    return _views(connection, [row])[0] if row else None


def of_submission(connection: Connection, submission: str) -> tuple[PromptView, ...]:
    """The prompts of a submission, in the order of their names."""
    rows = connection.execute(select(t.prompts).where(p.submission == submission).order_by(p.prompt)).all()
    return tuple(_views(connection, rows))


def _views(connection: Connection, rows: Iterable[Any]) -> list[PromptView]:
    found = list(rows)
    e = t.prompt_entries.c
    entries: dict[str, list[Any]] = {row.prompt: [] for row in found}
    chosen = select(e.prompt, e.kind, e.body).where(e.prompt.in_(list(entries))).order_by(e.prompt, e.place)
    for entry in connection.execute(chosen) if found else ():
        entries[entry.prompt].append(ENTRIES[entry.kind].model_validate_json(entry.body))
    return [
        PromptView(
            prompt=row.prompt,
            submission=row.submission,
            requirement=row.requirement,
            state=PromptState(row.state),
            second_person=row.second_person,
            opened_at=datetime.fromisoformat(row.opened_at),
            due_at=datetime.fromisoformat(row.due_at),
            entries=tuple(entries[row.prompt]),
        )
        for row in found
    ]


def waiting_of(connection: Connection, *, submission: str | None = None, batch: str | None = None) -> tuple[str, ...]:
    """The prompts of a submission or of a batch that still wait for somebody, in the order of their names."""
    query = select(p.prompt).join(t.submissions, s.submission == p.submission).where(unclosed()).order_by(p.prompt)
    chosen = query.where(s.submission == submission) if submission is not None else query.where(s.batch == batch)
    return tuple(connection.execute(chosen).scalars())


def due(connection: Connection, now: datetime) -> tuple[str, ...]:
    """Prompts that still wait and whose time is over, the longest first, at most :data:`DUE_MAX`."""
    over = select(p.prompt).where(unclosed(), p.due_at <= now.isoformat()).order_by(p.due_at, p.prompt)
    return tuple(connection.execute(over.limit(DUE_MAX)).scalars())


def count_open(connection: Connection) -> int:
    """How many prompts wait for somebody."""
    return int(connection.execute(select(func.count()).select_from(t.prompts).where(unclosed())).scalar_one())


def prompts(
    connection: Connection,
    *,
    state: PromptState | None = None,
    submission: str | None = None,
    vendor: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """Prompts, the one first that is due first; ``state`` None: those that wait for somebody. A vendor's own only."""
    query: Select[Any] = (
        select(t.prompts, s.content, t.batches.c.programme_digest)
        .join(t.submissions, s.submission == p.submission)
        .join(t.batches, t.batches.c.batch == s.batch)
        .where(_of_vendor(vendor), unclosed() if state is None else p.state == state.value)
    )
    if submission is not None:
        query = query.where(p.submission == submission)
    rows = connection.execute(query.order_by(p.due_at, p.prompt).limit(min(limit, PAGE_MAX)).offset(offset)).all()
    bound = [(json.loads(row.content).get("programme") or {}).get("digest") or row.programme_digest for row in rows]
    digests = set(bound)
    g = t.programmes.c
    bodies = connection.execute(select(g.digest, g.body).where(g.digest.in_(sorted(digests)))).all() if rows else []
    titles = {
        (row.digest, one.id): (one.title, programme)
        for row in bodies
        for programme in [Programme.model_validate_json(row.body)]
        for one in programme.requirements
    }
    return [_listed(row, *titles[its, row.requirement]) for row, its in zip(rows, bound, strict=True)]


def _listed(row: Any, title: str, programme: Programme) -> Row:
    content = json.loads(row.content)
    return {
        "prompt": row.prompt,
        "state": row.state,
        "requirement": row.requirement,
        "title": title,
        "submission": row.submission,
        "submission_title": content["title"],
        "vendor": content["vendor"],
        "product": " ".join(content["product"][name] for name in ("maker", "model", "firmware")),
        "programme": programme.id,
        "programme_version": programme.version,
        "second_person": row.second_person,
        "opened_at": row.opened_at,
        "due_at": row.due_at,
    }
