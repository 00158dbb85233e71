"""The one way to write: ``commit`` takes facts, asks their machines, writes tables and journal in one transaction.

Listeners are told after the commit and never before. A fact that no longer fits raises Conflict and nothing of its
group is kept.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from lab_inventory.canonical import canonical_bytes
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError, BadInput, Conflict, NoRoom, Unavailable
from orchestrator.lifecycle import batch, certificate, device, host, lease, quarantine, run
from orchestrator.lifecycle.machine import Fact, Machine
from orchestrator.store import probing
from orchestrator.store import tables as t
from orchestrator.store.journal import GENESIS, next_row
from orchestrator.store.writing import write


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a machine keeps its state."""

    machine: Machine
    state: Any
    key: Any


MACHINES = {
    "device": _Kept(device.MACHINE, t.devices.c.intent, t.devices.c.device),
    "host": _Kept(host.MACHINE, t.host_intents.c.intent, t.host_intents.c.host),
    "batch": _Kept(batch.MACHINE, t.batches.c.state, t.batches.c.batch),
    "submission": _Kept(batch.SUBMISSION_MACHINE, t.submissions.c.state, t.submissions.c.submission),
    "run": _Kept(run.MACHINE, t.runs.c.state, t.runs.c.run),
    "lease": _Kept(lease.MACHINE, t.leases.c.state, t.leases.c.lease),
    "quarantine": _Kept(quarantine.MACHINE, t.quarantines.c.state, t.quarantines.c.resource),
    "certificate": _Kept(certificate.MACHINE, t.certificates.c.state, t.certificates.c.certificate),
}


@dataclass(frozen=True, kw_only=True)
class JournalHead:
    """The end of the journal."""

    length: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class IdempotentReply:
    """A principal's key for a request, the digest of its body, and the reply to keep with it."""

    principal: str
    key: str
    body_digest: str
    reply: str


Reading = Connection
"""A connection that reads; handed to the views."""

Listener = Callable[[Sequence[Fact]], None]
BUSY_TIMEOUT_S = 10.0


