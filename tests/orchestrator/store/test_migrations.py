"""Every earlier schema, with the data of a lab that lived under it, comes up to the newest and loses nothing."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlalchemy import inspect as look_at

from lab_inventory.clock import ManualClock
from lab_inventory.errors import BadInput, Conflict
from orchestrator.store import engine, migrating
from orchestrator.store import tables as t
from orchestrator.store.audit import audit
from orchestrator.store.engine import engine_at, make_room_for
from orchestrator.store.store import Store
from tests.orchestrator.store.lived import FOLDER
from tests.postgres import PostgresServer

EARLIER = migrating.revisions()[:-1]
Rows = dict[str, list[dict[str, Any]]]
NEW_AFTER = {"alembic_version", "schema"}
"""Tables of which a migration changes the rows that were there."""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/assay.sqlite"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


def script_of(revision: str) -> str:
    return (FOLDER / f"{revision}.sql").read_text(encoding="utf-8")


def rows_that_lived(revision: str) -> Rows:
    """The rows of the database that lived under an earlier schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        connection.executescript(script_of(revision))
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}  # noqa: S608


def build(url: str, revision: str) -> Rows:
    """A database as it was at ``revision``: on SQLite the very one that lived, on PostgreSQL its rows."""
    rows = rows_that_lived(revision)
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(script_of(revision))
        return rows
    made = engine_at(url)
    with made.begin() as connection:
        migrating.upgrade(connection, revision)
        found = MetaData()
        found.reflect(connection)
        for table in found.sorted_tables:
            if table.name in rows and table.name not in NEW_AFTER:
                connection.execute(table.delete())
                booleans = [column.name for column in table.columns if column.type.python_type is bool]
                content = [row | {name: bool(row[name]) for name in booleans} for row in rows[table.name]]
                if content:
                    connection.execute(table.insert(), content)
    made.dispose()
    return rows


def rows_now(store: Store) -> Rows:
    found = MetaData()
    with store.reading() as connection:
        found.reflect(connection)
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in found.sorted_tables
        }


def in_some_order(rows: list[dict[str, Any]], columns: set[str]) -> list[str]:
    """As text; a yes is 1 where a database has no other word for it."""
    plain = [{name: int(v) if isinstance(v := row[name], bool) else v for name in columns} for row in rows]
    return sorted(repr(sorted(row.items())) for row in plain)


@pytest.mark.parametrize("revision", EARLIER)
def test_a_database_of_an_earlier_schema_comes_up_and_everything_is_found_again(empty_url: str, revision: str) -> None:
    before = build(empty_url, revision)
    store = Store(empty_url, ManualClock())
    after = rows_now(store)
    assert len(before["journal"]) > 20
    for name, rows in before.items():
        if rows and name not in NEW_AFTER:
            columns = set(rows[0])
            assert in_some_order(after[name], columns) == in_some_order(rows, columns)
    with store.reading() as connection:
        assert audit(connection).findings == ()
        assert migrating.revision_of(connection) == migrating.newest()
    store.close()


@pytest.mark.parametrize("revision", EARLIER)
def test_after_coming_up_the_schema_is_the_one_a_new_database_has(empty_url: str, revision: str) -> None:
    build(empty_url, revision)
    store = Store(empty_url, ManualClock())
    assert differences(store) == []
    store.close()


def test_every_schema_but_the_newest_has_a_database_that_lived_under_it() -> None:
    missing = [revision for revision in EARLIER if not (FOLDER / f"{revision}.sql").exists()]
    assert missing == [], "run python -m tests.orchestrator.store.lived before a migration is added"


def default_differs(context: Any, _: Any, __: Any, there: str | None, ___: Any, wanted: str | None) -> bool | None:
    """Alembic writes the same default on SQLite in two ways; elsewhere it compares by itself."""
    if context.dialect.name != "sqlite":
        return None
    return (there and there.strip("()'")) != (wanted and wanted.strip("()'"))


def differences(store: Store) -> list[Any]:
    with store.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": default_differs}
        )
        return list(compare_metadata(context, t.metadata))


def test_the_migrated_schema_is_what_the_tables_say(database_url: str) -> None:
    store = Store(database_url, ManualClock())
    assert differences(store) == []
    store.close()


