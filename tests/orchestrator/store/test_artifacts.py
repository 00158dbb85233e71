import hashlib
from pathlib import Path

import pytest

from lab_inventory.errors import BadInput, NotFound, TooLarge
from orchestrator.store.artifacts import Artifacts


def address_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_kept_is_there_under_its_address(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    address = address_of(b"ab")
    with artifacts.draft(address) as draft:
        draft.add(b"a")
        draft.add(b"b")
        draft.keep()
    assert artifacts.open_path(address).read_bytes() == b"ab"
    assert Artifacts(tmp_path).has(address)


def test_the_same_content_can_be_kept_again(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    address = address_of(b"a")
    for _ in range(2):
        with artifacts.draft(address) as draft:
            draft.add(b"a")
            draft.keep()
    assert len(files_in(tmp_path)) == 1


def test_content_with_another_address_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    with pytest.raises(BadInput, match="has the address"), artifacts.draft(address_of(b"a")) as draft:
        draft.add(b"b")
        draft.keep()
    assert files_in(tmp_path) == []


def test_more_than_the_cap_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    with pytest.raises(TooLarge), artifacts.draft(address_of(b"abcd"), bytes_max=3) as draft:
        draft.add(b"ab")
        draft.add(b"cd")
    assert files_in(tmp_path) == []


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    address = address_of(b"ab")
    with artifacts.draft(address) as draft:
        draft.add(b"a")
    assert files_in(tmp_path) == []
    assert not artifacts.has(address)
    with pytest.raises(NotFound):
        artifacts.open_path(address)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../../etc/passwd",
        "sha256:../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 64 + "\n",
        "md5:" + "0" * 32,
        "sha256:" + "0" * 62 + "/.",
    ],
)
def test_a_name_from_outside_is_never_a_path(tmp_path: Path, name: str) -> None:
    artifacts = Artifacts(tmp_path)
    with pytest.raises(BadInput):
        artifacts.has(name)
    with pytest.raises(BadInput), artifacts.draft(name):
        pass
    assert files_in(tmp_path) == []
