"""The file of a backup: a zip whose last member, the manifest, has the SHA-256 of every other and of itself.

    tables/NAME.jsonl    a table's rows, one JSON object a line
    artifacts.txt        the address of every artifact there was
    artifacts/ADDRESS    an artifact; all of them or none
    issuer.json          who signs the certificates
    signing-key.json     only where it was asked for
    manifest.json

Rows and nothing else of a database: so what was kept on SQLite can be restored to PostgreSQL and back.
"""

import errno
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab_inventory.canonical import digest
from lab_inventory.errors import BadInput, Conflict, NoRoom
from lab_inventory.noun import Noun, Sha256

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 200_000_000
CHUNK_BYTES = 1_000_000


class Manifest(Noun):
    """What an archive holds. ``members``: each one's digest; ``journal_head`` is the hash of the journal's last row."""

    format: int
    made_at: str
    made_from: str
    schema_revision: str
    journal_length: int
    journal_head: str
    with_artifacts: bool
    members: dict[str, Sha256]


class _Sealed(Noun):
    manifest: Manifest
    digest: Sha256


class ArchiveWriter:
    """Adds members; what is added is hashed on the way."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members: dict[str, str] = {}

    def add(self, name: str, chunks: Iterable[bytes]) -> str:
        """Add one member from its pieces; gives its digest."""
        found = hashlib.sha256()
        with self._archive.open(name, "w", force_zip64=True) as member:
            for chunk in chunks:
                found.update(chunk)
                member.write(chunk)
        self.members[name] = f"sha256:{found.hexdigest()}"
        return self.members[name]

    def seal(self, manifest: Manifest) -> None:
        """Add the manifest: without it an archive is none."""
        sealed = _Sealed(manifest=manifest, digest=digest(manifest))
        self._archive.writestr(MANIFEST, sealed.model_dump_json())


@contextmanager
def writing(path: Path) -> Iterator[ArchiveWriter]:
    """A new archive, readable by its owner only, at ``path`` once the block has ended well; else nothing is left.

    Raises Conflict where a file is there, NoRoom or BadInput where it cannot be written.
    """
    if path.exists():
        raise Conflict(f"{path} is there already; a backup overwrites nothing")
    partial = path.with_name(f"{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
                    yield ArchiveWriter(archive)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        kind = NoRoom if error.errno == errno.ENOSPC else BadInput
        raise kind(f"{path}: the backup cannot be written: {error.strerror}") from error


class ArchiveReader:
    """An archive of which every byte was looked at: no member is missing, changed or added."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member, piece by piece."""
        with self._archive.open(name) as member:
            while chunk := member.read(CHUNK_BYTES):
                yield chunk

    def lines(self, name: str) -> Iterator[str]:
        """A member of lines, without their ends."""
        with self._archive.open(name) as member:
            for line in member:
                yield line.decode().rstrip("\n")

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table."""
        for line in self.lines(f"tables/{table}.jsonl"):
            row: dict[str, Any] = json.loads(line)
            yield row

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of the members in a folder, without the folder."""
        return tuple(name.removeprefix(folder) for name in self.manifest.members if name.startswith(folder))


@contextmanager
def reading(path: Path) -> Iterator[ArchiveReader]:
    """The archive at ``path``, looked at as a whole first. Raises BadInput where it is none, damaged or not whole."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            reader = ArchiveReader(archive, _manifest(archive))
            _check(reader, [info.filename for info in archive.infolist()])
            yield reader
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path}: is no backup of Assay, or is damaged: {error}") from error


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    if archive.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
        raise BadInput("the manifest is too large")
    try:
        sealed = _Sealed.model_validate_json(archive.read(MANIFEST))
    except ValidationError as error:
        raise BadInput(f"the manifest cannot be read: {error.error_count()} mistake(s)") from error
    if digest(sealed.manifest) != sealed.digest:
        raise BadInput("the manifest was changed")
    if sealed.manifest.format != FORMAT:
        raise BadInput(f"the backup has format {sealed.manifest.format}; this version of Assay reads format {FORMAT}")
    return sealed.manifest


def _check(reader: ArchiveReader, names: list[str]) -> None:
    expected = {*reader.manifest.members, MANIFEST}
    if set(names) != expected or len(names) != len(expected):
        odd = sorted(set(names) ^ expected) or ["a member twice"]
        raise BadInput(f"the backup is not whole, or something was added: {odd[0]}")
    for name, said in reader.manifest.members.items():
        found = hashlib.sha256()
        for chunk in reader.chunks(name):
            found.update(chunk)
        if f"sha256:{found.hexdigest()}" != said:
            raise BadInput(f"{name} was changed in the backup")
