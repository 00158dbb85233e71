"""``assay samples``: what a person at the gate types."""

import json

from lab_server import LabServer

from tests.orchestrator.cli.conftest import Assay


async def test_a_sample_is_announced_received_moved_and_returned_at_the_command_line(
    assay: Assay, server: LabServer
) -> None:
    await server.join()
    product = ("--vendor", "Acme", "--maker", "Acme", "--model", "One", "--hardware", "A")
    sample = (await assay("samples", "announce", *product)).out.strip()
    assert sample.startswith("smp-")
    hands = ("--from", "carrier", "--to", "berta")
    arrived = ("--serial", "S-1", "--origin", "vendor", "--condition", "well", "--seal", "4711")
    told = await assay("samples", "receive", sample, *arrived, *hands, "--place", "gate")
    assert (told.status, told.out) == (0, f"{sample} is received\n")
    wrong = await assay("samples", "move", sample, *hands, "--place", "bench-9", "--bench")
    assert wrong.status == 2
    assert "a bench of the lab file: bench-1" in wrong.err
    assert (await assay("samples", "move", sample, *hands, "--place", "bench-1", "--bench")).status == 0
    assert (await assay("samples", "move", sample, *hands, "--place", "shelf 1")).status == 0
    submission = (await server.submit()).json()["submissions"][0]
    assert (await assay("samples", "link", sample, "--submission", submission)).status == 0
    shown = await assay("samples", "show", sample)
    assert "BroughtToBench" in shown.out
    assert submission in shown.out
    assert (await assay("samples", "return", sample, *hands, "--place", "gate")).status == 0
    (row,) = json.loads((await assay("samples", "list", "--state", "returned", "-o", "json")).out)
    assert (row["sample"], row["serial"]) == (sample, "S-1")
    again = await assay("samples", "dispose", sample, "--how", "shredded")
    assert again.status == 2
    assert f"sample {sample} is returned" in again.err
