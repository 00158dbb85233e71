"""The reproduction pack: one case as the lab measured it, in a zip file that a vendor's desk carries out again. Pure.

    manifest.json    format, version, the words that it grants nothing, and every other file with digest and size
    case.json        what was done and measured: stimulus, declarations, limits, measurements
    README.md        what this is and how it is used
    ladder.txt, ladder.svg
    sound-….svg, rtp-….svg    what was recorded, and when its packets came; only where there was sound
    evidence/…       the files of the case, under the hexadecimal digits of their digests

It holds no password, no key, no lease and no address of the lab but those in the messages. Digests show that a pack is
whole and unchanged by accident; they are not signed and prove nothing of who made it. What is read is foreign: it is
bounded before it is unpacked, stays in memory, and names in it are no paths.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from lab_inventory.canonical import sha256
from lab_inventory.device import Product
from lab_inventory.errors import BadInput, TooLarge
from lab_inventory.ics import Answers, IxitValues
from lab_inventory.measurement import Evidence, Limit, Unit
from lab_inventory.messages import CaseEnded
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from lab_inventory.programme import TestCase
from lab_inventory.reading import parse_message

NOTICE = "REPRODUCTION, grants nothing"
FORMAT = "assay-reproduction-pack"
FORMAT_VERSION = 1
FILES_MAX = 100
FILE_BYTES_MAX = 32_000_000
PACK_BYTES_MAX = 64_000_000
"""Of all files unpacked; a zip file is not larger than that either."""
_CASE_BYTES_MAX = 4_000_000
_NAME = re.compile(
    r"(?:manifest\.json|case\.json|README\.md|ladder\.txt|ladder\.svg|(?:sound|rtp)-[1-9][0-9]?\.svg|evidence/[0-9a-f]{64})"
)
_WHEN = (1980, 1, 1, 0, 0, 0)


class HeldAgainst(Noun):
    """One limit that a quantity of the case was held against, and what came of it in the lab."""

    requirement: Name
    title: Label
    level: Name
    rule: Label
    quantity: Name
    unit: Unit
    limit: Limit
    source: Text
    verdict: Name
    words: str = Field(max_length=8000)


class Reproduction(Noun):
    """One repeat of one case: the stimulus, the device it was given to, what was measured, the limits.

    ``opened_with``: the cases of the run, for a suite may set itself up by all of them. ``suite_version``: of the agent
    that measured. ``driver``: what pressed the keys in the lab.
    """

    run: Name
    attempt: int = Field(ge=1)
    submission: Name
    repeat: int = Field(ge=1)
    programme: Name
    programme_version: Label
    programme_digest: Sha256
    profile: Name
    category: Name
    suite: Name
    suite_version: Label
    case: TestCase
    opened_with: tuple[TestCase, ...] = Field(max_length=500)
    stall_budget: dict[Name, float]
    product: Product
    hardware_revision: Label
    mode: Name
    user_agent: Text
    driver: Name | None
    ics: Answers
    ixit: IxitValues
    ended: CaseEnded
    limits: tuple[HeldAgainst, ...] = Field(max_length=2000)

    @property
    def failed(self) -> tuple[HeldAgainst, ...]:
        """The limits that the device failed in the lab."""
        return tuple(one for one in self.limits if one.verdict == "fail")


class PackedFile(Noun):
    """A file of a pack."""

    path: Label
    digest: Sha256
    size_bytes: int = Field(ge=0)


class Manifest(Noun):
    """What a pack says of itself."""

    format: Literal["assay-reproduction-pack"]
    format_version: int = Field(ge=1)
    notice: Label
    files: tuple[PackedFile, ...] = Field(max_length=FILES_MAX)


class _Head(Noun):
    """The format alone, so that a pack of another version is refused for that and not for its fields."""

    model_config = Noun.model_config | {"extra": "ignore"}
    format: str
    format_version: int


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A pack that was read and whose digests fit. ``files``: by path, without the manifest."""

    reproduction: Reproduction
    files: Mapping[str, bytes]


def evidence_path(evidence: Evidence) -> str:
    """Where a file of evidence lies in a pack."""
    return f"evidence/{evidence.digest.removeprefix('sha256:')}"


