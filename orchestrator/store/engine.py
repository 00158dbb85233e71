"""The two databases: how each is connected to, how a writing transaction begins there, what its refusals mean.

SQLite has one writer by itself. On PostgreSQL every writing transaction takes an advisory lock first, so that writers
of several servers follow each other: what a transaction then reads is the newest committed state, and the journal stays
one chain.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from lab_inventory.errors import AssayError, BadInput, Conflict, NoRoom, Unavailable

BUSY_TIMEOUT_S = 10.0
LOOK_AGAIN_S = 0.02
IDLE_IN_TRANSACTION_S = 3.0
"""A writer that says nothing for so long (a stopped process, a host without power) loses its transaction and lock."""

CONNECT_TIMEOUT_S = 5
LOCKS = 0x41535359
"""The first half of our advisory locks' keys ("ASSY")."""

_pause = threading.Event()

LOCK_OF_WRITERS = 1
LOCK_OF_SCHEMA = 2

_NO_ROOM = frozenset({"53100", "53200"})
"""disk_full and out_of_memory (PostgreSQL, appendix A)."""


def parsed(url: str) -> URL:
    """A database's address with the driver we use; raises BadInput without repeating it (it may hold a password)."""
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise BadInput("the database's address cannot be read; expected postgresql://USER@HOST/NAME") from error
    kind = found.drivername.split("+")[0]
    if kind in ("postgresql", "postgres"):
        return found.set(drivername="postgresql+psycopg")
    if kind == "sqlite":
        return found
    raise BadInput(f"databases of the kind {kind!r} are not known here; expected sqlite or postgresql")


def shown(url: URL) -> str:
    """An address as it may be told: without its password."""
    return url.render_as_string(hide_password=True)


def engine_at(url: str) -> Engine:
    """An engine whose writing transactions (execution option ``assay_writes``) exclude each other."""
    where = parsed(url)
    if where.get_backend_name() == "sqlite":
        engine = create_engine(where)
        event.listen(engine, "do_connect", _open_sqlite)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # A connection may have ended with the server it was to; looked at before use, it is made anew.
        engine = create_engine(where, pool_pre_ping=True, connect_args=_defaults(where))
    except NoSuchModuleError as error:  # pragma: no cover  (the driver is a dependency)
        raise BadInput("PostgreSQL needs psycopg: install assay-lab[server]") from error
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _defaults(where: URL) -> dict[str, Any]:
    """How connections notice that the other side is gone; what the address says itself goes before it."""
    wanted = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": "assay",
    }
    return {name: value for name, value in wanted.items() if name not in where.query}


@contextmanager
def opening(engine: Engine) -> Iterator[None]:
    """Let go of the engine where what is done inside fails; what the database says is then BadInput, in one line."""
    try:
        yield
    except BaseException as error:
        engine.dispose()
        if isinstance(error, DBAPIError):
            raise BadInput(f"the database {shown(engine.url)} cannot be used: {_first_line(error)}") from error
        raise


def reading_options(engine: Engine) -> dict[str, Any]:
    """What makes all reads of one connection see one committed state; SQLite does so by itself."""
    if engine.dialect.name == "sqlite":
        return {}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def make_room_for(engine: Engine) -> None:
    """Make the empty file of a SQLite database that is not there yet; raises BadInput where it cannot be."""
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and not Path(path).exists():
        try:
            Path(path).touch(mode=0o600)
        except OSError as error:
            raise BadInput(f"the database {shown(engine.url)} cannot be used: {error.strerror}") from error


def _open_sqlite(_: Any, __: Any, arguments: list[Any], options: dict[str, Any]) -> None:
    # A file that is gone must be missed, and not made again without anything in it.
    arguments[0] = f"{Path(arguments[0]).absolute().as_uri()}?mode=rw"
    options["uri"] = True


def _prepare_sqlite(dbapi_connection: Any, _: Any) -> None:
    # The driver must not open transactions by itself, or savepoints do not hold.
    dbapi_connection.isolation_level = None
    dbapi_connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")
    _write_ahead(dbapi_connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        dbapi_connection.execute(f"PRAGMA {pragma}")


def _write_ahead(dbapi_connection: Any) -> None:
    """Have a journal that is written ahead. While another makes a new file so, SQLite refuses and does not wait."""
    for _ in range(int(BUSY_TIMEOUT_S / LOOK_AGAIN_S)):
        try:
            dbapi_connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            _pause.wait(LOOK_AGAIN_S)
        else:
            return
    dbapi_connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: taking it later can fail in the middle of a transaction.
    writes = connection.get_execution_options().get("assay_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("assay_writes", False):
        take_turn(connection, options.get("assay_wait_s", BUSY_TIMEOUT_S))


def take_turn(
    connection: Connection, wait_s: float, lock: int = LOCK_OF_WRITERS, idle_s: float = IDLE_IN_TRANSACTION_S
) -> None:
    """Wait for one of our locks, held until the transaction ends; raises OperationalError after ``wait_s``.

    With ``idle_s`` 0 the transaction may be silent for as long as it likes.
    """
    # One statement: the time limits hold from its first column on, the lock is its last.
    connection.exec_driver_sql(
        f"SELECT set_config('idle_in_transaction_session_timeout', '{idle_s * 1000:.0f}', true), "
        f"set_config('lock_timeout', '{wait_s * 1000:.0f}', true), pg_advisory_xact_lock({LOCKS}, {lock})"
    )


def refused(error: DBAPIError | NoConnection) -> AssayError:
    """What the database said, as an error of ours: a contradiction, no room, or anything that may pass."""
    if isinstance(error, NoConnection):
        return Unavailable("the database is asked for too much at once")
    if isinstance(error, IntegrityError):
        return Conflict(f"this is recorded already or contradicts what is: {_first_line(error)}")
    full = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    if full or getattr(error.orig, "sqlstate", None) in _NO_ROOM:
        return NoRoom(f"the database cannot grow: {_first_line(error)}")
    return Unavailable(f"the database does not answer now: {_first_line(error)}")


def may_pass(error: DBAPIError) -> bool:
    """Whether an error is the database's state and not a mistake in what it was asked."""
    lost = error.connection_invalidated or getattr(error.orig, "sqlstate", None) == "25P03"
    return lost or isinstance(error, OperationalError | IntegrityError)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
