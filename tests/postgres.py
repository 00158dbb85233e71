"""A PostgreSQL server of the tests' own: one for the whole run, a database for each test, on a unix socket.

It speaks with nobody else's server. Its default collation is a language's, as an installation's may be, and no bytes.
"""

import grp
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from lab_inventory.clock import SystemClock, boottime_ns
from orchestrator.store.store import Store

OPTIONS = {
    "listen_addresses": "",
    # What a test looks at survives the death of a process, not of the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}
START_S = 60
TEMPLATE = "assay_template"


def programs() -> Path | None:
    """The folder with ``postgres`` and ``initdb``, or None where they are not installed."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


class PostgresServer:
    """A running server; ``database`` makes an empty one in it, ``migrated`` one at the newest schema."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="assay-pg-", dir="/tmp"))
        self._numbers = itertools.count(1)
        self._template = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        owner = _unprivileged()
        if owner:
            shutil.chown(self.folder, *owner)
        as_owner = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
        common = {"cwd": self.folder, "stdin": subprocess.DEVNULL} | as_owner
        data = self.folder / "data"
        language = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        initdb = [self._bin / "initdb", "-D", data, "-U", "assay", "-A", "trust", "-E", "UTF8", "--no-sync", *language]
        with (self.folder / "log").open("a") as log:
            if not data.exists():
                subprocess.run(initdb, check=True, stdout=log, stderr=log, timeout=START_S, **common)  # type: ignore[call-overload]
            settings = [f"--{name}={value}" for name, value in OPTIONS.items()]
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                [self._bin / "postgres", "-D", data, "-k", self.folder, *settings], stdout=log, stderr=log, **common
            )
        self._await()

    def _await(self) -> None:
        """Until it takes connections; nothing tells of that, so it is asked."""
        ends_s = boottime_ns() / 1e9 + START_S
        while True:
            try:
                psycopg.connect(self._dsn("postgres")).close()
                return
            except psycopg.OperationalError:
                gone = self._process is None or self._process.poll() is not None
                if gone or boottime_ns() / 1e9 > ends_s:
                    raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}") from None
                threading.Event().wait(0.05)

    def halt(self) -> None:
        """End the server and every connection to it; ``start`` goes on with what is kept."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_S)
            self._process = None

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        return f"postgresql://assay@/{name}?host={self.folder}"

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """The URL of a database of its own."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The same, at the newest schema."""
        if not self._template:
            self.run(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
            Store(self.url(TEMPLATE), SystemClock()).close()
            self._template = True
        with self.database(template=TEMPLATE) as url:
            yield url

    def run(self, statement: str) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _dsn(self, name: str) -> str:
        return f"host={self.folder} user=assay dbname={name}"


def _unprivileged() -> tuple[str, str] | None:
    """Whom the server runs as where we are root, which it refuses."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return name, grp.getgrgid(entry.pw_gid).gr_name
    raise RuntimeError("there is no user postgres and no user nobody to run PostgreSQL as")
