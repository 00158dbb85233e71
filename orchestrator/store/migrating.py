"""Bringing a database to the schema that this version of Assay reads, by the migrations in ``migrations/``.

A database from before there were migrations is recognised and starts at the first. All steps are one transaction: a
database is at the old schema or at the new one. A newer schema is refused, and nothing is ever migrated back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from lab_inventory.errors import BadInput, Conflict, InvariantBroken
from orchestrator.store.engine import BUSY_TIMEOUT_S, LOCK_OF_SCHEMA, make_room_for, take_turn

BASELINE = "0001"
LOCK_NOT_AVAILABLE = "55P03"
EMPTY = ""


@lru_cache(maxsize=1)
def revisions() -> tuple[str, ...]:
    """Every revision, oldest first; the last is what this version reads."""
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(reversed([step.revision for step in steps]))


def newest() -> str:
    """The revision that this version of Assay reads."""
    return revisions()[-1]


def revision_of(connection: Connection) -> str:
    """The revision a database is at, :data:`EMPTY` where nothing is in it yet; raises BadInput for a foreign one."""
    names = set(inspect(connection).get_table_names())
    if "alembic_version" in names:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    if "schema" in names and "journal" in names:
        version = connection.execute(text("SELECT max(version) FROM schema")).scalar_one()
        if version != 1:
            raise BadInput(f"the database has schema {version}, which no version of Assay made")
        return BASELINE
    if names:
        raise BadInput(f"the database is not Assay's: it has the table {min(names)}")
    return EMPTY


def require_newest(connection: Connection) -> None:
    """Raise BadInput, in words, where the database is not at the schema that this version reads."""
    found = revision_of(connection)
    if found == newest():
        return
    if found == EMPTY:
        raise BadInput("the database is empty: the first 'assay serve' or 'assay database upgrade' fills it")
    _refuse_unknown(found)
    raise BadInput(
        f"the database has schema {found}; this version of Assay reads schema {newest()}: run 'assay database upgrade'"
    )


def bring_up(engine: Engine) -> tuple[str, str]:
    """Bring the database to the newest schema where it is older; gives the revision before and after.

    Raises BadInput for a newer or foreign schema, Conflict where servers run on the older one.
    """
    make_room_for(engine)
    with engine.connect() as connection:
        found = revision_of(connection)
        if found == newest():
            return found, found
        _refuse_unknown(found)
    try:
        with migration(engine) as connection:
            found = revision_of(connection)
            upgrade(connection, newest())
    except Conflict:
        # Another server may have been faster, and runs already on what it made.
        with engine.connect() as connection:
            if revision_of(connection) != newest():
                raise
    return found, newest()


@contextmanager
def migration(engine: Engine) -> Iterator[Connection]:
    """A transaction in which nobody else migrates, and on PostgreSQL no server runs.

    Raises Conflict where servers do, after waiting a while for whoever migrates.
    """
    make_room_for(engine)
    if engine.dialect.name != "sqlite":
        with engine.connect() as connection, connection.begin():
            _require_nobody_else(connection)
            yield connection
        return
    with engine.connect().execution_options(assay_writes=True) as connection:
        # Some tables are altered by making them anew; references are checked once, when all is done.
        _check_references(connection, now=False)
        try:
            with connection.begin():
                yield connection
        finally:
            _check_references(connection, now=True)


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the database up to ``revision`` inside the transaction that is open on ``connection``."""
    found = revision_of(connection)
    _refuse_unknown(found)
    config = _config()
    config.attributes["connection"] = connection
    if found == BASELINE and not inspect(connection).has_table("alembic_version"):
        command.stamp(config, BASELINE)
    command.upgrade(config, revision)
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise InvariantBroken(f"after the migration a reference of table {broken[0][0]} leads nowhere")


def _refuse_unknown(found: str) -> None:
    if found not in (EMPTY, *revisions()):
        raise BadInput(
            f"the database has schema {found}, which is newer than this version of Assay: it reads schema {newest()}"
        )


def _require_nobody_else(connection: Connection) -> None:
    """Servers hold this lock shared while they run."""
    try:
        take_turn(connection, BUSY_TIMEOUT_S, LOCK_OF_SCHEMA, idle_s=0)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", "") != LOCK_NOT_AVAILABLE:
            raise
        raise Conflict(
            "the database's schema is an older one and a server runs on it; end every server, "
            "then start this version or run 'assay database upgrade'"
        ) from error


def _check_references(connection: Connection, *, now: bool) -> None:
    """Whether SQLite checks each reference as it is written; on the driver's connection, as no transaction is open."""
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.execute(f"PRAGMA foreign_keys={'ON' if now else 'OFF'}")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
