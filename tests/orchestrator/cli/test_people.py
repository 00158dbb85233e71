"""``assay people``, ``assay tokens`` and ``assay sign-in``, as a person types them."""

import json
from pathlib import Path

from lab_server import LabServer

from tests.orchestrator.cli.conftest import run_assay


async def test_the_first_person_is_let_in_before_there_is_a_server_and_only_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = await run_assay("people", "first", "anna", "--data", str(data))
    assert (first.status, first.err) == (0, "")
    assert (data / "operator-token").stat().st_mode & 0o077 == 0
    assert (data / "operator-token").read_text().startswith("asy_user_")
    again = await run_assay("people", "first", "bert", "--data", str(data))
    assert again.status == 2
    assert "anna can let people in" in again.err
    recovered = await run_assay("people", "first", "anna", "--recover", "--data", str(data))
    assert (recovered.status, recovered.err) == (0, "")


async def test_people_are_let_in_changed_shut_out_and_listed(server: LabServer) -> None:
    def asked(*words: str) -> tuple[str, ...]:
        return (*words, "--server", server.address)

    env = {"ASSAY_TOKEN": server.token}
    added = await run_assay(*asked("people", "add", "carl", "--role", "viewer"), **env)
    assert added.status == 0
    assert "asy_code_" in added.out
    refused = await run_assay(*asked("people", "add", "dora", "--role", "vendor"), **env)
    assert refused.status == 2
    assert "goes with the vendor's name" in refused.err
    changed = await run_assay(*asked("people", "roles", "carl", "--role", "reviewer", "--role", "decider"), **env)
    assert changed.out == "carl: reviewer, decider\n"
    assert (await run_assay(*asked("people", "disable", "carl", "--reason", "left"), **env)).status == 0
    listed = await run_assay(*asked("people", "list", "-o", "json"), **env)
    carl = next(row for row in json.loads(listed.out) if row["person"] == "carl")
    assert (carl["state"], carl["roles"], carl["by"]) == ("disabled", ["decider", "reviewer"], "operator")


async def test_a_code_becomes_a_limited_token_in_a_file_and_is_revoked(server: LabServer, tmp_path: Path) -> None:
    env = {"ASSAY_TOKEN": server.token, "ASSAY_SERVER": server.address}
    code = (await run_assay("people", "code", "operator", **env)).out.split()[-1]
    path = tmp_path / "token"
    options = ("--scope", "metrics:read", "--scope", "own", "--days", "365", "--token-file", str(path))
    signed = await run_assay("sign-in", *options, ASSAY_SERVER=server.address, stdin=code + "\n")
    assert (signed.status, signed.err) == (0, "")
    assert path.stat().st_mode & 0o077 == 0
    limited = {"ASSAY_TOKEN": path.read_text().strip(), "ASSAY_SERVER": server.address}
    refused = await run_assay("devices", "list", **limited)
    assert refused.status == 2
    assert "needs the scope lab:read" in refused.err
    rows = json.loads((await run_assay("tokens", "list", "-o", "json", **limited)).out)
    (mine,) = [row["token"] for row in rows if row["scopes"] == ["metrics:read", "own"]]
    assert (await run_assay("tokens", "revoke", mine, **limited)).status == 0
    assert "unknown, was revoked or has expired" in (await run_assay("tokens", "list", **limited)).err
    used = await run_assay("sign-in", ASSAY_SERVER=server.address, stdin=code + "\n")
    assert used.status == 2
    assert "used before" in used.err
