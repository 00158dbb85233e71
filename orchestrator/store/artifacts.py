"""Files by content address: a name from outside is never a path. Writes are whole or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab_inventory.errors import BadInput, NotFound, TooLarge, Unavailable
from lab_inventory.messages import EVIDENCE_BYTES_MAX

_ADDRESS = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")


class Artifacts:
    """A folder of files, each under its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, address: str) -> Path:
        """Where the artifact of that address lies; raises BadInput where it is no address."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise BadInput(f"{address[:80]!r} is no content address; expected sha256: and 64 hexadecimal digits")
        return self._folder / match.group(1) / match.group(2)

    def has(self, address: str) -> bool:
        """Whether it is there."""
        return self.path(address).is_file()

    def open_path(self, address: str) -> Path:
        """The path of an artifact that is there; raises NotFound."""
        path = self.path(address)
        if not path.is_file():
            raise NotFound(f"there is no artifact {address}")
        return path

    @contextmanager
    def draft(self, address: str, bytes_max: int = EVIDENCE_BYTES_MAX) -> Iterator["Draft"]:
        """A file to be filled piece by piece; it is there once :meth:`Draft.keep` was called, else nothing is left.

        Raises Unavailable where the disk refuses.
        """
        path = self.path(address)
        try:
            path.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".draft", delete=False) as file:
                try:
                    yield Draft(file, address, path, bytes_max)
                finally:
                    Path(file.name).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"the artifact cannot be kept: {error.strerror}") from error


class Draft:
    """An artifact that is not whole yet."""

    def __init__(self, file: Any, address: str, path: Path, bytes_max: int) -> None:
        self._file = file
        self._address = address
        self._path = path
        self._bytes_max = bytes_max
        self._found = hashlib.sha256()
        self._size_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Add a piece; raises TooLarge over the cap."""
        self._size_bytes += len(chunk)
        if self._size_bytes > self._bytes_max:
            raise TooLarge(f"the artifact is larger than {self._bytes_max} bytes")
        self._found.update(chunk)
        self._file.write(chunk)

    def keep(self) -> None:
        """Make it whole and durable; raises BadInput where the content has another address."""
        found = f"sha256:{self._found.hexdigest()}"
        if found != self._address:
            raise BadInput(f"the content has the address {found}, not {self._address}")
        self._file.flush()
        os.fsync(self._file.fileno())
        Path(self._file.name).rename(self._path)
        for folder in (self._path.parent, self._path.parent.parent):
            _sync(folder)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable: a file that was acknowledged is still there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
