"""``assay keys`` on the server's host, and ``assay verify --keys``."""

import json
from pathlib import Path

from lab_server import LabServer, serving

from orchestrator.signing_keys import KEY
from tests.orchestrator.cli.conftest import run_assay


async def test_a_key_is_changed_between_two_runs_of_the_server_and_old_and_new_are_verified(tmp_path: Path) -> None:
    data, old_issuer, exported = tmp_path / "data", tmp_path / "old.json", tmp_path / "keys.json"
    files = []
    async with serving(data) as server:
        files.append(await _certificate(server, tmp_path / "old-certificate.json"))
        running = await run_assay("keys", "rotate", "--data", str(data))
        assert (running.status, "is using this directory" in running.err) == (2, True)
    old_issuer.write_bytes((data / "issuer.json").read_bytes())
    ended = await run_assay("keys", "rotate", "--data", str(data))
    assert (ended.status, ended.err) == (0, "")
    assert "introduced by" in ended.out
    rows = json.loads((await run_assay("keys", "list", "--data", str(data), "-o", "json")).out)
    assert [row["state"] for row in rows] == ["retired", "current"]
    assert rows[0]["retired_at"] == rows[1]["valid_from"]
    assert (await run_assay("keys", "export", "--out", str(exported), "--data", str(data))).status == 0
    async with serving(data) as server:
        files.append(await _certificate(server, tmp_path / "new-certificate.json"))
        assert (await server.operator.get("/v1/keys")).json()["keys"][1]["thumbprint"] == rows[1]["thumbprint"]
        listed = ("--status-list", f"{server.address}/v1/status-list")
        for file in files:
            for keys in (str(exported), f"{server.address}/v1/keys"):
                found = await run_assay("verify", str(file), "--issuer", str(old_issuer), "--keys", keys, *listed)
                assert found.status == 0, found.out
            found = await run_assay("verify", str(file), "--issuer", str(data / "issuer.json"), *listed)
            assert found.status == 0, found.out
        assert (await run_assay("verify", str(files[1]), "--issuer", str(old_issuer))).status == 1
    assert (await run_assay("audit", "verify", "--data", str(data))).status == 0


async def _certificate(server: LabServer, file: Path) -> Path:
    server.change = {"key": file.name}
    (entry,) = (await server.measured_batch())["entries"]
    file.write_bytes((await server.operator.get(f"/v1/certificates/{entry['certificate']}")).content)
    return file


async def test_a_compromised_key_revokes_what_it_signed_since_and_verification_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serving(data) as server:
        file = await _certificate(server, tmp_path / "certificate.json")
    where = ("--data", str(data))
    (row,) = json.loads((await run_assay("keys", "list", *where, "-o", "json")).out)
    wrong = ("keys", "compromised", row["thumbprint"], "--reason", "A disk was stolen.", *where)
    assert (await run_assay(*wrong, "--since", "2020-01-01T00:00:00Z")).status == 2
    assert (await run_assay("keys", "rotate", "--alone", *where)).status == 0
    assert (await run_assay(*wrong, "--since", "yesterday")).status == 2
    ended = await run_assay(*wrong, "--since", "2020-01-01T00:00:00Z")
    assert (ended.status, "revoked: crt-" in ended.out) == (0, True), ended
    found = await run_assay("verify", str(file), "--issuer", str(data / "issuer.json"))
    assert (found.status, "nothing from then on is believed" in found.out) == (1, True)
    assert (await run_assay("audit", "verify", *where)).status == 0


async def test_a_file_that_holds_no_keys_is_named(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("[]")
    ended = await run_assay("verify", str(file), "--keys", str(file))
    assert (ended.status, "neither a key link nor a list of keys" in ended.err) == (2, True)


async def test_a_directory_without_a_lab_is_left_as_it_is(tmp_path: Path) -> None:
    ended = await run_assay("keys", "rotate", "--data", str(tmp_path))
    assert (ended.status, "there is no database" in ended.err) == (2, True)
    assert not (tmp_path / KEY).exists()
