"""``assay programme``: every mistake at once with its place, and what another version changes."""

import json
import shutil
from pathlib import Path

from lab_server import LabServer
from lab_world import submission

from lab_inventory.shipped import shipped_programmes
from tests.orchestrator.cli.conftest import Assay, run_assay
from tests.orchestrator.pipeline.test_questionnaire import ANSWERS, filled

SHIPPED = Path(__file__).parents[3] / "lab_inventory" / "programmes" / "ip-phone-basic.yaml"


def changed(path: Path, *changes: tuple[str, str]) -> Path:
    text = SHIPPED.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return path


async def test_the_shipped_programmes_have_no_mistake() -> None:
    ended = await run_assay("programme", "check", *map(str, sorted(SHIPPED.parent.glob("*.yaml"))), "-o", "json")
    assert (ended.status, ended.err) == (0, "")
    rows = json.loads(ended.out)
    assert [row["programme"].split()[0] for row in rows] == ["ip-phone-basic", "ip-phone-control", "ip-phone-probation"]


async def test_every_mistake_is_named_at_once_with_its_line(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "wrong.yaml",
        ("case: TC-SIP-05", "case: TC-NONE"),
        ('certified: {max: 500, source: {text: "caller', 'certified: {max: 5000, source: {text: "caller'),
        ("quantity: bye_answered\n        unit: bool", "quantity: bye_answered\n        unit: furlong"),
        ("condition: dtmf.events", "condition: dtmf.invented"),
        ("id: BP-SIP-07", "id: BP-SIP-06"),
    )
    ended = await run_assay("programme", "check", str(path))
    assert ended.status == 1
    lines = path.read_text(encoding="utf-8").splitlines()
    for words, text in (
        ("is 'furlong'", "furlong"),
        ("certified (at most 5000) is weaker than works-with (at most 1500)", "max: 5000"),
        ("requirement BP-SIP-06 stands twice", "id: BP-SIP-06"),
    ):
        (said,) = [line for line in ended.err.splitlines() if words in line]
        number = int(said.partition("(line ")[2].partition(")")[0])
        assert text in lines[number - 1], said
    mended = changed(
        tmp_path / "half.yaml",
        ("case: TC-SIP-05", "case: TC-NONE"),
        ("condition: dtmf.events", "condition: dtmf.invented"),
    )
    ended = await run_assay("programme", "check", str(mended), str(SHIPPED), "-o", "json")
    assert ended.status == 1
    assert len(json.loads(ended.out)) == 1
    for words in ("TC-NONE, which no suite has", "names dtmf.invented", "TC-SIP-05 is measured and no requirement"):
        assert words in ended.err


async def test_a_file_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    ended = await run_assay("programme", "check", str(tmp_path / "none.yaml"))
    assert (ended.status, len(ended.err.splitlines())) == (1, 1)


async def test_a_version_says_who_must_be_measured_and_what_is_judged(tmp_path: Path) -> None:
    newer = changed(tmp_path / "newer.yaml", ('version: "1.0"', 'version: "1.1"'), ("repeats: 3", "repeats: 5"))
    ended = await run_assay("programme", "diff", str(SHIPPED), str(newer), "-o", "json")
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["measure_again"] == {
        "works-with": ["TC-SIP-01", "TC-SIP-02"],
        "certified": ["TC-SIP-01", "TC-SIP-02"],
    }
    table = await run_assay("programme", "diff", str(SHIPPED), str(newer))
    assert "holders of certified: measured again in TC-SIP-01, TC-SIP-02" in table.out
    same = await run_assay("programme", "diff", str(SHIPPED), str(SHIPPED))
    assert "nothing that is asked of a product differs" in same.out
    other = await run_assay("programme", "diff", str(SHIPPED), str(SHIPPED.with_name("ip-phone-probation.yaml")))
    assert other.status == 2
    assert "not versions of one programme" in other.err


async def test_the_schema_describes_a_programme_and_each_file_of_a_package() -> None:
    schema = json.loads((await run_assay("programme", "schema")).out)
    assert schema["title"] == "Programme"
    assert {"levels", "requirements", "suites"} <= set(schema["required"])
    for of, needs in (("frame", "levels"), ("category", "modules"), ("module", "module")):
        schema = json.loads((await run_assay("programme", "schema", of)).out)
        assert schema["title"] == of.capitalize()
        assert needs in schema["required"]


PACKAGE = SHIPPED.with_name("skype-for-business")


async def test_a_package_is_checked_and_says_what_is_manual_in_each_profile() -> None:
    ended = await run_assay("programme", "check", str(PACKAGE), "-o", "json")
    assert (ended.status, ended.err) == (0, "")
    rows = {row["category"]: row for row in json.loads(ended.out)}
    assert len(rows) == 9
    assert rows["ip-phone"]["profiles"] == "digital, endurance, handset, full (12 of 77 manual), interoperability"
    assert "IP-SEC-03" in rows["ip-phone"]["manual"]
    table = await run_assay("programme", "check", str(PACKAGE))
    assert "skype-for-business.ip-phone 0.3 (demonstration): manual: IP-SIP-12" in table.out


