"""What the API refuses, and how it says so."""

import asyncio
import hashlib
import json

import httpx
import pytest
from agent_by_hand import KeyByHand
from fastapi.routing import APIRoute
from lab_server import LabServer
from lab_world import lab, registration

from orchestrator.api import agents, operators, people

HELD = {"reason": ""}
OF_AGENTS = {"/v1/agents/heartbeat", "/v1/agents/renewals", "/v1/agents/reports"}
OF_NOBODY = {"/v1/agents/join", "/v1/agents/challenge", "/v1/agents/credential"}
OF_NOBODY |= {"/v1/sign-in", "/v1/certificates/{certificate}"}
ROUTES = [
    (sorted(route.methods)[0], route.path)
    for router in (agents.router, operators.router, people.router)
    for route in router.routes
    if isinstance(route, APIRoute)
]


def is_problem(answer: httpx.Response, status: int) -> bool:
    """Whether it is a problem document of that status that says something."""
    body = answer.json()
    return (
        answer.status_code == status == body["status"]
        and answer.headers["content-type"] == "application/problem+json"
        and bool(body["title"] and body["detail"])
        and "Traceback" not in answer.text
    )


def test_there_are_routes_to_be_tried() -> None:
    assert len(ROUTES) > 20


@pytest.mark.parametrize("token", ["", "asy_user_wrong", "asy_join_wrong"])
async def test_without_a_good_token_every_route_says_what_is_needed(server: LabServer, token: str) -> None:
    async with server.client(token) as stranger:
        for method, path in ROUTES:
            if path in OF_NOBODY:
                continue
            url = path.replace("{address}", "sha256:" + "0" * 64).replace("{", "x").replace("}", "x")
            answer = await stranger.request(method, url, json={})
            assert is_problem(answer, 401), f"{method} {path}"
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_agent_may_not_do_what_operators_do_nor_an_operator_what_agents_do(server: LabServer) -> None:
    await server.join()
    assert is_problem(await server.agent.put("/v1/lab", json=json.loads(lab().model_dump_json())), 403)
    assert is_problem(await server.agent.post("/v1/hosts/host-1/join-token"), 403)
    assert is_problem(await server.agent.post("/v1/batches/b/cancel", json=HELD), 403)
    for path in OF_AGENTS:
        valid = {
            "/v1/agents/heartbeat": {"agent_version": "1", "boot": "b", "inbox": "/i"},
            "/v1/agents/renewals": {"renewals": []},
        }.get(path)
        if valid:
            assert is_problem(await server.operator.post(path, json=valid), 403)


async def test_a_join_token_works_once_and_only_for_its_host(server: LabServer) -> None:
    await server.join()
    token = (await server.operator.post("/v1/hosts/host-1/join-token")).json()["token"]
    asked = KeyByHand().asking(token)
    assert is_problem(await server.operator.post("/v1/agents/join", json=asked | {"host": "host-2"}), 401)
    assert (await server.operator.post("/v1/agents/join", json=asked)).status_code == 200
    again = await server.operator.post("/v1/agents/join", json=asked)
    assert is_problem(again, 401)
    assert "ask an operator for a new one" in again.json()["detail"]


async def test_a_second_join_ends_the_first_credential(server: LabServer) -> None:
    await server.join()
    first = server.client(server.agent.headers["Authorization"].removeprefix("Bearer "))
    await server.join()
    assert is_problem(await first.post("/v1/agents/renewals", json={"renewals": []}), 401)
    assert (await server.agent.post("/v1/agents/renewals", json={"renewals": []})).status_code == 200
    await first.aclose()


async def test_a_join_token_for_a_host_that_is_not_in_the_lab_file_is_refused(server: LabServer) -> None:
    assert is_problem(await server.operator.post("/v1/hosts/nowhere/join-token"), 422)


async def test_a_batch_is_refused_with_every_reason_at_once(server: LabServer) -> None:
    answer = await server.submit("one", ics={"audio": "shouted", "codec.pcmu": True}, profile="no-such")
    assert is_problem(answer, 422)
    paths = [problem["path"] for problem in answer.json()["problems"]]
    assert len(paths) >= 3
    assert all(path.startswith("submissions[0]") for path in paths)


async def test_a_programme_that_does_not_exist_is_named(server: LabServer) -> None:
    body = {"title": "t", "programme": "no-such-programme", "submissions": []}
    answer = await server.operator.post("/v1/batches", json=body, headers={"Idempotency-Key": "k"})
    assert is_problem(answer, 422)
    assert answer.json()["problems"][0]["path"] == "body.submissions"
    submissions = (await _body_of(server))["submissions"]
    answer = await server.operator.post(
        "/v1/batches", json=body | {"submissions": submissions}, headers={"Idempotency-Key": "k"}
    )
    assert is_problem(answer, 422)
    assert "no-such-programme" in answer.text


async def _body_of(server: LabServer) -> dict[str, object]:
    request = (await server.submit(key="x")).request
    body: dict[str, object] = json.loads(request.content)
    return body


