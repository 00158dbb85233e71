import hashlib
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab_inventory.errors import BadInput, NoRoom, NotFound, TooLarge, Unavailable
from orchestrator.store.artifacts import DRAFTS_MAX, Artifacts


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


def test_below_the_floor_nothing_is_taken_and_nothing_is_left(tmp_path: Path) -> None:
    full = Artifacts(tmp_path / "full", free_bytes_min=10**18)

    with pytest.raises(NoRoom), full.draft(address_of(b"data")):
        pytest.fail("a draft was handed out")

    assert not any(path.is_file() for path in (tmp_path / "full").rglob("*"))


def test_a_declared_size_over_the_cap_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(TooLarge), Artifacts(tmp_path / "a").draft(address_of(b"data"), 10, declared_bytes=11):
        pytest.fail("a draft was handed out")


def test_no_more_uploads_at_once_than_there_are_places(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "a")
    with ExitStack() as stack:
        for number in range(DRAFTS_MAX):
            stack.enter_context(artifacts.draft(address_of(b"%d" % number)))
        with pytest.raises(Unavailable), artifacts.draft(address_of(b"one more")):
            pytest.fail("a draft was handed out")

    with artifacts.draft(address_of(b"later")) as draft:
        draft.add(b"later")
        draft.keep()
    assert artifacts.has(address_of(b"later"))


def test_what_a_crash_cut_off_is_swept_at_the_start(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "a")
    (tmp_path / "a" / "left.draft").write_bytes(b"half")

    artifacts.sweep()

    assert list((tmp_path / "a").iterdir()) == []