def copied(folder: Path, *changes: tuple[str, str, str]) -> Path:
    shutil.copytree(PACKAGE, folder)
    for name, before, after in changes:
        text = (folder / name).read_text(encoding="utf-8")
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1), encoding="utf-8")
    return folder


async def test_mistakes_of_a_package_are_told_with_file_and_line(tmp_path: Path) -> None:
    folder = copied(
        tmp_path / "package",
        ("programme.yaml", "demonstration: true", "demonstration: false"),
        ("modules/sip-calls.yaml", "certified: {max: 500,", "certified: {max: 5000,"),
        ("ip-phone.yaml", "module: sip-hold", "module: sip-held"),
    )  # fmt: skip
    ended = await run_assay("programme", "check", str(folder))
    assert ended.status == 1
    said = ended.err.splitlines()
    assert said[0].endswith("4 mistakes")
    for words, name, text in (
        ("programme.yaml: demonstration", "programme.yaml", "demonstration: false"),
        ("certified (at most 5000) is weaker", "modules/sip-calls.yaml", "max: 5000"),
        ("there is no module sip-held", "ip-phone.yaml", "sip-held"),
    ):
        (line,) = [one for one in said if words in one]
        number = int(line.partition("(line ")[2].partition(")")[0])
        assert text in (folder / name).read_text(encoding="utf-8").splitlines()[number - 1]
    (unused,) = [line for line in said if "no category is built from it" in line]
    assert "modules/sip-hold.yaml" in unused


async def test_two_versions_of_a_package_are_compared_category_by_category(tmp_path: Path) -> None:
    newer = copied(
        tmp_path / "newer",
        ("programme.yaml", 'version: "0.3"', 'version: "0.4"'),
        ("programme.yaml", "available_from: 2026-01-01", "available_from: 2026-06-01"),
        ("modules/sip-hold.yaml", "max: 300", "max: 200"),
        ("modules/mute.yaml", "muted by key and by host", "muted by key"),
    )
    (newer / "fax.yaml").write_text((newer / "service.yaml").read_text().replace("category: service", "category: fax"))
    (newer / "pc.yaml").unlink()
    (newer / "modules" / "pc-audio-video.yaml").unlink()
    ended = await run_assay("programme", "diff", str(PACKAGE), str(newer), "-o", "json")
    assert (ended.status, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert (found["added"], found["removed"]) == (["skype-for-business.fax"], ["skype-for-business.pc"])
    phone = found["categories"]["skype-for-business.ip-phone"]
    assert [one["asks"] for one in phone["changes"]] == ["nothing", "judge again"]
    speakerphone = found["categories"]["skype-for-business.speakerphone"]
    assert speakerphone["by_hand"] == {"works-with": ["UA-MUT-01"], "certified": ["UA-MUT-01"]}
    told = (await run_assay("programme", "diff", str(PACKAGE), str(newer))).out
    assert "holders of certified: measured again in nothing; by hand in UA-MUT-01" in told
    assert "skype-for-business.pc: the category is gone" in told


async def test_a_questionnaire_is_written_filled_in_and_submitted(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    path = tmp_path / "answers.yaml"
    assert (await run_assay("programme", "questionnaire", "ip-phone-basic@1.0", "-o", str(path))).status == 0
    again = await run_assay("programme", "questionnaire", "ip-phone-basic", "-o", str(path))
    assert (again.status, "File exists" in again.err) == (2, True)
    blank = await assay("submit", str(path))
    assert blank.status == 2
    assert "13 mistakes" in blank.err
    path.write_text(filled(shipped_programmes()[0], ANSWERS | {"codec.g722": "false"}), encoding="utf-8")
    wrong = await assay("submit", str(path))
    assert "submissions[0].ics.codec.g722: audio == wideband is declared without codec.g722" in wrong.err
    path.write_text(filled(shipped_programmes()[0], ANSWERS), encoding="utf-8")
    assert "queued: bat-" in (await assay("submit", str(path))).out


async def test_one_submission_in_a_file_is_sent_to_a_programme_that_is_named(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    path = tmp_path / "one.json"
    path.write_text(submission().model_dump_json(), encoding="utf-8")
    assert "queued: bat-" in (await assay("submit", str(path), "--programme", "ip-phone-basic@1.0")).out
    refused = await assay("submit", str(path), "--programme", "ip-phone-basic@one")
    assert (refused.status, "programme_version" in refused.err) == (2, True)


async def test_questions_for_programs_are_json_and_an_unknown_programme_is_told_with_those_there_are() -> None:
    found = json.loads((await run_assay("programme", "questionnaire", str(SHIPPED), "--json")).out)
    assert found["programme"] == "ip-phone-basic"
    unknown = await run_assay("programme", "questionnaire", "ip-phone-basic@9.9")
    assert unknown.status == 2
    assert "ip-phone-basic@1.0" in unknown.err
