"""``assay backup`` and ``assay restore``: everything an orchestrator knows in one file, taken while servers run.

The rows are read in one transaction that sees one committed state, on either database; artifacts are only ever added,
so those that rows speak of are there. What is restored is looked at as a whole before anything is kept: every byte of
the archive, the journal's chain, and that the tables agree with it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, MetaData, Table, select

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, Problem
from orchestrator.new_file import write_new
from orchestrator.store import migrating
from orchestrator.store import tables as t
from orchestrator.store.archive import FORMAT, ArchiveReader, ArchiveWriter, Manifest, reading, writing
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.audit import audit
from orchestrator.store.engine import engine_at, opening
from orchestrator.store.journal import GENESIS, JournalRow, broken_links
from orchestrator.store.store import Store, head

OF_RUNNING_SERVERS = frozenset({t.schema, t.leadership, t.heard})
"""Tables that say nothing about the lab."""

ROWS_AT_ONCE = 500
FINDINGS_SHOWN_MAX = 20
KEY, ISSUER = "signing-key.json", "issuer.json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a backup holds, or what was restored. ``missing``: artifacts that rows may speak of and nobody has here."""

    schema: str
    rows: int
    journal_length: int
    journal_head: str
    artifacts: int
    missing: int
    signing_key: bool


def backup(store: Store, data: Path, path: Path, clock: Clock, *, artifacts: bool, signing_key: bool) -> Kept:
    """Write everything to a new file at ``path``. Raises as :func:`writing` does, BadInput for a damaged artifact."""
    key = data / KEY
    if signing_key and not key.exists():
        raise BadInput(f"{key}: there is no signing key to back up")
    with writing(path) as archive:
        rows = 0
        with store.reading() as connection:
            end = head(connection)
            for table in t.metadata.sorted_tables:
                if table not in OF_RUNNING_SERVERS:
                    counted = _Counted(connection, table)
                    archive.add(f"tables/{table.name}.jsonl", counted.lines())
                    rows += counted.rows
        # Listed after the rows were read: what they speak of was there before.
        addresses = Artifacts(data / "artifacts").addresses()
        archive.add("artifacts.txt", (f"{address}\n".encode() for address in addresses))
        if artifacts:
            _add_artifacts(archive, Artifacts(data / "artifacts"), addresses)
        for file in [data / ISSUER, *([key] if signing_key else [])]:
            if file.exists():
                archive.add(file.name, [file.read_bytes()])
        manifest = Manifest(
            format=FORMAT,
            made_at=clock.now().isoformat(),
            made_from=store.engine.dialect.name,
            schema_revision=migrating.newest(),
            journal_length=end.length,
            journal_head=end.hash,
            with_artifacts=artifacts,
            members=archive.members,
        )
        archive.seal(manifest)
    return _kept(manifest, rows, len(addresses), 0 if artifacts else len(addresses))


def _kept(manifest: Manifest, rows: int, artifacts: int, missing: int) -> Kept:
    return Kept(
        schema=manifest.schema_revision,
        rows=rows,
        journal_length=manifest.journal_length,
        journal_head=manifest.journal_head,
        artifacts=artifacts,
        missing=missing,
        signing_key=KEY in manifest.members,
    )


