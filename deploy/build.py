"""A build: a directory with a wheel of Assay, what it depends on, and a manifest with the digest of each file.

``assay-deploy build`` makes one, ``plan`` and ``apply`` read it. Its name is its version and the digest of all of it,
so two builds of one name are the same bytes. What a host installs is only what is in here: no index is asked there.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from lab_inventory.canonical import digest
from lab_inventory.errors import BadInput
from lab_inventory.noun import Label, Name, Noun, Sha256
from lab_inventory.reading import parse_message

MANIFEST = "manifest.json"
CONSTRAINTS = "constraints.txt"
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]


class Dependencies(StrEnum):
    """Where the wheels come from that Assay depends on: the build carries them, or the host's Python has them."""

    CARRIED = "carried"
    HOST = "host"


class BuildFile(Noun):
    """One file of a build."""

    name: FileName
    digest: Sha256
    size_bytes: int = Field(ge=0)


class Manifest(Noun):
    """What a build is. ``python``: major.minor that its wheels are for; ``machine``: as uname says; ``also``: wheels of
    other packages that are installed beside Assay, as drivers of phones are.
    """

    version: Label
    python: Annotated[str, StringConstraints(pattern=r"^3\.[0-9]{1,2}$")]
    machine: Name
    dependencies: Dependencies
    files: tuple[BuildFile, ...] = Field(min_length=1, max_length=1000)
    also: tuple[FileName, ...] = Field(default=(), max_length=50, exclude_if=lambda given: not given)

    @property
    def build(self) -> str:
        """Its name: version and the first 12 digits of the digest over everything."""
        return f"{self.version.replace('+', '_')}-{digest(self).removeprefix('sha256:')[:12]}"


def read_build(directory: Path) -> Manifest:
    """The manifest of a build whose every file is as it says; raises BadInput."""
    path = directory / MANIFEST
    try:
        manifest = parse_message(path.read_bytes(), Manifest, source=str(path))
    except OSError as error:
        raise BadInput(
            f"{directory}: is no build ({path.name}: {error.strerror}); make one with 'assay-deploy build'"
        ) from error
    for file in manifest.files:
        if not (directory / file.name).is_file() or _described(directory / file.name) != file:
            raise BadInput(
                f"{directory}: {file.name} is missing or is not what the manifest says; make the build again"
            )
    return manifest


def make_build(
    source: Path, out: Path, constraints: Path, dependencies: Dependencies, also: Sequence[Path] = ()
) -> tuple[Path, Manifest]:
    """Make a build below ``out`` from a source tree or a ready wheel; gives its directory and manifest.

    ``also``: ready wheels of other packages, which are installed beside it.

    Raises BadInput in pip's own words where a wheel cannot be made or got.
    """
    if not constraints.is_file():
        raise BadInput(f"{constraints}: is not there; a build needs the file with the pinned versions")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".making-") as making:
        work = Path(making)
        if source.suffix == ".whl":
            shutil.copy2(source, work)
        else:
            _pip("wheel", "--no-deps", "--wheel-dir", making, str(source))
        wheels = sorted(work.glob("assay_lab-*.whl"))
        if len(wheels) != 1:
            raise BadInput(f"{source}: is no source tree or wheel of assay-lab")
        shutil.copyfile(constraints, work / CONSTRAINTS)
        for package in also:
            if package.suffix != ".whl" or not package.is_file():
                raise BadInput(f"{package}: is no wheel; make one with 'pip wheel --no-deps'")
            shutil.copy2(package, work)
        if dependencies is Dependencies.CARRIED:
            wanted = f"{wheels[0]}[agent]"
            beside = [str(work / package.name) for package in also]
            carried = ("--constraint", str(constraints), "--find-links", making, "--wheel-dir", making)
            _pip("wheel", *carried, wanted, *beside)
        manifest = Manifest(
            version=wheels[0].name.split("-")[1],
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            machine=platform.machine(),
            dependencies=dependencies,
            files=tuple(_described(path) for path in sorted(work.iterdir())),
            also=tuple(package.name for package in also),
        )
        (work / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        directory = out / manifest.build
        if not directory.exists():
            work.chmod(0o755)
            work.rename(directory)
            work.mkdir()
    return directory, manifest


def _described(path: Path) -> BuildFile:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return BuildFile(name=path.name, digest=f"sha256:{found}", size_bytes=path.stat().st_size)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BadInput(f"pip {arguments[0]} failed: {ended.stderr.strip()[-1500:] or 'without saying why'}")
