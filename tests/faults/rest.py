"""Reads what a lab holds once it has come to rest: database, spools, artifacts, the devices' log, the audit."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.checkers import NAMES, Row, Seen, Spooled
from tests.faults.clients import Told
from tests.faults.lab import Lab


def read(lab: Lab, told: Sequence[Told]) -> Seen:
    """Everything; the lab is stopped."""
    return Seen(
        told=tuple(told),
        presses=lab.presses(),
        spools=tuple(spools(lab.agent_work / "runs")),
        tables={name: _rows(lab.data / "assay.sqlite", f"SELECT * FROM {name}") for name in NAMES},  # noqa: S608
        artifacts=dict(_artifacts(lab.data / "artifacts")),
        audit=lab.audit(),
    )


def _rows(path: Path, query: str) -> tuple[Row, ...]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return tuple(dict(row) for row in connection.execute(query))
    finally:
        connection.close()


def spools(runs: Path) -> Iterator[Spooled]:
    """What each run directory of an agent holds."""
    for path in sorted(runs.glob("run-*/spool.sqlite3")):
        reports = {row["seq"]: json.loads(row["report"]) for row in _rows(path, "SELECT seq, report FROM report")}
        ended = bool(_rows(path, "SELECT seq FROM report WHERE last"))
        (mark,) = _rows(path, "SELECT seq FROM mark WHERE name = 'acknowledged'")
        yield Spooled(run=path.parent.name, reports=reports, acknowledged=mark["seq"], ended=ended)


def _artifacts(folder: Path) -> Iterator[tuple[str, bool]]:
    for path in folder.glob("??/*"):
        name = path.parent.name + path.name
        yield f"sha256:{name}", hashlib.sha256(path.read_bytes()).hexdigest() == name
