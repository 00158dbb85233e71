"""Files that are there whole or not at all, and stay there through a power cut. Plain blocking IO, small files only."""

import os
from pathlib import Path

from lab_inventory.clock import Clock


def write_whole(path: Path, data: bytes, clock: Clock, *, mode: int = 0o600) -> None:
    """Put ``data`` at ``path`` by draft, fsync and rename, so that a reader sees the old file or the new one.

    Raises OSError where it cannot be kept; what stood there before then still stands.
    """
    draft = path.with_name(f".{path.name}.{clock.new_id('draft')}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a rename is only on disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
