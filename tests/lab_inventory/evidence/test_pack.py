"""A pack is read only where it is whole, of this format, bounded, and names nothing but its own files."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping

import pytest

from lab_inventory.canonical import sha256
from lab_inventory.errors import BadInput, TooLarge
from lab_inventory.evidence import pack as packs
from lab_inventory.evidence.pack import Reproduction, evidence_path, read_pack, write_pack
from lab_inventory.measurement import Evidence
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.programme import TestCase

KEPT = b"what was said"
EVIDENCE = Evidence(digest=sha256(KEPT), name="TC-1 SIP messages", media_type="application/jsonl", size_bytes=len(KEPT))
CASE = TestCase(id="TC-1", title="one", procedure="measures", duration_s=1.0)
MADE = Reproduction.model_validate(
    {
        "run": "run-1", "attempt": 1, "submission": "sub-1", "repeat": 1, "programme": "basic",
        "programme_version": "1.0", "programme_digest": "sha256:" + "0" * 64, "profile": "digital",
        "category": "ip-phone", "suite": "signalling", "suite_version": "1", "case": CASE, "opened_with": (CASE,),
        "stall_budget": {}, "product": {"maker": "Acme", "model": "One", "firmware": "1.0"}, "hardware_revision": "A",
        "mode": "wideband", "user_agent": "Acme One", "driver": "fake", "ics": {"hold": True}, "ixit": {},
        "ended": CaseEnded(
            case="TC-1", repeat=1, status=CaseStatus.MEASURED, evidence=(EVIDENCE,), duration_s=1.0
        ),
        "limits": (),
    }
)  # fmt: skip
WHOLE = write_pack(MADE, {"README.md": b"read me", evidence_path(EVIDENCE): KEPT})


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def with_manifest(**change: object) -> bytes:
    files = files_of(WHOLE)
    files["manifest.json"] = json.dumps(json.loads(files["manifest.json"]) | change).encode()
    return zipped(files)


def test_what_was_written_is_read_again() -> None:
    read = read_pack(WHOLE)

    assert read.reproduction == MADE
    assert read.files[evidence_path(EVIDENCE)] == KEPT
    assert write_pack(MADE, {"README.md": b"read me", evidence_path(EVIDENCE): KEPT}) == WHOLE


@pytest.mark.parametrize("path", ["README.md", "case.json", evidence_path(EVIDENCE)])
def test_a_file_that_was_changed_is_named(path: str) -> None:
    files = files_of(WHOLE)
    files[path] = files[path].replace(b"a", b"b")

    with pytest.raises(BadInput, match=f"{path} in the pack is not what its manifest says"):
        read_pack(zipped(files))


def test_a_file_that_is_missing_or_too_much_is_named() -> None:
    files = files_of(WHOLE)
    with pytest.raises(BadInput, match=r"lacks README\.md"):
        read_pack(zipped({name: data for name, data in files.items() if name != "README.md"}))
    with pytest.raises(BadInput, match=r"ladder\.txt, which its manifest does not name"):
        read_pack(zipped(files | {"ladder.txt": b""}))
    with pytest.raises(BadInput, match=r"no manifest\.json"):
        read_pack(zipped({"case.json": files["case.json"]}))
    with pytest.raises(BadInput, match=r"lacks case\.json"):
        read_pack(zipped({"manifest.json": json.dumps(json.loads(files["manifest.json"]) | {"files": []}).encode()}))


def test_evidence_under_the_digest_of_another_is_refused() -> None:
    other = b"something else"
    path = evidence_path(EVIDENCE)

    with pytest.raises(BadInput, match="is not what the lab kept"):
        read_pack(write_pack(MADE, {path: other}))


def test_another_version_or_format_is_refused_for_that_and_not_for_its_fields() -> None:
    with pytest.raises(BadInput, match="format version 2, and this agent reads version 1"):
        read_pack(with_manifest(format_version=2, newer="field"))
    with pytest.raises(BadInput, match="names the format 'another'"):
        read_pack(with_manifest(format="another"))


@pytest.mark.parametrize(
    "name", ["../escapes", "/etc/passwd", "evidence/../../x", "evidence/" + "A" * 64, "evidence\\x", "C:x", "other.txt"]
)
def test_a_name_that_is_no_file_of_a_pack_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is no file of a reproduction pack"):
        read_pack(zipped(files_of(WHOLE) | {name: b"x"}))


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(files_of(WHOLE) | {"ladder.txt": bytes(packs.FILE_BYTES_MAX + 1)})
    assert len(bomb) < 100_000
    monkeypatch.setattr(packs, "_read", lambda archive, entry: pytest.fail("it was unpacked"))

    with pytest.raises(TooLarge, match="the pack unpacks to"):
        read_pack(bomb)


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    honest = zipped({"ladder.txt": bytes(5_000_000)})
    lying = honest.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 10))

    with pytest.raises(BadInput):
        read_pack(lying)


def test_too_many_files_and_one_that_stands_twice_are_refused() -> None:
    many = {f"evidence/{number:064x}": b"" for number in range(packs.FILES_MAX + 1)}
    with pytest.raises(TooLarge, match="holds 101 files"):
        read_pack(zipped(many))
    with pytest.raises(TooLarge, match="too many files"):
        read_pack(WHOLE + b"PK\x01\x02" * 2000)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("README.md", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("README.md", b"two")
    with pytest.raises(BadInput, match="a file twice"):
        read_pack(made.getvalue())


@pytest.mark.parametrize("cut", [0, 1, 10, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_pack_that_is_cut_off_is_no_zip_file(cut: int) -> None:
    with pytest.raises(BadInput, match="no readable zip file"):
        read_pack(WHOLE[:cut])


def test_any_damage_is_refused_in_words() -> None:
    for place in range(0, len(WHOLE), 7):
        damaged = bytearray(WHOLE)
        damaged[place] ^= 0xFF
        try:
            read = read_pack(bytes(damaged))
        except BadInput as error:
            assert str(error)
        else:
            assert read.reproduction == MADE  # what was damaged was padding or a time


def test_more_evidence_than_a_pack_may_hold_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES_MAX", 100)

    with pytest.raises(TooLarge, match="larger than a pack may be"):
        write_pack(MADE, {"README.md": bytes(200)})
