"""Whether the database can be written now, found out by writing: a page that is kept, and some that are not."""

from sqlalchemy import Connection, insert, text

from orchestrator.store import tables as t

ROOM_BYTES = 65_536
"""As much as a large commit adds."""


def try_write(connection: Connection, timeout_s: float, usual_timeout_s: float) -> None:
    """Commit a change of the file's header, after making room for a large row and giving it back.

    The header's ``user_version`` means nothing to us; setting it writes and syncs one page. Raises what the driver
    raises.
    """
    connection = connection.execution_options(assay_writes=True)
    _set_timeout(connection, timeout_s)
    try:
        with connection.begin():
            with connection.begin_nested() as room:
                row = {"principal": "", "key": "is there room?", "body_digest": "", "reply": "x" * ROOM_BYTES}
                connection.execute(insert(t.idempotency).values(row))
                room.rollback()
            version = connection.execute(text("PRAGMA user_version")).scalar_one()
            connection.execute(text(f"PRAGMA user_version = {(version + 1) % 2**31}"))
    finally:
        _set_timeout(connection, usual_timeout_s)


def _set_timeout(connection: Connection, timeout_s: float) -> None:
    """How long to wait for another writer; on the driver's connection, so that no transaction begins."""
    driver = connection.connection.driver_connection
    if driver is not None and connection.dialect.name == "sqlite":
        driver.execute(f"PRAGMA busy_timeout={timeout_s * 1000:.0f}")
