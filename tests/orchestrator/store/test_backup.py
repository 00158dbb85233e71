"""Backup and restore: from each database to each, under load, and nothing that is damaged comes back."""

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab_world import World
from sqlalchemy import select, text

from lab_inventory.canonical import digest, sha256
from lab_inventory.clock import ManualClock, SystemClock
from lab_inventory.errors import AssayError, BadInput, Conflict
from orchestrator.store import tables as t
from orchestrator.store.archive import Manifest, writing
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.audit import audit
from orchestrator.store.backup import OF_RUNNING_SERVERS, Kept, backup, restore
from orchestrator.store.store import Store
from tests.orchestrator.store.lived import live
from tests.orchestrator.store.test_migrations import EARLIER, rows_that_lived
from tests.postgres import PostgresServer

EVIDENCE = b"what an instrument saw"
KEY = b'{"kty":"OKP"}'
Place = tuple[Path, str]


@pytest.fixture
def lived(world: World) -> World:
    live(world)
    with world.desk.artifacts.draft(sha256(EVIDENCE)) as draft:
        draft.add(EVIDENCE)
        draft.keep()
    (world.folder / "signing-key.json").write_bytes(KEY)
    return world


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Makes an empty data directory with an empty database of a kind."""
    with ExitStack() as stack:

        def make(kind: str) -> Place:
            data = tmp_path / "restored"
            data.mkdir()
            if kind == "sqlite":
                return data, f"sqlite:///{data}/assay.sqlite"
            server: PostgresServer = request.getfixturevalue("postgres_server")
            return data, stack.enter_context(server.database())

        yield make


def back_up(world: World, *, artifacts: bool = True, signing_key: bool = False) -> tuple[Path, Kept]:
    path = world.folder / "backup.zip"
    kept = backup(world.store, world.folder, path, SystemClock(), artifacts=artifacts, signing_key=signing_key)
    return path, kept


def rows_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in t.metadata.sorted_tables
        }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_everything_is_found_again_on_either_database(lived: World, empty: Callable[[str], Place], kind: str) -> None:
    path, kept = back_up(lived, signing_key=True)
    data, url = empty(kind)
    restored = restore(path, data, url)
    assert restored == kept
    assert path.stat().st_mode & 0o077 == 0
    store = Store(url, ManualClock())
    assert rows_of(store) == rows_of(lived.store)
    with store.reading() as connection:
        assert audit(connection).findings == ()
    store.close()
    assert Artifacts(data / "artifacts").open_path(sha256(EVIDENCE)).read_bytes() == EVIDENCE
    assert (data / "signing-key.json").read_bytes() == KEY
    assert (data / "signing-key.json").stat().st_mode & 0o077 == 0


def test_the_restored_lab_goes_on(lived: World, empty: Callable[[str], Place]) -> None:
    path, _ = back_up(lived)
    data, url = empty("sqlite")
    restore(path, data, url)
    world = World(data, url=url)
    batch = world.submit(key="key-3").batch
    world.tick()
    with world.store.reading() as connection:
        assert batch in connection.execute(select(t.batches.c.batch)).scalars().all()
        assert audit(connection).findings == ()
    world.store.close()


def test_the_signing_key_is_in_it_only_where_that_was_asked_for(lived: World) -> None:
    path, kept = back_up(lived)
    assert not kept.signing_key
    with zipfile.ZipFile(path) as archive:
        assert "signing-key.json" not in archive.namelist()


def test_artifacts_may_be_listed_and_left_out(lived: World, empty: Callable[[str], Place]) -> None:
    path, kept = back_up(lived, artifacts=False)
    assert (kept.artifacts, kept.missing) == (1, 1)
    data, url = empty("sqlite")
    assert restore(path, data, url).missing == 1


def test_a_backup_overwrites_nothing(lived: World) -> None:
    path, _ = back_up(lived)
    before = path.read_bytes()
    with pytest.raises(Conflict, match="overwrites nothing"):
        back_up(lived)
    assert path.read_bytes() == before


def test_an_artifact_that_is_damaged_where_it_is_kept_is_told_and_leaves_no_backup(lived: World) -> None:
    lived.desk.artifacts.open_path(sha256(EVIDENCE)).write_bytes(b"rotten")
    with pytest.raises(BadInput, match="is damaged where it is kept"):
        back_up(lived)
    assert [path.name for path in lived.folder.glob("backup*")] == []


def test_nothing_is_restored_over_what_is_there(lived: World) -> None:
    path, _ = back_up(lived)
    before = rows_of(lived.store)
    with pytest.raises(Conflict, match="is not empty"):
        restore(path, lived.folder, lived.url)
    assert rows_of(lived.store) == before


def refused(path: Path, place: Place) -> str:
    """Why a backup is refused; checked too that nothing is left of it."""
    data, url = place
    with pytest.raises(AssayError) as error:
        restore(path, data, url)
    assert list(data.glob("assay.sqlite*")) == []
    assert not (data / "signing-key.json").exists()
    return str(error.value)


def members(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_byte_changed_anywhere_is_refused_or_changes_nothing(lived: World, tmp_path: Path) -> None:
    """Every 97th byte, and those at both ends."""
    path, _ = back_up(lived)
    whole, content = path.read_bytes(), members(path)
    data = tmp_path / "restored"
    data.mkdir()
    damaged = tmp_path / "damaged.zip"
    places = [*range(0, len(whole), 97), len(whole) - 1]
    refused_at = []
    for at in places:
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        try:
            restore(damaged, data, f"sqlite:///{data}/assay.sqlite")
        except BadInput:
            refused_at.append(at)
            continue
        # Not every byte of a zip means something (a time, an attribute, padding): then all of it is there.
        assert members(damaged) == content
        store = Store(f"sqlite:///{data}/assay.sqlite", ManualClock())
        assert rows_of(store) == rows_of(lived.store)
        store.close()
        for left in data.glob("assay.sqlite*"):
            left.unlink()
    assert len(refused_at) > len(places) / 2


@pytest.mark.parametrize("kept", [0, 100, -1, -200])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_that_was_cut_is_refused(lived: World, empty: Callable[[str], Place], kept: int) -> None:
    path, _ = back_up(lived)
    path.write_bytes(path.read_bytes()[:kept])
    assert "no backup of Assay, or is damaged" in refused(path, empty("sqlite"))


def made_again(path: Path, name: str, change: Callable[[str], str]) -> None:
    """A backup with another content of one member, and with every digest made right again."""
    with zipfile.ZipFile(path) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    content[name] = change(content[name].decode()).encode()
    said = json.loads(content.pop("manifest.json"))["manifest"]
    said["members"] = {member: sha256(data) for member, data in content.items()}
    manifest = Manifest.model_validate(said)
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(member, data)
        archive.writestr("manifest.json", json.dumps({"manifest": said, "digest": digest(manifest)}))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("tables/journal.jsonl", lambda was: was.replace("host-1", "host-2"), "was changed"),
        ("tables/journal.jsonl", lambda was: was.partition("\n")[2], "journal row 1 is missing"),
        ("tables/journal.jsonl", lambda was: was.rstrip("\n").rpartition("\n")[0] + "\n", "the manifest says"),
        ("tables/journal.jsonl", lambda was: '{"seq": 1}\n' + was, "a row that is none"),
        ("tables/certificates.jsonl", lambda was: was.replace("certified", "works-with"), "the journal says"),
        ("tables/certificates.jsonl", lambda was: "", "certificate_links"),
        ("tables/certificate_links.jsonl", lambda was: "", "are not those that were journaled"),
        ("tables/devices.jsonl", lambda was: was.replace('"device"', '"nonsense"'), "cannot be restored"),
        ("tables/runs.jsonl", lambda was: was + was, "cannot be used"),
        ("tables/other.jsonl", lambda was: "", "a table that schema"),
        ("issuer.json", lambda was: was, ""),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_that_was_forged_with_right_digests_is_refused_by_the_journal(
    lived: World, empty: Callable[[str], Place], kind: str, name: str, change: Callable[[str], str], words: str
) -> None:
    (lived.folder / "issuer.json").write_text("{}")
    path, _ = back_up(lived)
    with zipfile.ZipFile(path, "a") as archive:
        if name not in archive.namelist():
            archive.writestr(name, "")
    made_again(path, name, change)
    data, url = empty(kind)
    if words:
        assert words in refused(path, (data, url))
        Store(url, ManualClock()).close()  # the database is still an empty one
    else:
        restore(path, data, url)


def test_a_backup_of_a_newer_version_is_refused(lived: World, empty: Callable[[str], Place]) -> None:
    path, _ = back_up(lived)
    with zipfile.ZipFile(path) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    said = json.loads(content.pop("manifest.json"))["manifest"] | {"schema_revision": "9999"}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(member, data)
        sealed = {"manifest": said, "digest": digest(Manifest.model_validate(said))}
        archive.writestr("manifest.json", json.dumps(sealed))
    assert "the backup has schema 9999" in refused(path, empty("sqlite"))


def test_a_backup_taken_under_load_has_everything_that_was_acknowledged_before_it(
    lived: World, empty: Callable[[str], Place]
) -> None:
    acknowledged: list[str] = []
    some, ends = threading.Semaphore(0), threading.Event()

    def load() -> None:
        number = 0
        while not ends.is_set():
            acknowledged.append(lived.submit(key=f"load-{number}").batch)
            number += 1
            some.release()

    writer = threading.Thread(target=load)
    writer.start()
    try:
        for _ in range(20):
            assert some.acquire(timeout=30)
        before = list(acknowledged)
        path, kept = back_up(lived)
        for _ in range(len(acknowledged) - len(before) + 5):
            assert some.acquire(timeout=30)
    finally:
        ends.set()
        writer.join()
    data, url = empty("sqlite")
    assert restore(path, data, url) == kept
    store = Store(url, ManualClock())
    with store.reading() as connection:
        batches = set(connection.execute(select(t.batches.c.batch)).scalars())
        assert audit(connection).findings == ()
        assert connection.execute(text("SELECT count(*) FROM journal")).scalar_one() == kept.journal_length
    store.close()
    assert len(before) >= 20
    assert set(before) <= batches
    assert batches < {*acknowledged, *batches_of(lived)}


def batches_of(world: World) -> set[str]:
    with world.store.reading() as connection:
        return set(connection.execute(select(t.batches.c.batch)).scalars())


@pytest.mark.parametrize("revision", EARLIER)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_of_an_earlier_schema_is_brought_up(
    empty: Callable[[str], Place], tmp_path: Path, revision: str, kind: str
) -> None:
    rows = rows_that_lived(revision)
    with writing(tmp_path / "old.backup") as archive:
        for table in t.metadata.sorted_tables:
            if table in OF_RUNNING_SERVERS or table.name not in rows:
                continue
            booleans = [column.name for column in table.columns if column.type.python_type is bool]
            content = [row | {name: bool(row[name]) for name in booleans} for row in rows[table.name]]
            archive.add(f"tables/{table.name}.jsonl", (json.dumps(row).encode() + b"\n" for row in content))
        archive.add("artifacts.txt", [])
        last = max(rows["journal"], key=lambda row: int(row["seq"]))
        archive.seal(
            Manifest(
                format=1,
                made_at="2026-01-01T00:00:00+00:00",
                made_from="sqlite",
                schema_revision=revision,
                journal_length=last["seq"],
                journal_head=last["hash"],
                with_artifacts=False,
                members=archive.members,
            )
        )
    data, url = empty(kind)
    assert restore(tmp_path / "old.backup", data, url).journal_length == last["seq"]
    store = Store(url, ManualClock(), upgrade=False)
    assert len(rows_of(store)["reports"]) == len(rows["reports"])
    with store.reading() as connection:
        assert audit(connection).findings == ()
    store.close()
