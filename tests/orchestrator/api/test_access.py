"""The id of each request, and which requests the log tells of; no secret is ever in it."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from agent_by_hand import KeyByHand
from lab_server import LabServer
from lab_world import registration

from orchestrator.desk import Desk


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def requests(told: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(line["method"], line["path"], line["status"]) for line in told if line["slug"] == "request"]


async def test_a_request_has_an_id_of_its_own_or_the_one_it_came_with(server: LabServer) -> None:
    made = [(await server.operator.get("/healthz")).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(one.startswith("req-") for one in made)
    for given, kept in (("a-good.id_1", True), ("short", False), ("with space ab", False), ("x" * 65, False)):
        answer = await server.operator.get("/healthz", headers={"X-Request-Id": given})
        assert (answer.headers["x-request-id"] == given) is kept, given


async def test_a_problem_names_its_request_and_so_does_its_line(
    server: LabServer, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await server.operator.get("/v1/batches/bat-none", headers={"X-Request-Id": "my-request-1"})
    assert answer.json()["request"] == "my-request-1"
    (line,) = [line for line in lines(capsys) if line["slug"] == "request"]
    assert (line["request"], line["status"], line["batch"], line["by"]) == ("my-request-1", 404, "bat-none", "operator")
    assert line["level"] == "warning"


async def test_changes_are_told_and_reading_and_heartbeats_are_not(
    server: LabServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.join()
    lines(capsys)
    await server.operator.get("/v1/batches")
    await server.heartbeat(registration())
    batch = (await server.submit()).json()["batch"]
    told = lines(capsys)
    assert requests(told) == [("POST", "/v1/batches", 201)]
    (access,) = [line for line in told if line["slug"] == "request"]
    assert access["batch"] == batch
    accepted = next(line for line in told if line.get("fact") == "BatchAccepted")
    assert (accepted["request"], accepted["batch"]) == (access["request"], batch)


async def test_reports_are_told_with_their_run(server: LabServer, capsys: pytest.CaptureFixture[str]) -> None:
    done = await server.measured_batch()
    run = done["entries"][0]["runs"][0]["run"]
    told = lines(capsys)
    assert run in [line.get("run") for line in told if line.get("path") == "/v1/agents/reports"]
    assert "RunCompleted" in [line.get("fact") for line in told if line.get("run") == run]


@pytest.mark.parametrize("token", ["asy_user_wrong-one", "a-secret-of-another-kind"])
async def test_no_token_is_ever_in_the_log(server: LabServer, capsys: pytest.CaptureFixture[str], token: str) -> None:
    await server.join()
    async with server.client(token) as stranger:
        assert (await stranger.get("/v1/batches", params={"token": token})).status_code == 401
        await stranger.post("/v1/agents/join", json=KeyByHand().asking(token))
        await stranger.post("/v1/agents/join", json={"token": token})
    await server.operator.get(f"/v1/batches/{server.token}")
    told = capsys.readouterr().err
    assert '"status": 401' in told
    for secret in (token, server.token, server.agent.headers["Authorization"].removeprefix("Bearer ")):
        assert secret not in told


async def test_what_nobody_expected_is_an_answer_without_a_trace_and_a_line_with_its_place(
    server: LabServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object) -> None:
        raise RuntimeError("a\nsecret thought")

    monkeypatch.setattr(Desk, "release_batch", burst)
    batch = (await server.submit()).json()["batch"]
    answer = await server.operator.post(f"/v1/batches/{batch}/release")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "thought" not in answer.text
    told = lines(capsys)
    (line,) = [line for line in told if line["slug"] == "request-failed"]
    assert (line["error"], line["text"]) == ("RuntimeError", "a\nsecret thought")
    assert line["request"] == answer.json()["request"] == answer.headers["x-request-id"]
    assert ("POST", f"/v1/batches/{batch}/release", 500) in requests(told)


async def test_a_caller_who_leaves_is_told_and_nothing_fails(
    server: LabServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.join()
    host, port = server.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    credential = server.agent.headers["Authorization"]
    path = "/v1/artifacts/sha256:" + "0" * 64
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\nContent-Length: 1000\r\n\r\nhalf"
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not [line for line in told if line.get("status") == 499]:
            await asyncio.sleep(0.05)
            told += lines(capsys)
    assert [line for line in told if line["level"] == "error"] == []
    assert list((server.data / "artifacts").glob("*.draft")) == []


async def test_a_flood_of_mistakes_is_answered_with_some_of_them(server: LabServer) -> None:
    submissions = [{"\ud800" + "x" * 1000: number} for number in range(400)]
    body = json.dumps({"title": "t", "programme": "p", "submissions": submissions})
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer: httpx.Response = await server.operator.post("/v1/batches", content=body, headers=headers)
    assert answer.status_code == 422
    assert len(answer.json()["problems"]) <= 100
    assert len(answer.content) < 200_000
