"""A lab's own programmes: offered while the server runs, submitted to, withdrawn, and kept for what is in."""

import json
from pathlib import Path

import httpx
import pytest
import yaml
from lab_server import LabServer
from lab_world import submission
from review_world import GRANTING, granting, judged, let_in, submit, token_of

from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.rights import Role
from orchestrator.store.audit import audit
from tests.orchestrator.cli.conftest import Ended, run_assay


def other(version: str, **change: object) -> Programme:
    return Programme.model_validate(json.loads(granting().model_dump_json()) | {"version": version} | change)


async def offer(client: httpx.AsyncClient, programme: Programme) -> httpx.Response:
    return await client.post("/v1/programmes", json=json.loads(programme.model_dump_json()))


async def test_a_programme_is_offered_submitted_to_and_withdrawn_and_what_is_in_goes_on(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["dora"]) as dora, server.client(tokens["opal"]) as opal:
        assert (await offer(dora, granting())).json()["new"] is True
        assert (await offer(dora, granting())).json()["new"] is False
        listed = {row["id"]: row["own"] for row in (await opal.get("/v1/programmes")).json()}
        assert listed[GRANTING] is True
        assert listed["ip-phone-basic"] is False
        waits = await judged(server, opal)
        body = {"version": "1.0", "reason": "Version 1.1 takes its place."}
        assert (await dora.post(f"/v1/programmes/{GRANTING}/withdraw", json=body)).status_code == 204
        refused = await opal.post(
            "/v1/batches",
            json={"title": "b", "programme": GRANTING, "submissions": [json.loads(submission().model_dump_json())]},
            headers={"Idempotency-Key": "late"},
        )
        assert refused.status_code == 422
        assert (await opal.get(f"/v1/programmes/{GRANTING}", params={"version": "1.0"})).json() == json.loads(
            granting().model_dump_json()
        )
        review = (await dora.get(f"/v1/reviews/{waits}")).json()
        assert "programme-withdrawn" in json.dumps(review)
        # Another version of it is offered: what was judged under the former one can be decided again.
        assert (await offer(dora, other("1.1"))).status_code == 201
        review = (await dora.get(f"/v1/reviews/{waits}")).json()
        assert "programme-withdrawn" not in json.dumps(review)
    with server.parts.store.reading() as connection:
        assert audit(connection).findings == ()


async def test_the_same_version_with_another_content_is_refused_also_after_it_was_withdrawn(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["dora"]) as dora:
        await offer(dora, granting())
        changed = other("1.0", title="Another")
        answer = await offer(dora, changed)
        assert answer.status_code == 409
        assert "a programme that was changed needs another version" in answer.json()["detail"]
        await dora.post(f"/v1/programmes/{GRANTING}/withdraw", json={"version": "1.0", "reason": "It was wrong."})
        assert (await offer(dora, changed)).status_code == 409
        assert (await offer(dora, granting())).json()["new"] is True
        shipped = Programme.model_validate(json.loads(shipped_programmes()[0].model_dump_json()) | {"title": "Another"})
        assert (await offer(dora, shipped)).status_code == 409


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("ip-phone-basic", {"version": "1.0", "reason": "Not ours."}, 409, "comes with the product"),
        (GRANTING, {"version": "3.0", "reason": "It was wrong."}, 404, f"there is {GRANTING}@1.0"),
        (GRANTING, {"version": "1.0", "reason": "N/A"}, 422, "why, in a sentence"),
    ],
)
async def test_what_cannot_be_withdrawn_is_told(
    server: LabServer, name: str, body: dict[str, str], status: int, words: str
) -> None:
    tokens = let_in(server)
    async with server.client(tokens["dora"]) as dora:
        await offer(dora, granting())
        answer = await dora.post(f"/v1/programmes/{name}/withdraw", json=body)
        assert answer.status_code == status
        assert words in answer.text


async def test_a_programme_with_mistakes_is_refused_with_each_place(server: LabServer) -> None:
    tokens = let_in(server)
    body = json.loads(granting().model_dump_json())
    body["requirements"][0]["case"] = "no-such-case"
    body["suites"][0]["cases"][0]["repeats"] = 0
    async with server.client(tokens["dora"]) as dora:
        answer = await dora.post("/v1/programmes", json=body)
    assert answer.status_code == 422
    assert "repeats" in answer.text


async def test_only_a_decider_offers(server: LabServer) -> None:
    let_in(server)
    for role in (Role.OPERATOR, Role.REVIEWER, Role.VIEWER, Role.ADMIN):
        async with server.client(token_of(server, f"p-{role}", role)) as client:
            assert (await offer(client, granting())).status_code == 403


async def test_a_lab_s_own_programmes_are_still_offered_after_a_restart(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["dora"]) as dora, server.client(tokens["opal"]) as opal:
        await offer(dora, granting())
        await offer(dora, other("0.9"))
        await dora.post(f"/v1/programmes/{GRANTING}/withdraw", json={"version": "0.9", "reason": "It is old."})
        server.parts.desk.keep_programmes(shipped_programmes())  # what a server does when it starts
        assert (await submit(server, opal))["batch"]
        versions = [row["version"] for row in (await opal.get("/v1/programmes")).json() if row["id"] == GRANTING]
        assert versions == ["1.0"]


async def test_a_category_of_a_lab_s_own_is_counted_from_its_first_scrape(server: LabServer) -> None:
    tokens = let_in(server)
    async with server.client(tokens["dora"]) as dora:
        await offer(dora, other("1.0", id="own-desk-phone", category="desk-phone"))
    metrics = (await server.operator.get("/metrics")).text
    assert 'assay_runs_completed_total{category="desk-phone"' in metrics.replace('lab="lab-1",', "")


async def test_a_programme_is_offered_listed_and_withdrawn_as_people_type_it(server: LabServer, tmp_path: Path) -> None:
    tokens = let_in(server)
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(json.loads(granting().model_dump_json())), encoding="utf-8")

    async def assay(*words: str) -> Ended:
        return await run_assay(*words, ASSAY_TOKEN=tokens["dora"], ASSAY_SERVER=server.address)

    assert (await assay("programme", "offer", str(path))).out == f"{GRANTING}@1.0 is open to submissions\n"
    assert (await assay("programme", "offer", str(path))).out == f"{GRANTING}@1.0 is already open to submissions\n"
    assert "this lab" in (await assay("programme", "list")).out
    without = await assay("programme", "withdraw", GRANTING, "--reason", "It is old.")
    assert (without.status, "names no version: expected ID@VERSION" in without.err) == (2, True)
    assert (await assay("programme", "withdraw", f"{GRANTING}@1.0", "--reason", "It is old.")).status == 0
    assert "this lab" not in (await assay("programme", "list")).out
