"""Whether the database can be written now, found out by writing: a page that is kept, and some that are not."""

from sqlalchemy import Connection, insert, text, update

from orchestrator.store import tables as t

ROOM_BYTES = 65_536
"""As much as a large commit adds."""


def try_write(connection: Connection, timeout_s: float, usual_timeout_s: float) -> None:
    """Commit a small change that means nothing, after making room for a large row and giving it back.

    On SQLite the change is the header's ``user_version``, one page; on PostgreSQL a row that is written as it was.
    Raises what the driver raises.
    """
    connection = connection.execution_options(assay_writes=True, assay_wait_s=timeout_s)
    _set_timeout(connection, timeout_s)
    try:
        with connection.begin():
            with connection.begin_nested() as room:
                row = {"principal": "", "key": "is there room?", "body_digest": "", "reply": "x" * ROOM_BYTES}
                connection.execute(insert(t.idempotency).values(row))
                room.rollback()
            if connection.dialect.name == "sqlite":
                version = connection.execute(text("PRAGMA user_version")).scalar_one()
                connection.execute(text(f"PRAGMA user_version = {(version + 1) % 2**31}"))
            else:
                connection.execute(update(t.schema).values(version=t.schema.c.version))
    finally:
        _set_timeout(connection, usual_timeout_s)


def _set_timeout(connection: Connection, timeout_s: float) -> None:
    """How long to wait for another writer; on the driver's connection, so that no transaction begins."""
    driver = connection.connection.driver_connection
    if driver is not None and connection.dialect.name == "sqlite":
        driver.execute(f"PRAGMA busy_timeout={timeout_s * 1000:.0f}")
