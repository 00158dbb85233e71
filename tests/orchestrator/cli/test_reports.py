"""``assay reports`` against a running server."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import yaml
from lab_server import LabServer
from lab_world import lab, registration

from orchestrator.reports.sheet import ASKED
from tests.orchestrator.cli.conftest import Assay


async def test_what_was_judged_is_told_as_junit_and_as_json(assay: Assay, server: LabServer, tmp_path: Path) -> None:
    (entry,) = (await server.measured_batch(hold_offer_valid=False))["entries"]
    path = tmp_path / "junit.xml"
    ended = await assay("reports", "verdicts", entry["submission"], "--form", "junit", "--out", str(path))
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    root = fromstring(path.read_text())  # noqa: S314 - the server's own
    failed = {case.get("name", "").partition(" ")[0] for case in root.findall("testsuite/testcase[failure]")}
    assert failed == {"level", "BP-SIP-03"}
    said = json.loads((await assay("reports", "verdicts", entry["submission"])).out)
    assert said["judgement"]["earned"] is None


async def test_a_submission_that_is_not_judged_has_no_junit_and_it_is_said(assay: Assay, server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    (submission,) = (await server.submit()).json()["submissions"]
    ended = await assay("reports", "verdicts", submission, "--form", "junit")
    assert (ended.status, ended.out) == (2, "")
    assert "expected one that is judged" in ended.err
    nowhere = await assay("reports", "verdicts", "sub-nowhere", "--form", "junit")
    assert (nowhere.status, nowhere.out) == (2, "")
    assert "there is no submission sub-nowhere" in nowhere.err


async def test_an_empty_sheet_is_written_checked_filled_in_and_issued(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    (entry,) = (await server.measured_batch())["entries"]
    lab_file, sheet, made = tmp_path / "lab.yaml", tmp_path / "sheet.yaml", tmp_path / "report.pdf"
    content = json.loads(lab().model_dump_json())
    content["laboratory"] = {"name": "A Lab Ltd", "address": "1 Bench Road", "contact": "lab@example.org"}
    lab_file.write_text(yaml.safe_dump(content))
    assert (await assay("lab", "apply", str(lab_file))).status == 0
    assert (await assay("reports", "sheet", "--out", str(sheet))).status == 0
    checked = await assay("reports", "check", entry["submission"], "--sheet", str(sheet))
    assert checked.status == 1
    assert "customer.name: is missing; expected the customer's name" in checked.out
    assert len(checked.out.splitlines()) == len(ASKED)
    filled = sheet.read_text().replace("received_on:", "received_on: 2026-11-02")
    for name in ("name", "contact", "condition", "sampling", "environment", "deviations", "function"):
        filled = filled.replace(f"{name}:\n", f"{name}: What there is to say of it.\n")
    sheet.write_text(filled)
    issued = await assay("reports", "issue", entry["submission"], "--sheet", str(sheet))
    assert (issued.status, issued.err) == (0, "DEMONSTRATION, grants nothing\n")
    number = issued.out.strip()
    amend = ("--amends", number, "--because", "The condition was noted wrongly.")
    again = await assay("reports", "issue", entry["submission"], "--sheet", str(sheet), *amend)
    assert again.status == 0
    rows = json.loads((await assay("reports", "list", entry["submission"], "-o", "json")).out)
    assert {row["number"]: row["state"] for row in rows} == {number: "amended", again.out.strip(): "issued"}
    assert (await assay("reports", "get", number, "--out", str(made))).status == 0
    assert made.read_bytes().startswith(b"%PDF-")
