"""Files by content address: a name from outside is never a path. Writes are whole or not at all.

What is uploaded goes to the disk as it comes, is hashed and counted on the way, and is never unpacked.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lab_inventory.errors import AssayError, BadInput, NoRoom, NotFound, TooLarge, Unavailable
from lab_inventory.messages import EVIDENCE_BYTES_MAX

DRAFTS_MAX = 32
ROOM_AGAIN_BYTES = 1_000_000
CHUNK_BYTES = 1_000_000
_DRAFT = ".draft"
_ADDRESS = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")


class Artifacts:
    """A folder of files, each under its SHA-256. With less than ``free_bytes_min`` left on its disk none is taken."""

    def __init__(self, folder: Path, *, free_bytes_min: int = 0) -> None:
        self._folder = folder
        self._free_bytes_min = free_bytes_min
        self._drafts = 0
        folder.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove what uploads left behind that a crash cut off; an upload that goes on, of another server too, has its
        draft locked.
        """
        for left in self._folder.glob(f"*{_DRAFT}"):
            with suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()

    def path(self, address: str) -> Path:
        """Where the artifact of that address lies; raises BadInput where it is no address."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise BadInput(f"{address[:80]!r} is no content address; expected sha256: and 64 hexadecimal digits")
        return self._folder / match.group(1) / match.group(2)

    def has(self, address: str) -> bool:
        """Whether it is there."""
        return self.path(address).is_file()

    def is_whole(self, address: str) -> bool:
        """Whether what is there still has this content; False where it cannot be read to its end."""
        found = hashlib.sha256()
        try:
            with self.path(address).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    found.update(chunk)
        except OSError:
            return False
        return f"sha256:{found.hexdigest()}" == address

    def addresses(self) -> tuple[str, ...]:
        """Every artifact that is there, in order."""
        found = (f"sha256:{path.parent.name}{path.name}" for path in self._folder.glob("[0-9a-f][0-9a-f]/*"))
        return tuple(sorted(address for address in found if _ADDRESS.fullmatch(address)))

    def open_path(self, address: str) -> Path:
        """The path of an artifact that is there; raises NotFound."""
        path = self.path(address)
        if not path.is_file():
            raise NotFound(f"there is no artifact {address}")
        return path

    @contextmanager
    def draft(self, address: str, bytes_max: int = EVIDENCE_BYTES_MAX, *, declared_bytes: int = 0) -> Iterator["Draft"]:
        """A file to be filled piece by piece; it is there once :meth:`Draft.keep` was called, else nothing is left.

        Raises TooLarge, NoRoom where the disk is below its floor or full, and Unavailable where it refuses otherwise or
        too many uploads go on at once.
        """
        path = self.path(address)
        if declared_bytes > bytes_max:
            raise TooLarge(f"the artifact is larger than {bytes_max} bytes")
        if self._drafts >= DRAFTS_MAX:
            raise Unavailable(f"{self._drafts} artifacts are being uploaded already")
        self._drafts += 1
        try:
            self.require_room(declared_bytes)
            path.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=_DRAFT, delete=False) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                try:
                    yield Draft(file, address, path, bytes_max, self.require_room)
                finally:
                    Path(file.name).unlink(missing_ok=True)
        except OSError as error:
            raise _refused(error) from error
        finally:
            self._drafts -= 1

    def require_room(self, bytes_more: int) -> None:
        """Raise NoRoom where keeping ``bytes_more`` would bring the disk below its floor."""
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise _refused(error) from error
        if free - bytes_more < self._free_bytes_min:
            raise NoRoom(
                f"the artifact cannot be kept: {free // 1_000_000} MB are free, "
                f"and {self._free_bytes_min // 1_000_000} MB are to stay free"
            )


def _refused(error: OSError) -> AssayError:
    why = f"the artifact cannot be kept: {error.strerror}"
    return NoRoom(why) if error.errno in (errno.ENOSPC, errno.EDQUOT) else Unavailable(why)


class Draft:
    """An artifact that is not whole yet."""

    def __init__(
        self, file: Any, address: str, path: Path, bytes_max: int, require_room: Callable[[int], None]
    ) -> None:
        self._require_room = require_room
        self._looked_at_bytes = 0
        self._file = file
        self._address = address
        self._path = path
        self._bytes_max = bytes_max
        self._found = hashlib.sha256()
        self._size_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Add a piece; raises TooLarge over the cap, NoRoom where the disk comes to its floor meanwhile."""
        self._size_bytes += len(chunk)
        if self._size_bytes > self._bytes_max:
            raise TooLarge(f"the artifact is larger than {self._bytes_max} bytes")
        if self._size_bytes - self._looked_at_bytes > ROOM_AGAIN_BYTES:
            self._looked_at_bytes = self._size_bytes
            self._require_room(0)
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
