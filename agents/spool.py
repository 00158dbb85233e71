"""A run's reports on disk until the orchestrator has committed them: SQLite, WAL, synchronous=FULL.

The run's process appends; the agent's reads and acknowledges: two processes, one file. A report that ``append`` has
numbered survives a kill and a power cut. Acknowledged reports stay, so that an orchestrator restored from a backup
can have them again. Over a bound, or on a full disk, ``append`` raises and loses nothing that is there; room for the
end of the run is kept back.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agents.measure import LabError
from lab_inventory.clock import Clock
from lab_inventory.messages import Ended, ReportBody, RunReport

REPORTS_MAX = 20_000
REPORT_BYTES_MAX = 800_000
SPOOL_BYTES_MAX = 200_000_000
_KEPT_BACK_PAGES = 64
_BUSY_S = 5.0


_TABLES = """
CREATE TABLE IF NOT EXISTS report (seq INTEGER PRIMARY KEY, report TEXT NOT NULL, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, seq INTEGER NOT NULL);
INSERT OR IGNORE INTO mark VALUES ('acknowledged', 0);
"""


@dataclass(frozen=True, kw_only=True)
class SpoolState:
    """How far a run's reports are: numbered up to ``written``, committed up to ``acknowledged``."""

    written: int
    acknowledged: int
    ended: bool

    @property
    def delivered(self) -> bool:
        """Whether the run's end is there and everything up to it is acknowledged."""
        return self.ended and self.acknowledged >= self.written


class Spool:
    """The spool of one run. Every method raises LabError where the disk or the file is at fault."""

    def __init__(
        self, path: Path, clock: Clock, *, reports_max: int = REPORTS_MAX, bytes_max: int = SPOOL_BYTES_MAX
    ) -> None:
        self._clock = clock
        self._reports_max = reports_max
        with _the_lab_at_fault("opened"):
            self._database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=FULL")
                self._database.executescript(_TABLES)
                page_bytes = int(self._database.execute("PRAGMA page_size").fetchone()[0])
            except BaseException:
                self._database.close()
                raise
        self._pages_max = max(1, bytes_max // page_bytes)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def append(self, body: ReportBody) -> int:
        """Keep one report; gives its number, counted from 1 without gaps, once it is on disk.

        Raises LabError where the run has ended, the report or the spool is too large, or the disk is full.
        """
        last = isinstance(body, Ended)
        with _the_lab_at_fault("appended to"), self._transaction():
            state = self.state()
            if state.ended:
                raise LabError("the run has ended; nothing can follow its end")
            if state.written >= self._reports_max and not last:
                raise LabError(f"the spool holds {state.written} reports; at most {self._reports_max} are kept")
            report = RunReport(seq=state.written + 1, at=self._clock.now(), body=body)
            text = report.model_dump_json()
            if len(text.encode()) > REPORT_BYTES_MAX:
                raise LabError(f"a report of {len(text.encode())} bytes; at most {REPORT_BYTES_MAX} are taken")
            pages = self._pages_max + (_KEPT_BACK_PAGES if last else 0)
            self._database.execute(f"PRAGMA max_page_count={pages}")
            self._database.execute("INSERT INTO report VALUES (?, ?, ?)", (report.seq, text, last))
        return report.seq

    def unacknowledged(self, limit: int, *, bytes_max: int = REPORT_BYTES_MAX) -> tuple[RunReport, ...]:
        """The first reports that are not acknowledged, in order: at most ``limit``, and together at most
        ``bytes_max`` of JSON, but always one where there is one.
        """
        reports: list[RunReport] = []
        size = 0
        with _the_lab_at_fault("read"):
            rows = self._database.execute(
                "SELECT report FROM report WHERE seq > (SELECT seq FROM mark WHERE name = 'acknowledged') "
                "ORDER BY seq LIMIT ?",
                (limit,),
            )
            for (text,) in rows:
                size += len(text.encode())
                if reports and size > bytes_max:
                    break
                reports.append(RunReport.model_validate_json(text))
        return tuple(reports)

    def acknowledge(self, up_to: int) -> None:
        """Note that the orchestrator holds everything up to ``up_to``.

        Its word counts backwards too: one that was restored from a backup gets again what it has lost.
        """
        with _the_lab_at_fault("acknowledged"), self._transaction():
            bounded = max(0, min(up_to, self.state().written))
            self._database.execute("UPDATE mark SET seq = ? WHERE name = 'acknowledged'", (bounded,))

    def state(self) -> SpoolState:
        """How far the run's reports are."""
        with _the_lab_at_fault("read"):
            written, ended, acknowledged = self._database.execute(
                "SELECT coalesce(max(seq), 0), coalesce(max(last), 0), "
                "(SELECT seq FROM mark WHERE name = 'acknowledged') FROM report"
            ).fetchone()
        return SpoolState(written=int(written), acknowledged=int(acknowledged), ended=bool(ended))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # SQLite has already rolled back by itself after some errors, a full disk among them.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise


@contextmanager
def _the_lab_at_fault(what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValidationError) as error:
        raise LabError(f"the run's spool cannot be {what}: {error}") from error
