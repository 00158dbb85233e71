"""The story of a waiver as people type it: ``assay waivers``, and what the other commands then say."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from lab_server import LabServer
from review_world import GRANTING, granting, judged, let_in, token_of

from lab_inventory.clock import SystemClock
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.rights import Role
from tests.orchestrator.cli.conftest import Ended, run_assay

UNTIL = (SystemClock().now().date() + timedelta(days=90)).isoformat()
ASKED = (
    *("waivers", "propose", "--programme", f"{GRANTING}@{granting().version}", "--requirement", "BP-SIP-01"),
    *("--level", "certified", "--until", UNTIL, "--reason", "The fix is due in spring."),
)
PRODUCT = ("--maker", "Acme", "--model", "One", "--hardware", "A")


async def test_a_waiver_goes_from_the_asking_to_the_certificate_and_its_revocation(
    server: LabServer, tmp_path: Path
) -> None:
    tokens = let_in(server)
    server.parts.desk.keep_programmes([*shipped_programmes(), granting()])

    async def assay(who: str, *words: str) -> Ended:
        return await run_assay(*words, ASSAY_TOKEN=tokens[who], ASSAY_SERVER=server.address)

    proposed = await assay("opal", *ASKED, *PRODUCT)
    assert (proposed.status, proposed.err) == (0, "")
    waiver = proposed.out.strip()
    own = await assay("opal", "waivers", "approve", waiver, "--reason", "Fine.")
    assert "this needs the scope waivers:decide" in own.err
    done = await assay("dora", "waivers", "approve", waiver, "--reason", "A small risk.")
    assert (done.status, done.out) == (0, f"{waiver} is approved\n")
    listed = await assay("rita", "waivers", "list", "--state", "approved", "--programme", GRANTING, "-o", "json")
    assert [(one["waiver"], one["ends_on"]) for one in json.loads(listed.out)] == [(waiver, UNTIL)]

    async with server.client(tokens["opal"]) as opal:
        submission = await judged(server, opal, ringing_ms=900.0)
    shown = (await assay("rita", "waivers", "show", waiver)).out
    assert f"{waiver}: approved, last day {UNTIL}" in shown
    assert "asked for by opal: The fix is due in spring." in shown
    assert "approved by dora: A small risk." in shown
    assert f"judged with it: {submission}" in shown
    assert "Certified: met by waivers" in (await assay("rita", "reviews", "show", submission)).out

    said = (submission, "--grant", "certified", "--words", "Well.")
    assert (await assay("rita", "reviews", "recommend", *said)).status == 0
    certificate = (await assay("dora", "decide", *said)).out.split()[-1]
    file, issuer = tmp_path / "certificate.json", server.data / "issuer.json"
    file.write_text((await server.operator.get(f"/certificates/{certificate}/file")).text)
    verified = await run_assay("verify", str(file), "--issuer", str(issuer))
    assert verified.status == 0
    assert "without BP-SIP-01" in verified.out
    assert f"at certified (fail), waived by {waiver} until {UNTIL}: The fix is due in spring." in verified.out

    assert (await assay("dora", "waivers", "revoke", waiver, "--reason", "It was no small risk.")).status == 0
    assert "revoked by dora: It was no small risk." in (await assay("rita", "waivers", "show", waiver)).out
    again = await run_assay("rejudge", "--programme", GRANTING, "--submission", submission, "--data", str(server.data))
    assert (again.status, again.err) == (0, "")
    assert "1 unchanged, 0 fails" in again.out
    told = re.sub(r"[│\s]+", "", again.out)
    assert f"waiversthatarenotinforceanymore:{waiver}(revoked)" in told


async def test_one_person_who_asks_and_approves_is_told_the_rule(server: LabServer) -> None:
    server.parts.desk.keep_programmes([*shipped_programmes(), granting()])
    env = {
        "ASSAY_TOKEN": token_of(server, "solo", Role.OPERATOR, Role.DECIDER),
        "ASSAY_SERVER": server.address,
    }
    waiver = (await run_assay(*ASKED, *PRODUCT, **env)).out.strip()
    ended = await run_assay("waivers", "approve", waiver, "--reason", "Fine.", **env)
    assert ended.status == 2
    assert f"approver-is-author: solo asked for {waiver}" in ended.err
    shown = (await run_assay("waivers", "show", waiver, **env)).out
    assert "you cannot approve it:" in shown
    assert "approver-is-author" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (ASKED, "expected either --submission, or all of --maker, --model and --hardware"),
        ((*ASKED, *PRODUCT[:4]), "expected either --submission, or all of --maker, --model and --hardware"),
        ((*ASKED, *PRODUCT, "--submission", "sub-1"), "expected either --submission, or all of"),
        ((*ASKED[:3], GRANTING, *ASKED[4:], *PRODUCT), "expected the version too"),
    ],
)
async def test_what_is_left_open_is_asked_for(words: tuple[str, ...], said: str) -> None:
    ended = await run_assay(*words, ASSAY_TOKEN="none", ASSAY_SERVER="http://127.0.0.1:1")
    assert ended.status == 2
    assert said in ended.err
