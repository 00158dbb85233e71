"""``assay certificates`` and ``assay verify --status-list`` against a running server."""

import json
import zipfile
from pathlib import Path

from lab_server import LabServer

from orchestrator.lifecycle.rights import Role
from orchestrator.people import People
from tests.orchestrator.cli.conftest import Assay, run_assay

WHY = ("--reason", "The firmware that is sold is another.")


async def test_a_certificate_is_suspended_reinstated_limited_extended_and_revoked_and_verification_says_so(
    assay: Assay, server: LabServer, tmp_path: Path
) -> None:
    (entry,) = (await server.measured_batch())["entries"]
    name, file, listed = entry["certificate"], tmp_path / "certificate.json", tmp_path / "status.json"
    file.write_bytes((await server.operator.get(f"/v1/certificates/{name}")).content)
    people = People(server.app.state.parts.store, server.app.state.parts.people._clock)
    people.add("dora", (Role.DECIDER,), None, "admin")
    dora = {"ASSAY_TOKEN": people.api_token("dora", "tests", frozenset(), 1).secret, "ASSAY_SERVER": server.address}

    async def verified() -> tuple[int, str]:
        assert (await assay("certificates", "status-list", "--out", str(listed))).status == 0
        issuer = ("--issuer", str(server.data / "issuer.json"))
        offline = await run_assay("verify", str(file), *issuer, "--status-list", str(listed))
        online = await run_assay("verify", str(file), *issuer, "--status-list", f"{server.address}/v1/status-list")
        assert offline == online
        return offline.status, offline.out

    assert (await verified())[0] == 0
    said = []
    for words in (
        ("suspend", name, *WHY),
        ("reinstate", name, *WHY),
        ("reduce", name, *WHY, "--limits", "Not in open offices."),
        ("extend", name, *WHY, "--ends-on", "2040-08-15"),
    ):
        ended = await run_assay("certificates", *words, **dora)
        assert (ended.status, ended.err) == (0, ""), words
        said.append(ended.out)
        assert (await verified())[0] == (4 if words[0] == "suspend" else 0)
    assert said[-1] == f"{name} is granted, last day 2040-08-15, limits of use: Not in open offices.\n"
    status, out = await verified()
    assert (status, "up to and including 2040-08-15" in out, "Limits of use: Not in open offices." in out) == (
        0,
        True,
        True,
    )
    assert (await run_assay("certificates", "revoke", name, *WHY, **dora)).status == 0
    status, out = await verified()
    assert (status, "NOT IN FORCE: it is revoked" in out) == (4, True)
    history = json.loads((await assay("certificates", "history", name, "-o", "json")).out)
    assert [link["event"] for link in history] == ["suspended", "reinstated", "reduced", "extended", "revoked"]
    (row,) = json.loads((await assay("certificates", "list", "-o", "json")).out)
    assert (row["state"], row["ends_on"]) == ("revoked", "2040-08-15")


async def test_bad_orders_are_told_in_words(assay: Assay, server: LabServer, tmp_path: Path) -> None:
    (entry,) = (await server.measured_batch())["entries"]
    ended = await assay("certificates", "extend", entry["certificate"], *WHY, "--ends-on", "soon")
    assert (ended.status, "expected YYYY-MM-DD or none" in ended.err) == (2, True)
    refused = await assay("certificates", "revoke", entry["certificate"], *WHY)
    assert (refused.status, "certificates:write" in refused.err) == (2, True)
    made = tmp_path / "bundle.zip"
    assert (await assay("certificates", "bundle", entry["certificate"], "--out", str(made))).status == 0
    assert "VERIFY.md" in zipfile.ZipFile(made).namelist()
