"""Looking at a database without opening a store on it: nothing is made, migrated or written."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator.store.journal import GENESIS, JournalRow, hash_of
from orchestrator.store.tables import SCHEMA_VERSION

COLUMNS = ("seq", "at", "fact", "machine", "entity", "state", "body", "previous", "hash")


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found. ``wrong`` has every fault in words; ``last_at`` is when the journal was last written."""

    schema: int | None
    rows: int
    head: str
    last_at: datetime | None
    wrong: tuple[str, ...]


def inspect(path: Path) -> Inspection:
    """Look at the database at ``path``; raises sqlite3.Error where it is none or cannot be read."""
    # Without a write-ahead log nobody has it open, and all of it is in the one file; even a reader would make a log.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=5)) as connection:
        wrong = []
        # Every page and index, but not each index against its table: that would take as long as reading everything.
        checked = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        if checked != ["ok"]:
            wrong += checked
        schema = connection.execute("SELECT max(version) FROM schema").fetchone()[0]
        if schema != SCHEMA_VERSION:
            wrong.append(f"it has schema {schema}; this version of Assay reads schema {SCHEMA_VERSION}")
        found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY seq DESC LIMIT 2").fetchall()  # noqa: S608
        rows = [JournalRow(**dict(zip(COLUMNS, row, strict=True))) for row in found]
        wrong += _wrong_head(rows)
    return Inspection(
        schema=schema,
        rows=rows[0].seq if rows else 0,
        head=rows[0].hash if rows else GENESIS,
        last_at=datetime.fromisoformat(rows[0].at) if rows else None,
        wrong=tuple(wrong),
    )


def _wrong_head(rows: list[JournalRow]) -> list[str]:
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
