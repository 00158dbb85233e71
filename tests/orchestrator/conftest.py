"""The lab that tests of the orchestrator stand in, over each database."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab_world import World

from tests.postgres import PostgresServer, programs

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The tests' own PostgreSQL server."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL's programs are not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(found)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the test's own, at the newest schema, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/assay.sqlite"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.migrated() as url:
        yield url


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    world = World(tmp_path, url=database_url)
    yield world
    world.store.close()
