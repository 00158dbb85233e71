"""Disks that fill and directories that become read-only, for real.

A small file system of its own (tmpfs) where mounts are allowed. A directory is made read-only by its mode, which binds
the superuser too once it has given up the right to pass over modes (``AS_ANYBODY``).
"""

import os
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

DISK_BYTES = 400_000_000
_PIECES_BYTES = (1_000_000, 4096, 1)
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


def as_anybody() -> tuple[str, ...]:
    """What to put before a command so that modes of files bind it."""
    return AS_ANYBODY if os.geteuid() == 0 else ()


class Disk:
    """A directory, on a file system of its own where that is allowed."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self._ballast = path / "ballast"
        self._modes: dict[Path, int] = {}
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "tmpfs", str(path)]
        self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Leave no byte free."""
        assert self.mounted, "a disk that is not of this test's own is not filled"
        with self._ballast.open("ab", buffering=0) as file:
            for piece in _PIECES_BYTES:
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * piece)
        assert shutil.disk_usage(self.path).free == 0

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def forbid_writing(self) -> None:
        """Nothing can be made, removed or opened for writing in it; what is open stays so, as it does for anybody."""
        for path in (self.path, *self.path.rglob("*")):
            with suppress(FileNotFoundError):
                mode = path.lstat().st_mode
                if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                    self._modes[path] = stat.S_IMODE(mode)
                    path.chmod(stat.S_IMODE(mode) & ~0o222)

    def allow_writing(self) -> None:
        """As it was."""
        for path, mode in self._modes.items():
            with suppress(FileNotFoundError):
                path.chmod(mode)
        self._modes = {}

    def free(self) -> None:
        """Give the file system up; it is gone when the last who uses it is."""
        self.allow_writing()
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.path)], check=False)
