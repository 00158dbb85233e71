"""Looking at a database without opening a store on it: nothing is made, migrated or written."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from orchestrator.store import migrating
from orchestrator.store import tables as t
from orchestrator.store.engine import engine_at, opening, reading_options
from orchestrator.store.journal import GENESIS, JournalRow, hash_of

COLUMNS = ("seq", "at", "fact", "machine", "entity", "state", "body", "previous", "hash")


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found. ``wrong`` has every fault in words; ``last_at`` is when the journal was last written."""

    schema: str
    rows: int
    head: str
    last_at: datetime | None
    wrong: tuple[str, ...]


def inspect_file(path: Path) -> Inspection:
    """Look at the SQLite database at ``path``; raises sqlite3.Error where it is none or cannot be read."""
    # Without a write-ahead log nobody has it open, and all of it is in the one file; even a reader would make a log.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=5)) as connection:
        wrong = []
        # Every page and index, but not each index against its table: that would take as long as reading everything.
        checked = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        if checked != ["ok"]:
            wrong += checked
        tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        schema = migrating.BASELINE
        if "alembic_version" in tables:
            schema = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY seq DESC LIMIT 2").fetchall()  # noqa: S608
        rows = [JournalRow(**dict(zip(COLUMNS, row, strict=True))) for row in found]
    return _inspection(schema, rows, wrong)


def inspect_server(url: str) -> Inspection | None:
    """Look at the database at ``url``, None where it is empty; raises BadInput where it cannot be used."""
    engine = engine_at(url)
    try:
        with opening(engine), engine.connect().execution_options(**reading_options(engine)) as connection:
            schema = migrating.revision_of(connection)
            if schema == migrating.EMPTY:
                return None
            found = connection.execute(select(t.journal).order_by(t.journal.c.seq.desc()).limit(2))
            return _inspection(schema, [JournalRow(**row._mapping) for row in found], [])
    finally:
        engine.dispose()


def _inspection(schema: str, rows: Sequence[JournalRow], wrong: Sequence[str]) -> Inspection:
    """``rows``: the journal's last two, the last first."""
    return Inspection(
        schema=schema,
        rows=rows[0].seq if rows else 0,
        head=rows[0].hash if rows else GENESIS,
        last_at=datetime.fromisoformat(rows[0].at) if rows else None,
        wrong=(*wrong, *_wrong_schema(schema), *_wrong_head(rows)),
    )


def _wrong_schema(schema: str) -> list[str]:
    if schema == migrating.newest():
        return []
    known = schema in migrating.revisions()
    then = "run 'assay database upgrade'" if known else "it is newer than this version of Assay"
    return [f"it has schema {schema}; this version of Assay reads schema {migrating.newest()}: {then}"]


def _wrong_head(rows: Sequence[JournalRow]) -> list[str]:
    """The journal's last row by itself and after the one before it; the whole chain is for ``assay audit verify``."""
    if not rows:
        return []
    last = rows[0]
    before = rows[1].hash if len(rows) > 1 else GENESIS
    wrong = []
    if hash_of(last) != last.hash:
        wrong.append(f"journal row {last.seq}, the last, was changed")
    if last.previous != before:
        wrong.append(f"journal row {last.seq}, the last, does not continue the row before it")
    return wrong