class Store:
    """The database. One writer at a time; readers see a committed state."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._writing = threading.Lock()
        self._listeners: list[Listener] = []
        self.engine = _engine(url)
        try:
            _make_file(self.engine)
            with self.engine.begin() as connection:
                t.metadata.create_all(connection)
                _check_schema(connection)
                if connection.dialect.name == "sqlite":
                    _forbid_rewriting_the_journal(connection)
        except OSError as error:
            raise BadInput(f"the database {url} cannot be used: {error.strerror}") from error
        except OperationalError as error:
            raise BadInput(f"the database {url} cannot be used: {error.orig}") from error

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` the facts of every commit, after it."""
        self._listeners.append(listener)

    def commit(
        self,
        facts: Sequence[Fact] | Callable[[JournalHead], Sequence[Fact]],
        *,
        idempotent: IdempotentReply | None = None,
    ) -> tuple[Fact, ...]:
        """Commit all of ``facts`` or none. A callable is given the journal's head and makes the facts on top of it.

        Raises Conflict where a fact does not fit the state it meets, Unavailable where the disk refuses.
        """
        with self._transaction() as connection:
            made = tuple(facts(head(connection)) if callable(facts) else facts)
            self._apply(connection, made)
            if idempotent is not None:
                connection.execute(insert(t.idempotency).values(asdict(idempotent)))
        self._tell(made)
        return made

    def commit_each(self, groups: Sequence[Sequence[Fact]]) -> tuple[Conflict | None, ...]:
        """Commit each group on a savepoint of its own; for each group None, or why nothing of it was kept."""
        answers: list[Conflict | None] = []
        kept: list[Fact] = []
        with self._transaction() as connection:
            for group in groups:
                try:
                    with connection.begin_nested():
                        self._apply(connection, group)
                except Conflict as conflict:
                    answers.append(conflict)
                except IntegrityError as error:
                    answers.append(_contradicts(error))
                else:
                    answers.append(None)
                    kept.extend(group)
        self._tell(kept)
        return tuple(answers)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A connection that sees one committed state; raises Unavailable where the database does not answer."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (OperationalError, NoConnection) as error:
            raise _refused(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._writing:
            try:
                with self.engine.connect().execution_options(assay_writes=True) as connection, connection.begin():
                    yield connection
            except (OperationalError, NoConnection) as error:
                raise _refused(error) from error
            except IntegrityError as error:
                raise _contradicts(error) from error

    @contextmanager
    def administering(self) -> Iterator[Connection]:
        """A writing transaction for what is no fact of a machine: hosts, tokens, programmes, the lab file."""
        with self._transaction() as connection:
            yield connection

    def try_write(self, timeout_s: float) -> None:
        """Write a little and let it be, changing nothing that is kept; raises Unavailable where that cannot be done.

        It would notice a full disk, a directory that became read-only or is gone, and a lock that is not given back.
        """
        path = self.engine.url.database
        if path and not Path(path).exists():
            # What is open goes on being written to, and is lost with the last connection.
            raise Unavailable(f"the database {path} is gone")
        if not self._writing.acquire(timeout=timeout_s):
            raise Unavailable(f"another write has not ended for {timeout_s:g} s")
        try:
            with self.engine.connect() as connection:
                probing.try_write(connection, timeout_s, BUSY_TIMEOUT_S)
        except (OperationalError, NoConnection) as error:
            raise _refused(error) from error
        finally:
            self._writing.release()

    def _apply(self, connection: Connection, facts: Sequence[Fact]) -> None:
        tail = head(connection)
        end = (tail.length, tail.hash)
        at = self._clock.now().isoformat()
        for fact in facts:
            state = self._next_state(connection, fact)
            write(connection, fact, state)
            if not fact.journaled:
                continue
            body = canonical_bytes(fact.journal_entry()).decode()
            row = next_row(
                end,
                at=at,
                fact=type(fact).__name__,
                machine=fact.machine,
                entity=fact.entity,
                state=state,
                body=body,
            )
            connection.execute(insert(t.journal).values(asdict(row)))
            end = (row.seq, row.hash)

    @staticmethod
    def _next_state(connection: Connection, fact: Fact) -> str:
        kept = MACHINES.get(fact.machine)
        if kept is None:
            return ""
        current = connection.execute(select(kept.state).where(kept.key == fact.entity)).scalar_one_or_none()
        return kept.machine.next(current, fact).value

    def _tell(self, facts: Sequence[Fact]) -> None:
        if facts:
            for listener in self._listeners:
                listener(facts)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def _refused(error: OperationalError | NoConnection) -> AssayError:
    """What the database said, as an error of ours: no room, or anything else that may pass."""
    if isinstance(error, NoConnection):
        return Unavailable("the database is asked for too much at once")
    if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return NoRoom(f"the database cannot grow: {error.orig}")
    return Unavailable(f"the database does not answer now: {error.orig}")


def _contradicts(error: IntegrityError) -> Conflict:
    return Conflict(f"this is recorded already or contradicts what is: {error.orig}")


def head(connection: Connection) -> JournalHead:
    """The journal's end as this connection sees it."""
    row = connection.execute(
        select(t.journal.c.seq, t.journal.c.hash).order_by(t.journal.c.seq.desc()).limit(1)
    ).first()
    return JournalHead(length=row.seq, hash=row.hash) if row else JournalHead(length=0, hash=GENESIS)


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _connect_to_what_is_there)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_file(engine: Engine) -> None:
    """A database of its own file is made here and nowhere else: one that is gone later must not be made anew, empty."""
    path = engine.url.database if engine.dialect.name == "sqlite" else None
    if path:
        Path(path).touch()


def _connect_to_what_is_there(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> Any:
    path = arguments[0]
    if path == ":memory:":
        return None
    options = {name: value for name, value in options.items() if name != "uri"}
    return sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, **options)


def _prepare_sqlite(dbapi_connection: Any, _: Any) -> None:
    # The driver must not open transactions by itself, or savepoints do not hold.
    dbapi_connection.isolation_level = None
    busy_timeout = f"busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}"
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", busy_timeout):
        dbapi_connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: taking it later can fail in the middle of a transaction.
    writes = connection.get_execution_options().get("assay_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _check_schema(connection: Connection) -> None:
    version = connection.execute(select(t.schema.c.version)).scalar_one_or_none()
    if version is None:
        connection.execute(insert(t.schema).values(version=t.SCHEMA_VERSION))
    elif version != t.SCHEMA_VERSION:
        raise BadInput(f"the database has schema {version}; this version of Assay reads schema {t.SCHEMA_VERSION}")


def _forbid_rewriting_the_journal(connection: Connection) -> None:
    for verb in ("UPDATE", "DELETE"):
        connection.execute(
            text(
                f"CREATE TRIGGER IF NOT EXISTS journal_no_{verb.lower()} BEFORE {verb} ON journal "
                "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
            )
        )
