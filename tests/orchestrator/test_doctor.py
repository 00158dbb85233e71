"""What ``assay doctor`` finds, each fault made on purpose; it changes nothing."""

import json
import os
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lab_server import LabServer, serving
from lab_world import World, registration

from lab_inventory.clock import ManualClock, SystemClock
from orchestrator import doctor
from orchestrator.settings import Settings
from orchestrator.signing import Signer
from orchestrator.store.migrating import newest
from tests.orchestrator.cli.conftest import run_assay
from tests.ports import free_port


@pytest.fixture(autouse=True)
def _ray_is_not_imported_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor.Finding(check="ray", ok=True, detail="2")
    monkeypatch.setattr(doctor, "ray_version", lambda: found)


def settings(data: Path, **change: object) -> Settings:
    return Settings.model_validate({"data": data, "port": free_port()} | change)


def look(given: Settings, now: datetime | None = None) -> dict[str, doctor.Finding]:
    clock = ManualClock(now) if now else SystemClock()
    return {finding.check: finding for finding in doctor.examine(given, clock)}


def wrong(found: dict[str, doctor.Finding]) -> dict[str, str]:
    return {check: finding.detail for check, finding in found.items() if not finding.ok}


def used(folder: Path) -> Settings:
    """A data directory in which work was done."""
    world = World(folder)
    world.heartbeat(registration())
    world.submit()
    world.tick()
    world.store.close()
    Signer.at(folder / "signing-key.json", name="test")
    return settings(folder)


def test_before_the_first_start_all_is_well_and_nothing_is_made(tmp_path: Path) -> None:
    found = look(settings(tmp_path / "not" / "yet"))
    assert wrong(found) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_used_directory_is_well_and_stays_as_it_is(tmp_path: Path) -> None:
    given = used(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    found = look(given)
    assert wrong(found) == {}
    assert f"schema {newest()}" in found["database"].detail
    assert found["signing key"].detail.endswith("mode 0600")
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is no directory" in wrong(look(settings(tmp_path / "file")))["data directory"]


def test_too_little_room(tmp_path: Path) -> None:
    assert "MB needed" in wrong(look(settings(tmp_path, free_bytes_min=10**18)))["data directory"]


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "assay.sqlite").write_bytes(b"no database at all" * 100)
    assert "not a database" in wrong(look(settings(tmp_path)))["database"]


def test_a_database_of_another_schema(tmp_path: Path) -> None:
    given = used(tmp_path)
    _sql(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    assert "it has schema 9999" in wrong(look(given))["database"]


def test_a_journal_whose_last_row_was_changed(tmp_path: Path) -> None:
    given = used(tmp_path)
    _sql(tmp_path, "DROP TRIGGER journal_no_update")
    _sql(tmp_path, "UPDATE journal SET entity = 'other' WHERE seq = (SELECT max(seq) FROM journal)")
    assert "the last, was changed" in wrong(look(given))["database"]


def test_a_key_that_others_can_read_is_lost_or_is_none(tmp_path: Path) -> None:
    given = used(tmp_path)
    key = tmp_path / "signing-key.json"
    key.chmod(0o644)
    assert "set its mode to 0600" in wrong(look(given))["signing key"]
    key.chmod(0o600)
    key.write_text("{}")
    assert "is no private Ed25519 key" in wrong(look(given))["signing key"]
    key.unlink()
    assert "is missing beside its database" in wrong(look(given))["signing key"]
    assert not key.exists()


def test_a_clock_that_stands_before_the_journal(tmp_path: Path) -> None:
    given = used(tmp_path)
    assert wrong(look(given, datetime(2026, 1, 1, tzinfo=UTC))) == {}
    early = look(given, datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=1))
    assert "before the journal's last row" in wrong(early)["clock"]


def test_a_port_that_another_program_holds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        os.set_blocking(other.fileno(), False)
        given = settings(tmp_path, port=other.getsockname()[1])
        doctor.ASK_TIMEOUT_S, usual = 0.3, doctor.ASK_TIMEOUT_S
        try:
            found = wrong(look(given))
        finally:
            doctor.ASK_TIMEOUT_S = usual
    assert "is held by a program that is no server of Assay" in found["port"]


async def test_a_running_server_is_asked_for_its_parts(server: LabServer) -> None:
    await server.join()
    ended = await run_assay("doctor", "--data", str(server.data), "--server", server.address, "-o", "json")
    found = {finding["check"]: finding for finding in json.loads(ended.out)}
    assert [check for check, finding in found.items() if not finding["ok"]] == []
    assert ended.status == 0
    assert found["ray"]["detail"].startswith("2.")
    assert found["server"]["detail"] == f"{server.address} takes work"
    assert {"server: database", "server: loop", "server: agent of host-1"} <= set(found)


async def test_something_wrong_is_status_1_and_in_the_table(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", free_bytes_min=10**18) as server:
        ended = await run_assay(
            "doctor", "--data", str(server.data), "--server", server.address, ASSAY_FREE_BYTES_MIN="1"
        )
    assert ended.status == 1
    (row,) = [line for line in ended.out.splitlines() if "WRONG" in line]
    assert "server: disk" in row


async def test_no_server_at_an_address_that_was_named_is_wrong(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    ended = await run_assay("doctor", "--data", str(tmp_path), "--server", address, "-o", "json")
    found = {finding["check"]: finding for finding in json.loads(ended.out)}
    assert ended.status == 1
    assert found["server"]["detail"] == f"no server of Assay answers at {address}"


@pytest.fixture
async def server(tmp_path: Path):  # type: ignore[no-untyped-def]
    async with serving(tmp_path / "data") as running:
        yield running


def _sql(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "assay.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()