def write_pack(reproduction: Reproduction, files: Mapping[str, bytes]) -> bytes:
    """The zip file; the same content gives the same bytes. ``files``: all but manifest and case, by path.

    Raises TooLarge.
    """
    inside = {"case.json": reproduction.model_dump_json(indent=1).encode(), **files}
    if sum(len(data) for data in inside.values()) > PACK_BYTES_MAX or len(inside) >= FILES_MAX:
        raise TooLarge(f"the evidence of the case is larger than a pack may be: {PACK_BYTES_MAX // 10**6} MB")
    manifest = Manifest(
        format="assay-reproduction-pack",
        format_version=FORMAT_VERSION,
        notice=NOTICE,
        files=tuple(PackedFile(path=path, digest=sha256(data), size_bytes=len(data)) for path, data in inside.items()),
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {"manifest.json": manifest.model_dump_json(indent=1).encode(), **inside}.items():
            entry = zipfile.ZipInfo(path, date_time=_WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return made.getvalue()


def read_pack(data: bytes) -> Pack:
    """Read a pack; raises BadInput or TooLarge that says what is wrong with it and what was expected."""
    if len(data) > PACK_BYTES_MAX:
        raise TooLarge(f"the pack has {len(data)} bytes; at most {PACK_BYTES_MAX} are read")
    if data.count(b"PK\x01\x02") > 10 * FILES_MAX:  # before a directory of millions of entries is read into memory
        raise TooLarge(f"the pack holds too many files; at most {FILES_MAX} are read")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = _unpacked(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, zlib.error) as error:
        raise BadInput(f"the pack is no readable zip file ({error}); expected one of 'assay evidence pack'") from error
    manifest = _manifest(inside)
    for file in manifest.files:
        found = inside.get(file.path)
        if found is None:
            raise BadInput(f"the pack lacks {file.path}, which its manifest names")
        if len(found) != file.size_bytes or sha256(found) != file.digest:
            raise BadInput(f"{file.path} in the pack is not what its manifest says: it was changed or damaged")
    named = {file.path for file in manifest.files}
    strange = sorted(set(inside) - named - {"manifest.json"})
    if strange:
        raise BadInput(f"the pack holds {strange[0]}, which its manifest does not name")
    if "case.json" not in named:
        raise BadInput("the pack lacks case.json, the case that is to be reproduced")
    case = parse_message(inside["case.json"], Reproduction, source="case.json", bytes_max=_CASE_BYTES_MAX)
    for evidence in case.ended.evidence:
        if inside.get(evidence_path(evidence), b"") and sha256(inside[evidence_path(evidence)]) != evidence.digest:
            raise BadInput(f"the evidence {evidence.name} in the pack is not what the lab kept")
    return Pack(reproduction=case, files={path: file for path, file in inside.items() if path != "manifest.json"})


def _manifest(inside: Mapping[str, bytes]) -> Manifest:
    written = inside.get("manifest.json")
    if written is None:
        raise BadInput("the file holds no manifest.json; expected a reproduction pack of 'assay evidence pack'")
    head = parse_message(written, _Head, source="manifest.json")
    if head.format != FORMAT:
        raise BadInput(f"the manifest names the format {head.format[:80]!r}; expected {FORMAT}")
    if head.format_version != FORMAT_VERSION:
        raise BadInput(
            f"the pack has format version {head.format_version}, and this agent reads version {FORMAT_VERSION}; "
            "expected a pack and an agent of the same release"
        )
    return parse_message(written, Manifest, source="manifest.json")


def _unpacked(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Every file in it, in memory; nothing is unpacked before all names and sizes are known to be in bounds."""
    entries = archive.infolist()
    if len(entries) > FILES_MAX:
        raise TooLarge(f"the pack holds {len(entries)} files; at most {FILES_MAX} are read")
    names = [entry.filename for entry in entries]
    for entry in entries:
        if _NAME.fullmatch(entry.filename) is None:
            raise BadInput(f"the pack holds {entry.filename[:80]!r}, which is no file of a reproduction pack")
        if entry.flag_bits & 0x1:
            raise BadInput(f"{entry.filename} in the pack is encrypted; expected a plain file")
    if len(set(names)) != len(names):
        raise BadInput("the pack holds a file twice; expected each once")
    whole_bytes = sum(entry.file_size for entry in entries)
    if whole_bytes > PACK_BYTES_MAX or any(entry.file_size > FILE_BYTES_MAX for entry in entries):
        raise TooLarge(f"the pack unpacks to {whole_bytes} bytes; at most {PACK_BYTES_MAX} are read")
    return {entry.filename: _read(archive, entry) for entry in entries}


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        data = file.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise BadInput(f"{entry.filename} in the pack is larger than it says")
    return data
