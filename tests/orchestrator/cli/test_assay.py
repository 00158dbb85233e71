"""``assay`` against a running server: what it does, says, and which status it ends with."""

import json
from pathlib import Path

import yaml
from lab_server import LabServer
from lab_world import lab, registration, submission

from tests.orchestrator.cli.conftest import Assay, run_assay


def lab_file(folder: Path) -> Path:
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump(json.loads(lab().model_dump_json())))
    return path


def batch_file(folder: Path, **change: object) -> Path:
    path = folder / "batch.yaml"
    content = json.loads(submission("Desk phone").model_dump_json()) | change
    path.write_text(yaml.safe_dump({"title": "Spring", "programme": "ip-phone-basic", "submissions": [content]}))
    return path


async def test_a_lab_file_is_checked_without_a_server_and_applied_with_one(assay: Assay, tmp_path: Path) -> None:
    path = lab_file(tmp_path)
    checked = await run_assay("lab", "check", str(path))
    assert (checked.status, checked.err) == (0, "")
    assert "slot-1" in checked.out
    applied = await assay("lab", "apply", str(path))
    assert (applied.status, applied.out) == (0, "applied: lab test with 1 host(s)\n")
    shown = json.loads((await assay("lab", "show")).out)
    assert shown["hosts"][0]["benches"][0]["slots"][0]["account"]["password"] == "********"


async def test_a_bad_lab_file_is_told_with_every_mistake_and_its_line(tmp_path: Path) -> None:
    path = lab_file(tmp_path)
    path.write_text(path.read_text().replace("site: here", "site: here\nsights: 1").replace("category:", "kategory:"))
    ended = await run_assay("lab", "check", str(path))
    assert ended.status == 2
    assert f"assay: {path}: " in ended.err
    assert "sights (line" in ended.err
    assert "Traceback" not in ended.err


async def test_a_join_token_is_printed_alone_for_scripts(assay: Assay, server: LabServer) -> None:
    await server.join()
    ended = await assay("lab", "join", "host-1")
    assert ended.status == 0
    assert ended.out.strip().startswith("asy_join_")
    refused = await assay("lab", "join", "nowhere")
    assert refused.status == 2
    assert "host nowhere is not in the lab file" in refused.err


