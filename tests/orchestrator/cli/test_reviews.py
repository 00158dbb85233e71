"""The story of a review as people type it: ``assay reviews`` and ``assay decide``."""

import json

from lab_server import LabServer
from review_world import granting, judged, let_in

from tests.orchestrator.cli.conftest import Ended, run_assay


async def test_a_review_goes_from_question_to_certificate_with_a_token_for_each_role(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["opal"]) as opal:
        submission = await judged(server, opal)

    async def assay(who: str, *words: str) -> Ended:
        return await run_assay(*words, ASSAY_TOKEN=tokens[who], ASSAY_SERVER=server.address)

    listed = await assay("rita", "reviews", "list", "--waits-for", "review", "-o", "json")
    assert [row["submission"] for row in json.loads(listed.out)] == [submission]
    asked = await assay("rita", "reviews", "ask", submission, "--words", "Which handset?")
    assert (asked.status, asked.out) == (0, f"the review of {submission} waits for an answer\n")
    early = await assay("rita", "reviews", "recommend", submission, "--grant", "certified", "--words", "Well.")
    assert early.status == 2
    assert "open-questions: the question que-" in early.err
    assert "expected an answer to each question" in early.err
    assert (await assay("acme", "reviews", "answer", submission, "--words", "H2.")).status == 0
    recommended = await assay("rita", "reviews", "recommend", submission, "--grant", "certified", "--words", "Well.")
    assert (recommended.status, recommended.err) == (0, "")
    own = await assay("rita", "decide", submission, "--grant", "certified", "--words", "Well.")
    assert "this needs the scope decisions:write" in own.err
    shown = (await assay("dora", "reviews", "show", submission)).out
    assert f"{submission} phone one: recommended, waits for decision" in shown
    assert "recommendation (certified) by rita: Well." in shown
    assert "granting certified is prevented by nothing" in shown
    unclear = await assay("dora", "decide", submission, "--words", "Well.")
    assert "give either --grant LEVEL or --refuse" in unclear.err
    decided = await assay("dora", "decide", submission, "--grant", "certified", "--words", "All is met.")
    assert decided.status == 0
    certificate = decided.out.split()[-1]
    assert f"granted certified, certificate {certificate}" in decided.out
    shown = (await assay("rita", "reviews", "show", submission)).out
    assert "decided by dora: certified: All is met." in shown
    assert f"certificate {certificate}" in shown
    assert "prevented" not in shown


async def test_what_is_returned_or_refused_is_said(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["opal"]) as opal:
        returned, refused = await judged(server, opal), await judged(server, opal, "key-2")
    env = {"ASSAY_SERVER": server.address, "ASSAY_TOKEN": tokens["rita"]}
    back = await run_assay("reviews", "return", returned, "--words", "Send the handset.", **env)
    assert back.out == f"{returned} is returned to its vendor\n"
    assert (await run_assay("reviews", "recommend", refused, "--refuse", "--words", "No.", **env)).status == 0
    env["ASSAY_TOKEN"] = tokens["dora"]
    decided = await run_assay("decide", refused, "--refuse", "--words", "No.", **env)
    assert decided.out.endswith(": refused\n")
    ended = await run_assay("reviews", "list", "--waits-for", "nothing", **env)
    assert returned in ended.out
    assert refused in ended.out


async def test_a_certificate_is_granted_provisionally_seen_as_that_and_confirmed(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["opal"]) as opal:
        submission = await judged(server, opal, programme=granting(provisional=True))

    async def assay(who: str, *words: str) -> Ended:
        return await run_assay(*words, ASSAY_TOKEN=tokens[who], ASSAY_SERVER=server.address)

    said = ("--grant", "certified", "--words", "Well.")
    assert (await assay("rita", "reviews", "recommend", submission, *said)).status == 0
    until = ("--provisional-until", "2040-08-15")
    assert "go together" in (await assay("dora", "decide", submission, *said, *until)).err
    refused = await assay("dora", "decide", submission, *said, *until, "--open-conditions", "TBD")
    assert (refused.status, "provisional.conditions" in refused.err) == (2, True)
    words = "The <b>manual</b> is to be translated."
    decided = await assay("dora", "decide", submission, *said, *until, "--open-conditions", words)
    assert "granted certified provisionally until 2040-08-15, certificate crt-" in decided.out
    name = decided.out.split()[-1]
    page = (await server.operator.get(f"/certificates/{name}")).text
    assert "Provisional: it holds until its last day" in page
    assert "The &lt;b&gt;manual&lt;/b&gt; is to be translated." in page
    (row,) = json.loads((await assay("rita", "certificates", "list", "-o", "json")).out)
    assert (row["state"], row["ends_on"], row["conditions"]) == ("provisional", "2040-08-15", words)
    confirm = ("certificates", "confirm", name, "--reason", "It was translated.", "--ends-on", "none")
    assert (await assay("rita", *confirm)).status == 2
    ended = await assay("dora", *confirm)
    assert (ended.status, ended.out) == (0, f"{name} is granted\n")
    whole = await server.operator.get(f"/certificates/{name}")
    assert whole.status_code == 200
    assert "It was translated." in whole.text
    assert "Provisional" not in whole.text