class _Counted:
    """The rows of a table as lines, and how many they were."""

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self.rows = 0

    def lines(self) -> Iterator[bytes]:
        """One JSON object a line, in the order of the primary key."""
        rows = self._connection.execute(
            select(self._table).order_by(*self._table.primary_key.columns),
            execution_options={"yield_per": ROWS_AT_ONCE},
        )
        for row in rows:
            self.rows += 1
            yield json.dumps(dict(row._mapping), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _add_artifacts(archive: ArchiveWriter, artifacts: Artifacts, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        with artifacts.open_path(address).open("rb") as file:
            found = archive.add(f"artifacts/{address}", iter(lambda: file.read(1_000_000), b""))
        if found != address:
            raise BadInput(f"artifact {address} is damaged where it is kept; restore it, or back up without artifacts")


def restore(path: Path, data: Path, url: str) -> Kept:
    """Restore the archive at ``path`` into the empty database at ``url`` and the data directory, which exists.

    Raises BadInput for an archive that is damaged or contradicts itself, Conflict where something is there already;
    nothing is kept then but artifacts, which harm nobody.
    """
    with reading(path) as archive:
        manifest = archive.manifest
        if manifest.schema_revision not in migrating.revisions():
            raise BadInput(
                f"{path}: the backup has schema {manifest.schema_revision}; "
                f"this version of Assay reads schemas up to {migrating.newest()}"
            )
        _check_journal(archive)
        _require_no_other_key(archive, data / KEY)
        artifacts = Artifacts(data / "artifacts")
        with _into_empty(url) as connection:
            rows = _fill(connection, archive)
            _refuse(audit(connection).findings)
            for address in archive.names("artifacts/"):
                _restore_artifact(archive, artifacts, address)
            _restore_key(archive, data / KEY)
        listed = [address for address in archive.lines("artifacts.txt") if address]
        missing = sum(not artifacts.has(address) for address in listed)
        return _kept(manifest, rows, len(listed) - missing, missing)


@contextmanager
def _into_empty(url: str) -> Iterator[Connection]:
    """One transaction on the empty database at ``url``; a file that was made for it is gone where that fails."""
    engine = engine_at(url)
    file = Path(engine.url.database) if engine.dialect.name == "sqlite" and engine.url.database else None
    made = file is not None and not file.exists()
    try:
        with opening(engine), migrating.migration(engine) as connection:
            if migrating.revision_of(connection) != migrating.EMPTY:
                raise Conflict("the database is not empty; restore into one that is")
            yield connection
        made = False
    finally:
        engine.dispose()
        if made and file is not None:
            for left in file.parent.glob(f"{file.name}*"):
                left.unlink()


def _check_journal(archive: ArchiveReader) -> None:
    end = [(0, GENESIS)]

    def rows() -> Iterator[JournalRow]:
        for row in archive.rows("journal"):
            try:
                found = JournalRow(**row)
            except TypeError as error:
                raise BadInput("the journal has a row that is none") from error
            end[0] = (found.seq, found.hash)
            yield found

    wrong = broken_links(rows())
    if not wrong and end[0] != (archive.manifest.journal_length, archive.manifest.journal_head):
        wrong = (f"the journal ends at row {end[0][0]}; the manifest says {archive.manifest.journal_length}",)
    _refuse(wrong)


def _refuse(findings: tuple[str, ...]) -> None:
    if findings:
        raise BadInput(
            "the backup contradicts itself and is not restored",
            problems=tuple(
                Problem(path="the backup", wrong=finding, expected="what was journaled")
                for finding in findings[:FINDINGS_SHOWN_MAX]
            ),
        )


def _fill(connection: Connection, archive: ArchiveReader) -> int:
    """Make the schema that the rows were read from, fill it, and bring it up; gives the number of rows."""
    migrating.upgrade(connection, archive.manifest.schema_revision)
    found = MetaData()
    found.reflect(connection)
    names = set(archive.names("tables/"))
    rows = 0
    for table in found.sorted_tables:
        if f"{table.name}.jsonl" not in names:
            continue
        names.remove(f"{table.name}.jsonl")
        content = archive.rows(table.name)
        columns = {column.name for column in table.columns}
        while some := list(islice(content, ROWS_AT_ONCE)):
            if any(row.keys() != columns for row in some):
                raise BadInput(f"the backup cannot be restored: a row of {table.name} has other columns than its table")
            connection.execute(table.insert(), some)
            rows += len(some)
    if names:
        raise BadInput(f"the backup has a table that schema {archive.manifest.schema_revision} has not: {min(names)}")
    migrating.upgrade(connection, migrating.newest())
    return rows


def _restore_artifact(archive: ArchiveReader, artifacts: Artifacts, address: str) -> None:
    if artifacts.has(address):
        return
    with artifacts.draft(address, bytes_max=2**63) as draft:
        for chunk in archive.chunks(f"artifacts/{address}"):
            draft.add(chunk)
        draft.keep()


def _require_no_other_key(archive: ArchiveReader, path: Path) -> None:
    if KEY in archive.manifest.members and path.exists() and path.read_bytes() != b"".join(archive.chunks(KEY)):
        raise Conflict(f"{path}: another signing key is there; put it elsewhere first")


def _restore_key(archive: ArchiveReader, path: Path) -> None:
    if KEY not in archive.manifest.members or path.exists():
        return
    write_new(path, b"".join(archive.chunks(KEY)))
