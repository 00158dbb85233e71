"""A programme in which people decide, people with one role each, and a submission of it that was judged."""

import asyncio
import json
from typing import Any

import httpx
from lab_server import TIMEOUT_S, LabServer
from lab_world import basic, registration, submission

from lab_inventory.measurement import Value
from lab_inventory.programme import Programme
from orchestrator.lifecycle.rights import Principal, Role, scopes_of

GRANTING = "ip-phone-granting"
ONE_ROLE = {"opal": Role.OPERATOR, "rita": Role.REVIEWER, "dora": Role.DECIDER, "acme": Role.VENDOR}
"""Who has one role, and which."""


def granting(**change: Any) -> Programme:
    """The basic programme, but granting what it says: people decide."""
    fields = json.loads(basic().model_dump_json())
    return Programme.model_validate(fields | {"id": GRANTING, "demonstration": False} | change)


def token_of(server: LabServer, name: str, *roles: Role, vendor: str | None = None) -> str:
    """An API token of somebody who is let in now where they are not yet."""
    people = server.parts.people
    if name not in {row["person"] for row in server.people()}:
        people.add(name, roles, vendor, "operator")
    asking = Principal(subject=name, roles=frozenset(roles), scopes=scopes_of(roles), vendor=vendor)
    return people.make_token(asking, "a test", frozenset(), 1).secret


def let_in(server: LabServer) -> dict[str, str]:
    """The tokens of those with one role each."""
    return {
        name: token_of(server, name, role, vendor="Acme" if role is Role.VENDOR else None)
        for name, role in ONE_ROLE.items()
    }


async def submit(server: LabServer, client: httpx.AsyncClient, key: str = "key-1", *titles: str) -> dict[str, Any]:
    """A batch of the programme in which people decide."""
    submissions = [json.loads(submission(title).model_dump_json()) for title in titles or ("phone one",)]
    body = {"title": "a batch", "programme": GRANTING, "submissions": submissions}
    answer = await client.post("/v1/batches", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def judged(
    server: LabServer,
    client: httpx.AsyncClient,
    key: str = "key-1",
    programme: Programme | None = None,
    **worse: Value | None,
) -> str:
    """A submission that this client queued, measured and judged."""
    server.parts.offering.offer(programme or granting(), "dora")
    if "Authorization" not in server.agent.headers:
        await server.join()
    await server.heartbeat(registration())
    batch = await submit(server, client, key)
    async with asyncio.timeout(TIMEOUT_S):
        assignment = await server.taken.get()
    await server.until(f"/v1/runs/{assignment.run}", lambda run: run["ray_node"] is not None)
    await server.deliver(assignment, **worse)
    await server.until(f"/v1/batches/{batch['batch']}", lambda found: found["state"] == "completed")
    return str(batch["submissions"][0])