async def test_devices_are_listed_held_and_released(assay: Assay, server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    (device,) = json.loads((await assay("devices", "list", "-o", "json")).out)
    assert (await assay("devices", "hold", device["device"], "--reason", "broken key")).status == 0
    table = await assay("devices", "list")
    assert "held" in table.out
    assert "broken key" in table.out
    assert (await assay("devices", "release", device["device"])).status == 0
    unknown = await assay("devices", "hold", "dev-none")
    assert unknown.status == 2
    assert "there is no device dev-none" in unknown.err


async def test_hosts_are_listed_drained_and_undrained(assay: Assay, server: LabServer) -> None:
    await server.join()
    assert (await assay("hosts", "drain", "host-1", "--reason", "new agent")).out == "host-1 is drained\n"
    (row,) = json.loads((await assay("hosts", "list", "-o", "json")).out)
    assert (row["intent"], row["reason"]) == ("drained", "new agent")
    assert (await assay("hosts", "undrain", "host-1")).out == "host-1 is in service\n"
    unknown = await assay("hosts", "drain", "nowhere")
    assert unknown.status == 2
    assert "host nowhere is not in the lab file" in unknown.err


async def test_a_batch_is_submitted_once_under_a_key_shown_held_and_cancelled(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    await server.join()
    path = batch_file(tmp_path)
    first = json.loads((await assay("submit", str(path), "--key", "k", "-o", "json")).out)
    again = json.loads((await assay("submit", str(path), "--key", "k", "-o", "json")).out)
    assert again == first
    batch = first["batch"]
    shown = await assay("batch", "show", batch)
    assert "Desk phone" in shown.out
    assert "no unit of Acme One 1.0" in shown.out
    assert (await assay("batch", "hold", batch)).status == 0
    assert json.loads((await assay("batch", "list", "-o", "json")).out)[0]["state"] == "held"
    assert (await assay("batch", "release", batch)).status == 0
    assert (await assay("batch", "cancel", batch)).status == 0
    twice = await assay("batch", "cancel", batch)
    assert twice.status == 2
    assert "is cancelled" in twice.err


async def test_a_submission_is_shown_with_its_false_declarations(assay: Assay, server: LabServer) -> None:
    batch = await server.measured_batch(hold_offer_valid=False)
    submission = batch["entries"][0]["submission"]
    shown = await assay("batch", "submission", submission)
    assert shown.status == 0
    assert "Certified: not met" in shown.out
    assert "declared-not-seen" in shown.out
    (finding,) = json.loads((await assay("batch", "submission", submission, "-o", "json")).out)["findings"]
    assert finding["feature"] == "hold"


async def test_a_batch_with_contradictions_is_refused_with_all_of_them(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    ended = await assay("submit", str(batch_file(tmp_path, ics={"audio": "loud"}, profile="none")))
    assert ended.status == 2
    assert ended.err.count("submissions[0]") >= 3


async def test_watching_a_batch_ends_with_it_and_tells_what_was_earned(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    batch = (await server.measured_batch())["batch"]
    ended = await assay("batch", "show", batch, "--watch")
    assert ended.status == 0
    assert "certified" in ended.out
    assert "completed" in ended.err


async def test_a_certificate_verifies_and_one_changed_byte_does_not(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    entry = (await server.measured_batch())["entries"][0]
    document = (await server.operator.get(f"/v1/certificates/{entry['certificate']}")).content
    path = tmp_path / "certificate.json"
    path.write_bytes(document)
    issuer = str(server.data / "issuer.json")
    good = await run_assay("verify", str(path), "--issuer", issuer, XDG_CONFIG_HOME=str(tmp_path))
    assert good.status == 0
    assert good.out.startswith("DEMONSTRATION, grants nothing")
    stranger = await run_assay("verify", str(path), XDG_CONFIG_HOME=str(tmp_path))
    assert stranger.status == 3
    path.write_bytes(document.replace(b"Acme", b"Acne", 1))
    assert (await run_assay("verify", str(path), "--issuer", issuer)).status == 1


async def test_the_audit_needs_no_server_and_finds_a_changed_row(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    await server.measured_batch()
    good = await assay("audit", "verify")
    assert good.status == 0
    assert "the chain holds" in good.out
    nowhere = await run_assay("audit", "verify", "--data", str(tmp_path / "none"))
    assert nowhere.status == 2


async def test_no_server_no_token_and_a_wrong_token_are_told_in_one_line(server: LabServer, tmp_path: Path) -> None:
    gone = await run_assay("devices", "list", "--server", "http://127.0.0.1:9", ASSAY_TOKEN="x")
    none = await run_assay("devices", "list", ASSAY_DATA=str(tmp_path / "none"))
    wrong = await run_assay("devices", "list", ASSAY_SERVER=server.address, ASSAY_TOKEN="asy_user_wrong")
    assert [ended.status for ended in (gone, none, wrong)] == [2, 2, 2]
    assert "is 'assay serve' running?" in gone.err
    assert "set ASSAY_TOKEN" in none.err
    assert "unknown, was revoked" in wrong.err
    assert all(len(ended.err.splitlines()) == 1 for ended in (gone, none, wrong))


async def test_settings_that_cannot_be_used_are_all_named() -> None:
    ended = await run_assay("devices", "list", ASSAY_PORT="many", ASSAY_LEASE_TTL_S="-1")
    assert ended.status == 2
    assert "ASSAY_PORT" in ended.err
    assert "ASSAY_LEASE_TTL_S" in ended.err
    assert "Traceback" not in ended.err
