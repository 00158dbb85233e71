"""Which version of Assay this is, as its distribution says, and which that of its instruments.

Reads package metadata once, and the instruments' own files where somebody asks.
"""

from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

VERSION = metadata.version("assay-lab")


@cache
def instruments_version() -> str:
    """The version of the instruments: that of the distribution, and the begin of a digest over their files, so that
    one that was changed in place is another.
    """
    folder = Path(__file__).parent / "instruments"
    found = sha256()
    for file in sorted(folder.rglob("*.py")):
        found.update(f"{file.relative_to(folder)}\n".encode() + sha256(file.read_bytes()).digest())
    return f"{VERSION}+{found.hexdigest()[:12]}"
