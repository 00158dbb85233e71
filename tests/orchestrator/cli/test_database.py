"""``assay database``, ``assay backup`` and ``assay restore``, on a running server and on either database."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab_server import LabServer, serving

from tests.orchestrator.cli.conftest import run_assay
from tests.orchestrator.store.lived import FOLDER
from tests.postgres import PostgresServer


@pytest.fixture
def empty_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


async def test_a_running_lab_is_backed_up_and_restored_to_the_other_database(
    server: LabServer, tmp_path: Path, empty_url: str
) -> None:
    done = await server.measured_batch()
    data, backup = tmp_path / "restored", tmp_path / "lab.backup"
    ended = await run_assay("backup", str(backup), "--data", str(server.data), "--with-signing-key")
    assert (ended.status, ended.err) == (0, "")
    restored = await run_assay("restore", str(backup), "--data", str(data), "--database", empty_url)
    assert (restored.status, restored.err) == (0, "")
    assert "holds" in restored.out
    audit = await run_assay("audit", "verify", "--data", str(data), "--database", empty_url)
    assert audit.status == 0
    assert ended.out.partition("head ")[2].partition(";")[0] in audit.out
    async with serving(data, database_url=empty_url) as other:
        found = (await other.operator.get(f"/v1/batches/{done['batch']}")).json()
        assert found == done
        issuers = [(directory / "issuer.json").read_text() for directory in (server.data, data)]
        assert issuers[0] == issuers[1]


async def test_without_the_signing_key_both_commands_say_so(server: LabServer, tmp_path: Path) -> None:
    backup = tmp_path / "lab.backup"
    ended = await run_assay("backup", str(backup), "--data", str(server.data))
    assert "the signing key is not in it" in ended.out
    restored = await run_assay("restore", str(backup), "--data", str(tmp_path / "restored"))
    assert restored.status == 0
    assert "put it back as" in restored.out


async def test_a_damaged_backup_and_one_over_a_running_server_are_refused_in_one_line(
    server: LabServer, tmp_path: Path
) -> None:
    backup = tmp_path / "lab.backup"
    await run_assay("backup", str(backup), "--data", str(server.data))
    running = await run_assay("restore", str(backup), "--data", str(server.data))
    assert (running.status, len(running.err.splitlines())) == (2, 1)
    assert "another 'assay serve' is using this directory" in running.err
    backup.write_bytes(backup.read_bytes()[:-100])
    damaged = await run_assay("restore", str(backup), "--data", str(tmp_path / "restored"))
    assert (damaged.status, len(damaged.err.splitlines())) == (2, 1)
    assert "is no backup of Assay, or is damaged" in damaged.err
    assert list((tmp_path / "restored").glob("assay.sqlite*")) == []


async def test_a_database_from_before_migrations_is_brought_up_by_command(tmp_path: Path) -> None:
    script = (FOLDER / "0001.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "assay.sqlite")) as connection:
        connection.executescript(script)
    data = ("--data", str(tmp_path))
    before = await run_assay("audit", "verify", *data)
    assert "run 'assay database upgrade'" in before.err
    ended = await run_assay("database", "upgrade", *data)
    assert ended.out.startswith("the database was brought from schema 0001 to schema ")
    again = await run_assay("database", "upgrade", *data)
    assert again.out.endswith("already\n")
    assert (await run_assay("audit", "verify", *data)).status == 0


async def test_an_empty_postgresql_database_is_filled_and_doctor_finds_it_well(tmp_path: Path, empty_url: str) -> None:
    environment = {"ASSAY_DATABASE_URL": empty_url, "ASSAY_DATA": str(tmp_path)}
    assert "none yet" in (await run_assay("doctor", **environment)).out
    assert (await run_assay("database", "upgrade", **environment)).status == 0
    found = await run_assay("doctor", "-o", "json", **environment)
    assert '"schema 0' in found.out


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://assay:secret@127.0.0.1:1/assay", "cannot be used: connection"),
        ("mysql://assay:secret@127.0.0.1/assay", "expected sqlite or postgresql"),
        ("postgresql:secret", "cannot be read"),
    ],
)
@pytest.mark.parametrize("command", [("database", "upgrade"), ("audit", "verify"), ("serve", "--port", "0")])
async def test_a_database_that_cannot_be_used_is_told_in_one_line_without_its_password(
    tmp_path: Path, url: str, words: str, command: tuple[str, ...]
) -> None:
    async with asyncio.timeout(60):
        ended = await run_assay(*command, "--data", str(tmp_path), "--database", url)
    assert ended.status == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
    assert "secret" not in ended.err + ended.out