async def test_a_submit_without_an_idempotency_key_is_refused(server: LabServer) -> None:
    answer = await server.operator.post("/v1/batches", json=await _body_of(server))
    assert is_problem(answer, 422)
    assert "idempotency-key" in answer.json()["problems"][0]["path"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/batches/batch-none", 404),
        ("GET", "/v1/submissions/x", 404),
        ("GET", "/v1/devices/x", 404),
        ("GET", "/v1/runs/x", 404),
        ("GET", "/v1/certificates/x", 404),
        ("GET", "/v1/artifacts/sha256:" + "0" * 64, 404),
        ("GET", "/v1/lab", 404),
        ("POST", "/v1/batches/x/release", 404),
        ("POST", "/v1/devices/x/release", 404),
        ("DELETE", "/v1/batches", 405),
        ("GET", "/v1/batches?limit=0", 422),
        ("GET", "/v1/batches?limit=100000", 422),
        ("GET", "/v1/artifacts/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v1/artifacts/passwd", 422),
    ],
)
async def test_what_is_not_there_or_not_served_gets_a_problem_document(
    server: LabServer, method: str, path: str, status: int
) -> None:
    assert is_problem(await server.operator.request(method, path), status)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"title": NaN}', b"\xff\xfe", b'{"unknown": 1}', b"[" * 5000])
async def test_a_body_that_cannot_be_read_gets_a_problem_document(server: LabServer, body: bytes) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await server.operator.post("/v1/batches", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert is_problem(answer, answer.status_code)


async def test_a_body_of_another_kind_is_told_which_is_expected(server: LabServer) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await server.operator.post("/v1/batches", content=b"{}", headers=headers)
    assert is_problem(answer, 422)
    assert answer.json()["problems"][0]["expected"] == "application/json"


async def test_a_body_over_the_cap_is_refused_whether_declared_or_streamed(server: LabServer) -> None:
    big = b" " * 5_000_000
    assert is_problem(await server.operator.post("/v1/batches", content=big, headers={"Idempotency-Key": "k"}), 413)

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(50):
            yield b" " * 100_000

    answer = await server.operator.post("/v1/batches", content=pieces(), headers={"Idempotency-Key": "k"})
    assert is_problem(answer, 413)


async def test_the_lab_file_is_shown_with_masked_passwords_and_a_shown_one_is_not_taken_back(
    server: LabServer,
) -> None:
    await server.join()
    shown = await server.operator.get("/v1/lab")
    assert '"password":"p"' not in shown.text.replace(" ", "")
    assert is_problem(await server.operator.put("/v1/lab", json=shown.json()), 422)


async def test_the_account_of_a_phones_control_is_masked_as_well_and_not_taken_back(server: LabServer) -> None:
    await server.join()
    given = lab().model_dump(mode="json")
    given["hosts"][0]["benches"][0]["slots"][0]["control_account"] = {"user": "admin", "password": "0pen-Sesame"}
    assert (await server.operator.put("/v1/lab", json=given)).status_code == 204
    shown = await server.operator.get("/v1/lab")
    assert "0pen-Sesame" not in shown.text
    assert shown.json()["hosts"][0]["benches"][0]["slots"][0]["control_account"]["user"] == "admin"
    given["hosts"][0]["benches"][0]["slots"][0]["control_account"]["password"] = "********"
    assert is_problem(await server.operator.put("/v1/lab", json=given), 422)


async def test_evidence_is_kept_under_its_hash_and_given_only_as_a_download(server: LabServer) -> None:
    await server.join()
    data = b"<script>alert(1)</script>"
    address = "sha256:" + hashlib.sha256(data).hexdigest()
    assert (await server.agent.put(f"/v1/artifacts/{address}", content=data)).status_code == 201
    assert (await server.agent.put(f"/v1/artifacts/{address}", content=data)).status_code == 200
    found = await server.operator.get(f"/v1/artifacts/{address}")
    assert found.content == data
    assert found.headers["content-disposition"].startswith("attachment")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-type"] == "application/octet-stream"


async def test_evidence_with_another_hash_or_too_large_is_refused_and_nothing_stays(server: LabServer) -> None:
    await server.join()
    address = "sha256:" + "1" * 64
    assert is_problem(await server.agent.put(f"/v1/artifacts/{address}", content=b"other"), 422)
    assert is_problem(await server.agent.put(f"/v1/artifacts/{address}", content=b"0" * 32_000_001), 413)
    assert is_problem(await server.operator.get(f"/v1/artifacts/{address}"), 404)
    assert [path for path in (server.data / "artifacts").rglob("*") if path.is_file()] == []


async def test_a_report_that_names_evidence_which_is_not_there_is_not_taken(server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    await server.submit()
    assignment = await asyncio.wait_for(server.taken.get(), 30)
    missing = "sha256:" + "2" * 64
    case = assignment.cases[0].id
    ended = {
        "kind": "case-ended",
        "case": case,
        "repeat": 1,
        "status": "measured",
        "duration_s": 1,
        "evidence": [{"digest": missing, "name": "sip.txt", "media_type": "text/plain", "size_bytes": 3}],
    }
    batch = {
        "run": assignment.run,
        "epochs": assignment.epochs,
        "reports": [
            {"seq": 1, "at": "2026-01-01T00:00:00Z", "body": {"kind": "started", "suite_version": "1", "pid": 1}},
            {"seq": 2, "at": "2026-01-01T00:00:01Z", "body": ended},
        ],
    }
    answer = (await server.agent.post("/v1/agents/reports", json=batch)).json()
    assert answer["missing_evidence"] == [missing]
    assert answer["next_seq"] == 2
    assert [received["seq"] for received in answer["received"]] == [1]


async def test_reports_of_a_run_of_another_host_are_forbidden(server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    await server.submit()
    assignment = await asyncio.wait_for(server.taken.get(), 30)
    body = {
        "run": "run-of-nobody",
        "epochs": assignment.epochs,
        "reports": [
            {"seq": 1, "at": "2026-01-01T00:00:00Z", "body": {"kind": "started", "suite_version": "1", "pid": 1}}
        ],
    }
    answer = await server.agent.post("/v1/agents/reports", json=body)
    assert answer.status_code in (403, 404)
    assert is_problem(answer, answer.status_code)
