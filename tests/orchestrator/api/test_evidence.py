"""The evidence of one case over the API: files, ladder, reproduction pack, and who may have them."""

import json
from typing import Any

from lab_server import LabServer
from signalling import EVIL, files

from lab_inventory.evidence.pack import NOTICE, read_pack

CASE = "TC-SIP-01"


async def measured(server: LabServer) -> str:
    """The path of a case that failed, with its evidence."""
    server.kept = {CASE: files(CASE)}
    batch = await server.measured_batch(ringing_ms=900.0)
    entry: dict[str, Any] = batch["entries"][0]
    submission = (await server.operator.get(f"/v1/submissions/{entry['submission']}")).json()
    runs = {
        ground["run"]
        for level in submission["judgement"]["levels"]
        for requirement in level["requirements"]
        for ground in requirement["grounds"]
        if ground["quantity"] == "ringing_ms"
    }
    return f"/v1/runs/{runs.pop()}/cases/{CASE}"


async def test_a_pack_holds_the_case_with_its_limits_and_evidence_and_no_password(server: LabServer) -> None:
    path = await measured(server)

    answer = await server.operator.get(f"{path}/pack")

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment;")
    pack = read_pack(answer.content)
    made = pack.reproduction
    assert (made.case.id, made.case.procedure, made.repeat) == (CASE, "incoming-call", 1)
    assert {one.quantity for one in made.failed} == {"ringing_ms"}
    assert {one.level for one in made.limits} == {"works-with", "certified"}
    kept = {data for _, _, data in files(CASE)}
    assert kept <= set(pack.files.values())
    assert NOTICE in pack.files["README.md"].decode()
    told = json.loads(pack.files["case.json"])
    assert not {"slot", "account", "password", "registrar", "control", "epochs", "host", "bench"} & set(told)


async def test_the_same_case_gives_the_same_pack(server: LabServer) -> None:
    path = await measured(server)

    first, second = [(await server.operator.get(f"{path}/pack")).content for _ in range(2)]

    assert first == second


async def test_the_ladder_is_plain_text_that_nothing_runs_in(server: LabServer) -> None:
    answer = await server.operator.get(f"{await measured(server)}/ladder")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "[retransmission]" in answer.text
    assert "RTP PCMU: 9 packets" in answer.text


async def test_the_picture_is_a_download_that_nothing_runs_in(server: LabServer) -> None:
    answer = await server.operator.get(f"{await measured(server)}/ladder?form=svg")

    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert EVIL not in answer.text
    assert answer.text.startswith("<svg ")


async def test_a_file_comes_as_a_download_under_a_name_that_says_what_it_is(server: LabServer) -> None:
    path = await measured(server)
    pack = read_pack((await server.operator.get(f"{path}/pack")).content)
    (capture,) = [one for one in pack.reproduction.ended.evidence if one.name.endswith("capture")]

    answer = await server.operator.get(f"{path}/evidence/{capture.digest}")

    name = f"{pack.reproduction.run}-TC-SIP-01-capture-1.pcapng"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == b"\n\r\r\nTC-SIP-01"


async def test_what_is_not_there_is_not_found_and_said(server: LabServer) -> None:
    path = await measured(server)
    for wrong, said in (
        (f"{path}/pack?repeat=99", "repeat 99 of TC-SIP-01"),
        (f"{path.replace(CASE, 'TC-NONE')}/ladder", "TC-NONE"),
        ("/v1/runs/run-none/cases/TC-SIP-01/pack", "run-none"),
        (f"{path}/evidence/sha256:{'0' * 64}", "has no file"),
        (f"{path.replace(CASE, 'TC-SIP-05')}/ladder", "no messages"),
    ):
        answer = await server.operator.get(wrong)
        assert answer.status_code == 404, wrong
        assert said in answer.json()["detail"]


async def test_a_pack_without_a_file_that_was_lost_says_which(server: LabServer) -> None:
    path = await measured(server)
    pack = read_pack((await server.operator.get(f"{path}/pack")).content)
    lost = pack.reproduction.ended.evidence[2]
    server.parts.desk.artifacts.path(lost.digest).unlink()

    again = read_pack((await server.operator.get(f"{path}/pack")).content)

    assert len(again.files) == len(pack.files) - 1
    assert f"{lost.name} ({lost.digest}) is not in the lab's store any more" in again.files["README.md"].decode()
