"""The score that a run tells: the lab's own, else the one of the release, and never that of another version."""

from importlib import resources
from pathlib import Path

from agents.score import ip_phone, usb_headset
from agents.score.on_record import kept_at, score_on_record
from agents.score.table import ScoreTable
from agents.version import VERSION
from lab_inventory.verdict import Verdict


def shipped() -> ScoreTable:
    file = resources.files("agents.score") / "shipped" / "ip-phone.json"
    return ScoreTable.model_validate_json(file.read_bytes())


def keep(work: Path, table: ScoreTable) -> None:
    path = kept_at(work, "ip-phone")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table.model_dump_json())


def test_without_a_scoring_of_its_own_a_lab_tells_the_one_of_the_release(tmp_path: Path) -> None:
    assert score_on_record(tmp_path, "ip-phone") == shipped().summary()


def test_a_labs_own_scoring_goes_before_that_of_the_release(tmp_path: Path) -> None:
    own = shipped().model_copy(update={"seed": 1, "rows": shipped().rows[:5]})
    keep(tmp_path, own)

    found = score_on_record(tmp_path, "ip-phone")

    assert found is not None
    assert found.seeded == 5


def test_the_score_of_another_version_says_nothing_of_this_one(tmp_path: Path) -> None:
    keep(tmp_path, shipped().model_copy(update={"suite_version": "0.0.1", "rows": ()}))

    found = score_on_record(tmp_path, "ip-phone")

    assert found is not None
    assert found.suite_version == VERSION


def test_a_suite_that_was_never_scored_has_no_score(tmp_path: Path) -> None:
    assert score_on_record(tmp_path, "speakerphone") is None


def test_the_release_comes_with_a_score_of_every_defect_that_is_seeded() -> None:
    seeded = {("reference", slug) for slug in ip_phone.BY_REFERENCE} | {("baresip", slug) for slug in ip_phone.BY_PROXY}

    assert {(row.phone, row.defect) for row in shipped().rows} == seeded
    assert all(row.right == (row.verdict is row.must) for row in shipped().rows)
    assert all(row.must is Verdict.FAIL for row in shipped().rows if row.share != 0.8)


def test_the_release_comes_with_a_score_of_every_defect_of_the_headset() -> None:
    file = resources.files("agents.score") / "shipped" / "usb-headset.json"
    table = ScoreTable.model_validate_json(file.read_bytes())

    assert {row.defect for row in table.rows} == set(usb_headset.SEEDS)
    assert {row.tier for row in table.rows} == {"usbip"}
    assert all(row.right == (row.verdict is row.must) for row in table.rows)
