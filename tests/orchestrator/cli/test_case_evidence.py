"""``assay evidence pack`` and ``ladder`` against a running server."""

from pathlib import Path

from lab_server import LabServer
from signalling import files

from lab_inventory.evidence.pack import read_pack
from tests.orchestrator.cli.conftest import Assay

CASE = "TC-SIP-01"


async def test_one_case_is_written_as_a_pack_and_told_as_a_ladder(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    server.kept = {CASE: files(CASE)}
    batch = await server.measured_batch(ringing_ms=900.0)
    run = batch["entries"][0]["runs"][0]["run"]
    path = tmp_path / "case.zip"

    ended = await assay("evidence", "pack", run, CASE, "-o", str(path))
    told = await assay("evidence", "ladder", run, CASE)
    nowhere = await assay("evidence", "pack", "../batches", CASE, "-o", str(path))

    assert (ended.status, ended.err) == (0, "REPRODUCTION, grants nothing\n")
    assert read_pack(path.read_bytes()).reproduction.run == run
    assert "INVITE sip:1001@192.0.2.7 SIP/2.0" in told.out
    assert (nowhere.status, nowhere.out) == (2, "")