def test_every_short_text_is_compared_byte_by_byte(postgres_server: PostgresServer) -> None:
    with postgres_server.migrated() as url:
        store = Store(url, ManualClock())
        with store.reading() as connection:
            rows = connection.execute(
                text(
                    "SELECT table_name, column_name, collation_name FROM information_schema.columns "
                    "WHERE table_schema = 'public' AND data_type = 'character varying' "
                    "AND table_name <> 'alembic_version'"
                )
            ).all()
        store.close()
    assert len(rows) > 50
    assert [row for row in rows if row.collation_name != "C"] == []


def test_a_newer_schema_is_refused_and_left_as_it_is(database_url: str) -> None:
    Store(database_url, ManualClock()).close()
    made = engine_at(database_url)
    with made.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for upgrade in (True, False):
        with pytest.raises(BadInput, match="schema 9999, which is newer than this version of Assay"):
            Store(database_url, ManualClock(), upgrade=upgrade)
    with made.connect() as connection:
        assert migrating.revision_of(connection) == "9999"
    made.dispose()


def test_an_older_schema_is_refused_by_who_must_not_migrate(empty_url: str) -> None:
    build(empty_url, EARLIER[-1])
    with pytest.raises(BadInput, match="run 'assay database upgrade'"):
        Store(empty_url, ManualClock(), upgrade=False)


def test_a_database_of_something_else_is_refused_and_nothing_is_added(empty_url: str) -> None:
    made = engine_at(empty_url)
    make_room_for(made)
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE customers (name VARCHAR)"))
    with pytest.raises(BadInput, match="is not Assay's: it has the table customers"):
        Store(empty_url, ManualClock())
    with made.connect() as connection:
        assert look_at(connection).get_table_names() == ["customers"]
    made.dispose()


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build(empty_url, EARLIER[-1])
    made = engine_at(empty_url)

    def cut(connection: object, revision: str) -> None:
        up(connection, revision)  # type: ignore[arg-type]
        raise KeyError("the power is cut here")

    up = migrating.upgrade
    monkeypatch.setattr(migrating, "upgrade", cut)
    with pytest.raises(KeyError):
        Store(empty_url, ManualClock())
    with made.connect() as connection:
        assert migrating.revision_of(connection) == EARLIER[-1]
        assert set(look_at(connection).get_table_names()) - {"alembic_version"} == set(before) - {"alembic_version"}
    made.dispose()


def test_a_server_from_before_migrations_refuses_the_database(database_url: str) -> None:
    """It reads the number in ``schema`` and knows only 1."""
    store = Store(database_url, ManualClock())
    with store.reading() as connection:
        assert connection.execute(t.schema.select()).scalar_one() == 2
    store.close()


def test_many_that_start_at_once_make_one_database(empty_url: str) -> None:
    barrier, made, wrong = threading.Barrier(4), [], []

    def start() -> None:
        barrier.wait()
        try:
            made.append(Store(empty_url, ManualClock()))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in made:
        store.close()
    assert (len(made), wrong) == (4, [])


def test_who_comes_second_runs_on_what_the_first_has_made(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the older schema, and a server runs by the time it would migrate: on the newest."""
    monkeypatch.setattr(migrating, "BUSY_TIMEOUT_S", 0.2)
    with postgres_server.migrated() as url:
        running = engine_at(url)
        with running.connect() as server:
            server.exec_driver_sql(f"SELECT pg_advisory_lock_shared({engine.LOCKS}, {engine.LOCK_OF_SCHEMA})")
            server.commit()
            real, said = migrating.revision_of, [EARLIER[-1]]
            monkeypatch.setattr(migrating, "revision_of", lambda connection: said.pop() if said else real(connection))
            Store(url, ManualClock()).close()
        running.dispose()


def test_nothing_is_migrated_while_a_server_runs_on_the_older_schema(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "BUSY_TIMEOUT_S", 0.2)
    with postgres_server.database() as url:
        build(url, EARLIER[-1])
        running = engine_at(url)
        with running.connect() as server:
            server.exec_driver_sql(f"SELECT pg_advisory_lock_shared({engine.LOCKS}, {engine.LOCK_OF_SCHEMA})")
            server.commit()
            with pytest.raises(Conflict, match="a server runs on it"):
                Store(url, ManualClock())
        running.dispose()
        Store(url, ManualClock()).close()
