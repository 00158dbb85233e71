"""Bringing a database to the schema that this version of Assay reads, by the migrations in ``migrations/``.

A database from before there were migrations is recognised and starts at the first. All steps are one transaction: a
database is at the old schema or at the new one. A newer schema is refused, and nothing is ever migrated back.
"""

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from lab_inventory.errors import BadInput, Conflict, InvariantBroken
from orchestrator.store.engine import BUSY_TIMEOUT_S, LOCK_OF_SCHEMA, take_turn

BASELINE = "0001"
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
    with engine.connect() as connection:
        found = revision_of(connection)
        if found == newest():
            return found, found
        _refuse_unknown(found)
    with engine.connect().execution_options(assay_writes=True) as connection:
        with_sqlite = connection.dialect.name == "sqlite"
        if with_sqlite:
            _check_references(connection, now=False)
        try:
            with connection.begin():
                if not with_sqlite:
                    _require_nobody_else(connection, found)
                found = revision_of(connection)
                upgrade(connection, newest())
        finally:
            if with_sqlite:
                _check_references(connection, now=True)
    return found, newest()


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


def _require_nobody_else(connection: Connection, found: str) -> None:
    """Servers hold this lock shared while they run; whoever migrates at the same time is waited for."""
    try:
        take_turn(connection, BUSY_TIMEOUT_S, LOCK_OF_SCHEMA)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", "") != "55P03":
            raise
        raise Conflict(
            f"the database has schema {found or 'none yet'} and a server runs on it; end every server, "
            f"then start this version or run 'assay database upgrade'"
        ) from error


def _check_references(connection: Connection, *, now: bool) -> None:
    """SQLite alters some tables by making them anew; references are then checked once, at the end of the migration."""
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.execute(f"PRAGMA foreign_keys={'ON' if now else 'OFF'}")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
