"""Who may do what: the matrix of roles and routes, from the routes themselves, and tried on a running server."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from lab_server import LabServer, serving
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lab_inventory.errors import InvariantBroken
from orchestrator.api.parts import BatchesRead, LabRead, Public
from orchestrator.api.rights import RouteRight, require_rights, rights_of
from orchestrator.lifecycle.rights import SCOPES, Principal, Role, Scope
from tests.security.rights import GOLDEN, matrix

PLACES = {
    "{address}": "sha256:" + "0" * 64,
    "{resource}": "device:none",
    "{person}": "nobody",
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LabServer]:
    async with serving(tmp_path / "data") as running:
        await running.join()
        yield running


def token_of(server: LabServer, role: Role, *scopes: Scope) -> str:
    """An API token of somebody with this one role."""
    people, name = server.parts.people, f"{role.value}-1"
    known = {row["person"] for row in server.people()}
    if name not in known:
        people.add(name, (role,), "Example Phones" if role is Role.VENDOR else None, "operator")
    principal = Principal(subject=name, roles=frozenset({role}), scopes=SCOPES[role])
    return people.make_token(principal, "a test", frozenset(scopes), 1).secret


async def ask(client: httpx.AsyncClient, right: RouteRight) -> int:
    """The status of a request that means nothing; the stream is left at once."""
    path = right.path
    for name, value in PLACES.items():
        path = path.replace(name, value)
    path = path.replace("{", "").replace("}", "")
    headers = {"Origin": str(client.base_url).rstrip("/")}
    async with client.stream(right.method, path, headers=headers, json={}) as answer:
        return answer.status_code


async def test_the_matrix_is_the_golden_one(server: LabServer) -> None:
    assert matrix(server.app) == GOLDEN.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AGENT])
async def test_each_route_refuses_the_roles_that_lack_its_scope_and_no_others(server: LabServer, role: Role) -> None:
    rights = rights_of(server.app)
    assert len(rights) > 50
    token = token_of(server, role)
    async with server.client(token) as client:
        for right in rights:
            status = await ask(client, right)
            allowed = right.scope is None or right.scope in SCOPES[role]
            assert status not in (401, 429) or right.scope is None, f"{right} as {role}: {status}"
            assert (status != 403) is allowed, f"{right} as {role}: {status}"


async def test_an_agent_has_the_routes_of_agents_alone(server: LabServer) -> None:
    for right in rights_of(server.app):
        status = await ask(server.agent, right)
        if right.scope is not None:
            assert (status != 403) is (right.scope is Scope.AGENT), f"{right}: {status}"


async def test_without_a_token_only_what_is_open_answers(server: LabServer) -> None:
    async with server.client("") as client:
        for right in rights_of(server.app):
            status = await ask(client, right)
            asked_to_sign_in = status == (401 if right.path.startswith(("/v1", "/metrics")) else 303)
            assert asked_to_sign_in is (right.scope is not None), f"{right}: {status}"


async def test_a_token_with_fewer_scopes_does_less_than_its_person_may(server: LabServer) -> None:
    async with server.client(token_of(server, Role.OPERATOR, Scope.METRICS_READ)) as client:
        assert (await client.get("/metrics")).status_code == 200
        refused = await client.get("/v1/devices")
        assert refused.status_code == 403
        assert "a token that is limited" in refused.json()["detail"]
        # Nor can it hand on what it has: making tokens is a scope of its own.
        assert (await client.post("/v1/tokens", json={"title": "more"})).status_code == 403
    async with server.client(token_of(server, Role.OPERATOR, Scope.METRICS_READ, Scope.OWN)) as client:
        beyond = await client.post("/v1/tokens", json={"title": "more", "scopes": ["lab:write"]})
        assert beyond.status_code == 403
        less = (await client.post("/v1/tokens", json={"title": "less"})).json()["secret"]
    async with server.client(less) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/v1/devices")).status_code == 403


async def test_a_revoked_token_a_changed_role_and_a_disabled_person_count_from_the_next_request_on(
    server: LabServer,
) -> None:
    async with server.client(token_of(server, Role.OPERATOR)) as client:
        assert (await client.get("/v1/devices")).status_code == 200
        body = {"roles": ["vendor"], "vendor": "Example Phones"}
        assert (await server.operator.put("/v1/people/operator-1/roles", json=body)).status_code == 204
        assert (await client.get("/v1/devices")).status_code == 403
        (mine,) = [row["token"] for row in (await client.get("/v1/tokens")).json()]
        assert (await server.operator.post(f"/v1/tokens/{mine}/revoke")).status_code == 204
        assert (await client.get("/v1/me")).status_code == 401
    async with server.client(token_of(server, Role.VIEWER)) as client:
        assert (await client.get("/v1/devices")).status_code == 200
        gone = await server.operator.post("/v1/people/viewer-1/disable", json={"reason": "left"})
        assert gone.status_code == 204
        assert (await client.get("/v1/devices")).status_code == 401
        await server.operator.post("/v1/people/viewer-1/enable")
        assert (await client.get("/v1/devices")).status_code == 401, "a token from before stays ended"


async def test_a_vendor_sees_and_submits_its_own_and_nothing_else(server: LabServer) -> None:
    theirs = (await server.submit("theirs", vendor="Other Phones", key="key-other")).json()
    mixed = await server.operator.post(
        "/v1/batches",
        json={
            "title": "a batch of two vendors",
            "programme": "ip-phone-basic",
            "submissions": [
                json.loads(server.submission(name, vendor=vendor).model_dump_json())
                for name, vendor in (("ours", "Example Phones"), ("not ours", "Other Phones"))
            ],
        },
        headers={"Idempotency-Key": "key-mixed"},
    )
    ours, not_ours = mixed.json()["submissions"]
    async with server.client(token_of(server, Role.VENDOR)) as client:
        shown = (await client.get("/v1/batches")).json()
        assert [(row["batch"], row["submissions"]) for row in shown] == [(mixed.json()["batch"], 1)]
        (entry,) = (await client.get(f"/v1/batches/{mixed.json()['batch']}")).json()["entries"]
        assert entry["submission"] == ours
        assert (await client.get(f"/v1/submissions/{ours}")).status_code == 200
        (run,) = entry["runs"]
        assert (await client.get(f"/v1/runs/{run['run']}")).status_code == 200
        whole = (await server.operator.get(f"/v1/batches/{mixed.json()['batch']}")).json()["entries"]
        other_run = whole[1]["runs"][0]["run"]
        for path in (
            f"/v1/batches/{theirs['batch']}",
            f"/v1/submissions/{not_ours}",
            f"/v1/submissions/{theirs['submissions'][0]}",
            f"/v1/runs/{other_run}",
            f"/batches/{theirs['batch']}",
            f"/submissions/{not_ours}",
        ):
            assert (await client.get(path)).status_code == 404, path
        page = (await client.get("/")).text
        assert "a batch of two vendors" in page
        assert "Devices" not in page
        body = {
            "title": "mine",
            "programme": "ip-phone-basic",
            "priority": 90,
            "submissions": [json.loads(server.submission("x", vendor="Other Phones").model_dump_json())],
        }
        refused = await client.post("/v1/batches", json=body, headers={"Idempotency-Key": "key-1"})
        assert refused.status_code == 422
        assert {one["path"] for one in refused.json()["problems"]} == {"submissions[0].vendor", "priority"}
        body |= {"priority": 50, "submissions": [json.loads(server.submission("x").model_dump_json())]}
        body["submissions"][0]["vendor"] = "Example Phones"
        taken = await client.post("/v1/batches", json=body, headers={"Idempotency-Key": "key-2"})
        assert taken.status_code == 201


async def test_a_vendor_with_many_that_are_not_judged_waits(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", open_submissions_per_vendor=2) as server:
        await server.join()
        submissions = [server.submission(f"x{n}", vendor="Example Phones").model_dump(mode="json") for n in range(3)]
        body = {"title": "many", "programme": "ip-phone-basic", "submissions": submissions}
        async with server.client(token_of(server, Role.VENDOR)) as client:
            refused = await client.post("/v1/batches", json=body, headers={"Idempotency-Key": "key-1"})
            assert "at most 2 at a time" in refused.json()["problems"][0]["expected"]
            body["submissions"] = submissions[:2]
            assert (await client.post("/v1/batches", json=body, headers={"Idempotency-Key": "key-2"})).is_success
        body["submissions"] = submissions
        assert (await server.operator.post("/v1/batches", json=body, headers={"Idempotency-Key": "k"})).is_success


async def test_who_asks_too_fast_is_told_when_to_ask_again_and_others_are_answered(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", requests_per_s=1.0) as server:
        answers = [await server.operator.get("/v1/roles") for _ in range(15)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert int(refused[0].headers["retry-after"]) >= 1
        async with server.client(token_of(server, Role.VIEWER)) as client:
            assert (await client.get("/v1/roles")).status_code == 200


def test_a_route_that_does_not_say_who_may_ask_it_is_not_served() -> None:
    unmarked, both, plain = APIRouter(), APIRouter(), FastAPI()

    @unmarked.get("/forgotten")
    def forgotten() -> None: ...

    @both.get("/both", dependencies=[Public])
    def of_two(one: LabRead, other: BatchesRead) -> None: ...

    def past_everything(request: Request) -> Response:
        return Response()

    for router in (unmarked, both):
        app = FastAPI(docs_url=None, redoc_url=None)
        app.include_router(router)
        with pytest.raises(InvariantBroken):
            require_rights(app)
    plain.router.routes.append(Route("/plain", past_everything))
    with pytest.raises(InvariantBroken):
        require_rights(plain)
