"""Prompts through the API: one token for each role, and a submission from its prompts to its certificate."""

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from lab_server import LabServer
from lab_world import registration
from prompt_world import PICTURE, SVG, as_json, measured, mixed, only_prompt, submit, throughout
from review_world import let_in, token_of

from orchestrator.lifecycle.rights import Role
from orchestrator.store.audit import audit

Clients = dict[str, httpx.AsyncClient]
ACTS = ("answer", "confirm", "differ", "abort")


@pytest.fixture
async def clients(server: LabServer) -> AsyncIterator[Clients]:
    """A client for each of those with one role, and for a second operator."""
    async with AsyncExitStack() as stack:
        tokens = let_in(server) | {"otto": token_of(server, "otto", Role.OPERATOR)}
        yield {name: await stack.enter_async_context(server.client(token)) for name, token in tokens.items()}


async def post(client: httpx.AsyncClient, prompt: str, act: str, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/prompts/{prompt}/{act}", json=body)


async def shown(client: httpx.AsyncClient, prompt: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/prompts/{prompt}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def judged(server: LabServer, submission: str) -> dict[str, Any]:
    found = await server.until(f"/v1/submissions/{submission}", lambda found: found["state"] == "judged")
    made: dict[str, Any] = found["judgement"]
    return made


async def test_a_run_and_two_people_measure_a_submission_and_a_certificate_follows(
    server: LabServer, clients: Clients
) -> None:
    await server.join()
    await server.heartbeat(registration())
    submission = await submit(server, mixed(second_person=True))
    prompt = await only_prompt(server)
    assignment = await server.taken.get()
    await server.until(f"/v1/runs/{assignment.run}", lambda run: run["ray_node"] is not None)
    await server.deliver(assignment)
    waiting = (await clients["acme"].get(f"/v1/submissions/{submission}")).json()
    assert (waiting["state"], [one["state"] for one in waiting["prompts"]]) == ("open", ["open"])

    found = await shown(clients["otto"], prompt)
    assert (found["state"], found["may"], found["second_person"]) == ("open", ["answer", "abort"], True)
    assert found["asks"] == [{"quantity": "ringer", "unit": "dB(A)"}, {"quantity": "lamp_blinks", "unit": "bool"}]
    photo = b"a photo"
    address = f"sha256:{hashlib.sha256(photo).hexdigest()}"
    sent = await clients["opal"].put(f"/v1/prompts/{prompt}/evidence/{address}", content=photo)
    assert sent.status_code == 201, sent.text
    file_said = {"name": "photo.png", "media_type": "image/png", "size_bytes": len(photo)}
    file = {"digest": address} | file_said
    made = await post(
        clients["opal"], prompt, "answer", serial="SN 12", measured=as_json(), evidence=[file], words="Well heard."
    )
    assert made.status_code == 201, made.text
    answer = made.json()["answer"]

    own = await post(clients["opal"], prompt, "confirm", answer=answer)
    assert (own.status_code, own.json()["type"]) == (409, "urn:assay:second-person")
    assert own.json()["problems"][0]["path"] == "second-person"
    assert (await shown(clients["opal"], prompt))["may"] == ["abort"]
    assert (await shown(clients["otto"], prompt))["may"] == ["confirm", "differ", "abort"]
    assert (await post(clients["otto"], prompt, "confirm", answer=answer)).status_code == 204

    judgement = await judged(server, submission)
    assert judgement["earned"] == "certified"
    (by_hand,) = (one for one in judgement["levels"][-1]["requirements"] if one["requirement"] == "M-1")
    assert "by opal with meter-1, confirmed by otto" in by_hand["grounds"][0]["words"]
    assert by_hand["grounds"][0]["evidence"] == [address]
    (row,) = (await server.operator.get("/v1/certificates")).json()
    document = (await server.operator.get(f"/v1/certificates/{row['certificate']}")).json()["certificate"]
    assert address in document["evidence"]
    bundle = (await server.operator.get(f"/v1/certificates/{row['certificate']}/bundle")).content
    named = json.loads(zipfile.ZipFile(io.BytesIO(bundle)).read("evidence.json"))
    assert {"digest": address, "requirement": "M-1"} | file_said in named
    kinds = [(entry["kind"], entry["by"]) for entry in (await shown(clients["rita"], prompt))["entries"]]
    assert kinds == [("answered", "opal"), ("confirmed", "otto")]
    assert (await clients["rita"].get(f"/v1/artifacts/{address}")).content == photo
    with server.parts.store.reading() as connection:
        assert audit(connection).findings == ()


async def test_only_operators_act_and_vendors_see_that_theirs_is_asked(server: LabServer, clients: Clients) -> None:
    submission = await submit(server, throughout(picture=PICTURE))
    prompt = await only_prompt(server)
    bodies: dict[str, dict[str, Any]] = {
        "answer": {"serial": "SN 12", "measured": as_json()},
        "confirm": {"answer": "mes-1"},
        "differ": {"answer": "mes-1", "words": "no"},
        "abort": {"words": "no"},
    }
    for name in ("rita", "dora", "acme"):
        for act in ACTS:
            assert (await post(clients[name], prompt, act, **bodies[act])).status_code == 403, (name, act)
        all_at_once = await clients[name].post(f"/v1/submissions/{submission}/prompts/abort", json={"words": "no"})
        assert all_at_once.status_code == 403
    seen = await shown(clients["acme"], prompt)
    assert (seen["state"], seen["requirement"], seen["due_at"] > seen["opened_at"]) == ("open", "M-1", True)
    assert {"instructions", "entries", "answer", "asks"}.isdisjoint(seen)
    assert [row["prompt"] for row in (await clients["acme"].get("/v1/prompts")).json()] == [prompt]
    assert (await clients["acme"].get(f"/v1/prompts/{prompt}/picture")).status_code == 404
    async with server.client(token_of(server, "other", Role.VENDOR, vendor="Other")) as other:
        assert (await other.get("/v1/prompts")).json() == []
        assert (await other.get(f"/v1/prompts/{prompt}")).status_code == 404


async def test_the_picture_comes_as_it_is_and_can_run_nothing(server: LabServer, clients: Clients) -> None:
    await submit(server, throughout(picture=PICTURE))
    answer = await clients["opal"].get(f"/v1/prompts/{await only_prompt(server)}/picture")
    assert (answer.content.decode(), answer.headers["content-type"]) == (SVG, "image/svg+xml")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_is_wrong_with_an_answer_is_told_all_at_once_and_it_stays_open(
    server: LabServer, clients: Clients
) -> None:
    await submit(server, throughout())
    prompt = await only_prompt(server)
    ringer, lamp = as_json()
    wrong = [ringer | {"unit": "dB"}]
    answer = await post(clients["opal"], prompt, "answer", serial="SN 12", measured=wrong)
    assert answer.status_code == 422
    assert [one["path"] for one in answer.json()["problems"]] == ["measured", "measured[0].unit"]
    assert (await post(clients["opal"], prompt, "answer", serial="SN 12", measured=[])).status_code == 422
    assert (await post(clients["opal"], prompt, "answer", serial="", measured=as_json())).status_code == 422
    assert (
        await post(clients["opal"], prompt, "answer", serial="SN 12", measured=[ringer | {"value": None}, lamp])
    ).status_code == 422
    nan = await clients["opal"].post(
        f"/v1/prompts/{prompt}/answer",
        content='{"serial": "SN 12", "measured": [{"quantity": "ringer", "unit": "dB(A)", "value": NaN}]}',
        headers={"Content-Type": "application/json"},
    )
    assert nan.status_code == 422
    assert (await shown(clients["opal"], prompt))["state"] == "open"
    assert (await post(clients["opal"], "prm-none", "answer", serial="SN 12", measured=as_json())).status_code == 404


async def test_whoever_may_answer_aborts_one_or_all_and_nobody_twice(server: LabServer, clients: Clients) -> None:
    first = await submit(server, throughout())
    prompt = await only_prompt(server)
    assert (await post(clients["otto"], prompt, "abort", words=" ")).status_code == 422
    assert (await post(clients["otto"], prompt, "abort", words="No room.")).status_code == 204
    assert (await post(clients["otto"], prompt, "abort", words="No room.")).status_code == 409
    judgement = await judged(server, first)
    assert judgement["earned"] is None
    assert "was aborted by otto: No room." in judgement["levels"][0]["requirements"][0]["words"]

    second = await submit(server, throughout(), "key-2")
    all_at_once = await clients["opal"].post(f"/v1/submissions/{second}/prompts/abort", json={"words": "no"})
    assert len(all_at_once.json()["prompts"]) == 1
    assert (await judged(server, second))["earned"] is None
    (row,) = (await clients["opal"].get(f"/v1/prompts?state=aborted&submission={second}")).json()
    assert row["prompt"] == all_at_once.json()["prompts"][0]
    with server.parts.store.reading() as connection:
        assert audit(connection).findings == ()


async def test_files_are_taken_for_an_open_prompt_only_and_up_to_a_size(server: LabServer, clients: Clients) -> None:
    await submit(server, throughout())
    prompt = await only_prompt(server)
    address = f"sha256:{hashlib.sha256(b'foo').hexdigest()}"
    where = f"/v1/prompts/{prompt}/evidence/{address}"
    assert (await clients["opal"].put(where, content=b"bar")).status_code == 422
    assert (await clients["opal"].put(where, content=bytes(4_000_001))).status_code == 413
    assert (await clients["rita"].put(where, content=b"foo")).status_code == 403
    assert (await clients["opal"].put(where, content=b"foo")).status_code == 201
    assert (await clients["opal"].put(where, content=b"foo")).status_code == 200
    await post(clients["opal"], prompt, "abort", words="no")
    assert (await clients["opal"].put(where, content=b"foo")).status_code == 409


async def test_who_measured_by_hand_took_part_and_does_not_decide(server: LabServer, clients: Clients) -> None:
    submission = await submit(server, throughout(granting=True))
    prompt = await only_prompt(server)
    async with server.client(token_of(server, "both", Role.OPERATOR, Role.DECIDER)) as both:
        assert (await post(both, prompt, "answer", serial="SN 12", measured=as_json())).status_code == 201
        await judged(server, submission)
        said = {"words": "because", "level": "certified"}
        assert (await clients["rita"].post(f"/v1/reviews/{submission}/recommend", json=said)).status_code == 204
        answer = await both.post(f"/v1/reviews/{submission}/decide", json=said)
        assert answer.status_code == 409
        assert answer.json()["problems"][0]["path"] == "decider-took-part"
        assert f"both measured by hand, for the prompt {prompt}" in answer.text
    made = await clients["dora"].post(f"/v1/reviews/{submission}/decide", json=said)
    assert made.status_code == 201
    certificate = made.json()["certificate"]
    for path in (
        f"/certificates/{certificate}",
        f"/v1/certificates/{certificate}/bundle",
        f"/submissions/{submission}",
        f"/v1/submissions/{submission}/junit",
    ):
        assert (await clients["dora"].get(path)).status_code == 200, path


async def test_the_gauge_says_how_many_prompts_wait(server: LabServer, clients: Clients) -> None:
    await submit(server, throughout())
    assert 'assay_prompts_open{lab=""} 1.0' in (await clients["opal"].get("/metrics")).text
    await post(clients["opal"], await only_prompt(server), "answer", serial="SN 12", measured=as_json(*measured()))
    assert 'assay_prompts_open{lab=""} 0.0' in (await clients["opal"].get("/metrics")).text
