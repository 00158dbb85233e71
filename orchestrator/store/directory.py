"""The data directory: made where it is missing, and locked while somebody works in it.

On SQLite one server has it alone. Servers on one PostgreSQL database share theirs, with its evidence and signing key.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict
from orchestrator.store.store import Store


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Wait until no other server makes what all of them share in the directory, and keep the others waiting."""
    with (data / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def take(data: Path, *, shared: bool = False) -> IO[str]:
    """Make the directory and lock it for as long as the file that is given stays open.

    Raises BadInput where it cannot be used, Conflict where another server has it.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Conflict(f"{data}: another 'assay serve' is using this directory") from error
    except OSError as error:
        raise BadInput(f"{data}: cannot be used as data directory: {error.strerror}") from error
    return lock


@contextmanager
def opened(data: Path, database_url: str, clock: Clock) -> Iterator[Store]:
    """The database, for a command on the machine of the server: beside a server that runs, or where none does.

    Without a server it is made or brought to the newest schema as ``assay serve`` does; with one it is left as it is.
    """
    try:
        lock: IO[str] | None = take(data)
    except Conflict:
        lock = None
    store = Store(database_url, clock, upgrade=lock is not None)
    try:
        yield store
    finally:
        store.close()
        if lock is not None:
            lock.close()
