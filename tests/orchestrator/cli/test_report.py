"""``assay report`` against a running server."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

from lab_server import LabServer
from lab_world import registration

from tests.orchestrator.cli.conftest import Assay


async def test_what_was_judged_is_told_as_junit_and_as_json(assay: Assay, server: LabServer, tmp_path: Path) -> None:
    (entry,) = (await server.measured_batch(hold_offer_valid=False))["entries"]
    path = tmp_path / "junit.xml"
    ended = await assay("report", entry["submission"], "--form", "junit", "--out", str(path))
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    root = fromstring(path.read_text())  # noqa: S314 - the server's own
    failed = {case.get("name", "").partition(" ")[0] for case in root.findall("testsuite/testcase[failure]")}
    assert failed == {"level", "BP-SIP-03"}
    said = json.loads((await assay("report", entry["submission"])).out)
    assert said["judgement"]["earned"] is None


async def test_a_submission_that_is_not_judged_has_no_junit_and_it_is_said(assay: Assay, server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    (submission,) = (await server.submit()).json()["submissions"]
    ended = await assay("report", submission, "--form", "junit")
    assert (ended.status, ended.out) == (2, "")
    assert "expected one that is judged" in ended.err
    nowhere = await assay("report", "sub-nowhere", "--form", "junit")
    assert (nowhere.status, nowhere.out) == (2, "")
    assert "there is no submission sub-nowhere" in nowhere.err
