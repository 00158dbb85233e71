"""The counters in the database: added to in the transaction of the facts they count, read as one small table.

A fact that is not kept is not counted, one that is kept is counted once, whichever server committed it, and reading
them costs the same however much the lab has done (docs/decisions/0010).
"""

import json
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import RunErrored, RunState
from orchestrator.lifecycle.verdict import SubmissionJudged
from orchestrator.pipeline.tally import OF_RUNS, About, Series, Tally, tally
from orchestrator.store import quarantine_views
from orchestrator.store import tables as t


def counted(connection: Connection, fact: Fact, before: str | None, after: str) -> Tally:
    """What a fact adds that was just written."""
    about = None
    if isinstance(fact, OF_RUNS):
        ended = isinstance(fact, RunErrored) and after == RunState.ERROR
        about = _about_run(connection, fact.entity, ended=ended)
    elif isinstance(fact, SubmissionJudged):
        s = t.submissions.c
        found = connection.execute(select(s.category).where(s.submission == fact.submission)).scalar_one()
        about = About(category=found)
    return tally(fact, before, after, about)


def _about_run(connection: Connection, run: str, *, ended: bool) -> About:
    r, s = t.runs.c, t.submissions.c
    row = connection.execute(
        select(s.category, r.started_at).join(t.runs, r.submission == s.submission).where(r.run == run)
    ).one()
    return About(
        category=row.category,
        began_at=datetime.fromisoformat(row.started_at) if row.started_at else None,
        ended=quarantine_views.ended_run(connection, run) if ended else None,
    )


def add(connection: Connection, added: Tally) -> None:
    """Add to the counters."""
    rows = [
        {"metric": s.metric, "labels": json.dumps(s.labels), "part": s.part, "value": float(amount)}
        for s, amount in sorted(added.items(), key=lambda entry: (entry[0].metric, entry[0].labels, entry[0].part))
        if amount
    ]
    if not rows:
        return
    on_sqlite = connection.dialect.name == "sqlite"
    statement = sqlite.insert(t.tallies) if on_sqlite else postgresql.insert(t.tallies)
    grown = t.tallies.c.value + statement.excluded.value
    keys = ["metric", "labels", "part"]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={"value": grown}), rows)


def read(connection: Connection) -> dict[Series, float]:
    """Every counter that is not zero."""
    rows = connection.execute(select(t.tallies))
    return {Series(metric=row.metric, labels=tuple(json.loads(row.labels)), part=row.part): row.value for row in rows}
