"""Hostile inputs on a running server: each gets its answer, the server goes on, and nothing was changed by it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from agent_by_hand import KeyByHand
from lab_server import LabServer, serving
from lab_world import registration

from lab_inventory.errors import BadInput
from lab_inventory.lab import read_lab

KEY = {"Idempotency-Key": "k"}
PATHS = (
    "/v1/artifacts/..%2f..%2f..%2fetc%2fpasswd",
    "/v1/artifacts/sha256:..%2f..%2foperator-token",
    "/v1/batches/..%2f..%2foperator-token",
    "/v1/runs/%00",
    "/v1/runs/%0d%0aX-Injected:%20yes",
    "/v1/submissions/" + "a" * 4000,
    "/certificates/..%2f..%2fsigning-key.json/file",
    "/static/..%2f..%2fpages.py",
    "/static/%2e%2e/%2e%2e/pages.py",
    "/batches/%ff%fe",
)
NAMES = ("a\r\nX-Injected: yes", "a\x00b", "a\x1b[2Jb", "a\nb", "", "x" * 500)
SHOWN_AS_TEXT = ("\u202egnp.exe", "<b>x</b>", "' OR 1=1 --", "{{271828*314159}}", "${jndi:ldap://x}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LabServer]:
    async with serving(tmp_path / "data") as running:
        await running.join()
        yield running


async def test_paths_that_lead_elsewhere_open_nothing(server: LabServer) -> None:
    secret = server.token.encode()
    for path in PATHS:
        answer = await server.operator.get(path)
        assert answer.status_code in (404, 405, 422), f"{path}: {answer.status_code}"
        assert "x-injected" not in answer.headers
        assert secret not in answer.content
        assert b"root:" not in answer.content


@pytest.mark.parametrize("name", NAMES)
async def test_names_that_are_no_names_are_refused_with_their_place(server: LabServer, name: str) -> None:
    submission = json.loads(server.submission("x").model_dump_json()) | {"title": name}
    body = {"title": "x", "programme": "ip-phone-basic", "submissions": [submission]}
    answer = await server.operator.post("/v1/batches", json=body, headers=KEY)
    assert answer.status_code == 422
    assert any("title" in one["path"] for one in answer.json()["problems"])
    reason = await server.operator.post("/v1/people", json={"person": name, "roles": ["viewer"]})
    assert reason.status_code == 422
    assert (await server.operator.get("/v1/batches")).json() == []


@pytest.mark.parametrize("name", SHOWN_AS_TEXT)
async def test_what_is_only_strange_is_kept_and_shown_as_text(server: LabServer, name: str) -> None:
    batch = (await server.submit(name)).json()["batch"]
    page = (await server.operator.get(f"/batches/{batch}")).text
    assert "<b>x</b>" not in page
    assert "85397212652" not in page


async def test_a_declared_size_of_ten_gigabytes_is_refused_before_a_byte_of_it_is_read(server: LabServer) -> None:
    host, _, port = server.address.removeprefix("http://").partition(":")
    for path in ("/v1/batches", "/sign-in", f"/v1/artifacts/sha256:{'0' * 64}"):
        reader, writer = await asyncio.open_connection(host, int(port))
        credential = server.agent.headers["Authorization"] if "artifacts" in path else f"Bearer {server.token}"
        method = "PUT" if "artifacts" in path else "POST"
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\nContent-Length: 10737418240\r\n"
            "Content-Type: application/json\r\n\r\n".encode()
        )
        async with asyncio.timeout(10):
            status = await reader.readline()
        writer.close()
        assert b" 413 " in status, path


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"title": NaN}',
        b'{"priority": 1e999}',
        b'{"priority": ' + b"9" * 10_000 + b"}",
        b"\xff\xfe\x00",
        b'{"title": "\\ud800"}',
        b"null",
        b"",
    ],
)
async def test_json_that_is_none_or_too_deep_is_refused(server: LabServer, body: bytes) -> None:
    headers = KEY | {"Content-Type": "application/json"}
    answer = await server.operator.post("/v1/batches", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text[:200]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nlab: *c\n",
        "lab: " + "[" * 5000,
        "lab: !!python/object/apply:os.system ['true']\n",
        "x: " + "y" * 20_000_000,
        "\x00\x01",
    ],
)
def test_yaml_that_grows_nests_or_builds_objects_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    with pytest.raises(BadInput):
        read_lab(path)


async def test_a_join_token_is_good_once_for_its_host_and_for_this_lab(server: LabServer, tmp_path: Path) -> None:
    credential = server.agent.headers["Authorization"]
    token = (await server.operator.post("/v1/hosts/host-1/join-token")).json()["token"]

    async def join(shown: str, host: str = "host-1", at: LabServer = server) -> int:
        return (await KeyByHand(host).join(at.agent, shown)).status_code

    async with serving(tmp_path / "other") as elsewhere:
        await elsewhere.join()
        assert await join(token, at=elsewhere) == 401
    for wrong in (token[:-1], token + "x", token.upper(), server.token, credential.removeprefix("Bearer "), "x"):
        assert await join(wrong) == 401
    assert await join(token, host="host-2") == 401
    # What failed ended nothing: the agent that is there goes on.
    assert (await server.heartbeat(registration())).status_code == 200
    assert await join(token) == 200
    assert await join(token) == 401


async def test_a_token_of_another_lab_or_cut_short_is_nobodys(server: LabServer, tmp_path: Path) -> None:
    async with serving(tmp_path / "other") as elsewhere:
        for token in (elsewhere.token, server.token[:-1], server.token + "x", server.token.upper(), "asy_user_", "a b"):
            async with httpx.AsyncClient(base_url=server.address) as client:
                answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, token
            assert token not in answer.text or token in ("a b", "asy_user_")


async def test_fields_that_nobody_asked_for_are_refused_and_give_no_rights(server: LabServer) -> None:
    person = {"person": "eve", "roles": ["viewer"], "state": "active", "password": "x"}
    assert (await server.operator.post("/v1/people", json=person)).status_code == 422
    wanted = {"title": "x", "scopes": [], "person": "anna", "days": 10_000}
    assert (await server.operator.post("/v1/tokens", json=wanted)).status_code == 422
    submission = json.loads(server.submission("x").model_dump_json()) | {"earned": "certified"}
    body = {"title": "x", "programme": "ip-phone-basic", "submissions": [submission]}
    assert (await server.operator.post("/v1/batches", json=body, headers=KEY)).status_code == 422
