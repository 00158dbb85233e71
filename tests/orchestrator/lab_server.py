"""The whole server in one process on a loopback port, with an agent played by hand over its API; Ray is left out."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import uvicorn
from agent_by_hand import joined
from fastapi import FastAPI
from lab_world import basic, lab, measurements_of, registration, submission

from lab_inventory.canonical import sha256
from lab_inventory.clock import ManualClock
from lab_inventory.device import Registration
from lab_inventory.lab import Lab
from lab_inventory.measurement import Evidence, Value
from lab_inventory.messages import (
    Acceptance,
    Assignment,
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    Ended,
    Heartbeat,
    ReportBatch,
    RunOutcome,
    RunReport,
    Started,
)
from orchestrator.api.parts import Parts
from orchestrator.app import create_app
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.loop import Dispatch, DispatchAnswered
from orchestrator.settings import Settings
from orchestrator.store import people_views
from tests.first_person import let_in

TIMEOUT_S = 30.0


class LabServer:
    """A running server. ``operator`` speaks with the operator's token, ``agent`` (after ``join``) with host-1's.

    ``change``: what the submission of ``measured_batch`` says otherwise. ``kept``: the evidence that the agent
    delivers, by case: name, media type and content.
    """

    def __init__(
        self, data: Path, address: str, taken: "asyncio.Queue[Assignment]", app: FastAPI, database_url: str = ""
    ) -> None:
        self.app = app
        self.parts: Parts = app.state.parts
        self.data = data
        self.address = address
        self.taken = taken
        self.token = let_in(data, database_url)
        self.operator = self.client(self.token)
        self.agent = self.client("")
        self.change: dict[str, Any] = {}
        self.kept: dict[str, list[tuple[str, str, bytes]]] = {}

    def client(self, token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.address, headers=headers, timeout=TIMEOUT_S)

    async def join(self, made: Lab | None = None) -> None:
        """Apply a lab file and let the agent of host-1 join."""
        content = json.loads((made or lab()).model_dump_json())
        assert (await self.operator.put("/v1/lab", json=content)).status_code == 204
        self.key, credential = await joined(self.operator, self.agent)
        self.agent.headers["Authorization"] = f"Bearer {credential}"

    def people(self) -> list[dict[str, Any]]:
        """Everybody who was let in."""
        with self.parts.store.reading() as connection:
            return people_views.people(connection)

    submission = staticmethod(submission)

    async def heartbeat(self, *devices: Registration) -> httpx.Response:
        message = Heartbeat(agent_version="1", boot="boot-1", inbox="/run/inbox", devices=devices)
        return await self.agent.post("/v1/agents/heartbeat", json=json.loads(message.model_dump_json()))

    async def submit(self, *titles: str, key: str = "key-1", **change: Any) -> httpx.Response:
        body = {
            "title": "a batch",
            "programme": "ip-phone-basic",
            "submissions": [
                json.loads(submission(title, **change).model_dump_json()) for title in titles or ("phone one",)
            ],
        }
        return await self.operator.post("/v1/batches", json=body, headers={"Idempotency-Key": key})

    async def deliver(self, assignment: Assignment, **worse: Value | None) -> None:
        """Every report of a run that measures everything well, but for the quantities given."""
        programme = basic()
        bodies: list[Any] = [
            Started(suite_version="1", pid=1),
            BenchChecked(passed=True, measurements=()),
            DeviceIdentified(same=True, user_agent="Acme One 1.0"),
        ]
        bodies += [
            CaseEnded(
                case=case.id,
                repeat=repeat,
                status=CaseStatus.MEASURED,
                measurements=measurements_of(case.id, programme, **worse),
                evidence=[await self.upload(*file) for file in self.kept.get(case.id, ())],
                duration_s=1,
            )
            for case in assignment.cases
            for repeat in range(1, case.repeats + 1)
        ]
        bodies.append(Ended(outcome=RunOutcome.COMPLETED, within_deadline=True))
        at = ManualClock().now()
        reports = tuple(RunReport(seq=seq, at=at, body=body) for seq, body in enumerate(bodies, 1))
        batch = ReportBatch(run=assignment.run, epochs=assignment.epochs, reports=reports)
        answer = await self.agent.post("/v1/agents/reports", json=json.loads(batch.model_dump_json()))
        assert answer.status_code == 200, answer.text

    async def upload(self, name: str, media_type: str, data: bytes) -> Evidence:
        """Keep a file as evidence, as an agent does."""
        answer = await self.agent.put(f"/v1/artifacts/{sha256(data)}", content=data)
        assert answer.is_success, answer.text
        return Evidence(digest=sha256(data), name=name, media_type=media_type, size_bytes=len(data))

    async def until(self, path: str, met: Callable[[Any], bool]) -> Any:
        """What GET gives once it meets a condition; asked again after each event of the server."""
        async with asyncio.timeout(TIMEOUT_S), self.operator.stream("GET", "/v1/events") as events:
            async for _ in events.aiter_lines():
                found = (await self.operator.get(path)).json()
                if met(found):
                    return found
        raise AssertionError(f"{path} never came to what was waited for")

    async def measured_batch(self, **worse: Value | None) -> dict[str, Any]:
        """A batch with one submission, measured and judged."""
        await self.join()
        await self.heartbeat(registration())
        batch = (await self.submit(**self.change)).json()["batch"]
        async with asyncio.timeout(TIMEOUT_S):
            assignment = await self.taken.get()
        await self.until(f"/v1/runs/{assignment.run}", lambda run: run["ray_node"] is not None)
        await self.deliver(assignment, **worse)
        done = await self.until(f"/v1/batches/{batch}", lambda found: found["state"] == "completed")
        return cast(dict[str, Any], done)


@asynccontextmanager
async def serving(data: Path, **settings: Any) -> AsyncIterator[LabServer]:
    """A server on a free loopback port; its one worker is at host-1, whose agent takes everything."""
    taken: asyncio.Queue[Assignment] = asyncio.Queue()

    def answer(dispatch: Dispatch) -> DispatchAnswered:
        taken.put_nowait(Assignment.model_validate_json(dispatch.assignment_json))
        return DispatchAnswered(
            run=dispatch.run, answer=Acceptance.ACCEPTED, ray_node="ray-node-1", ray_actor="ray-actor-1"
        )

    dispatcher = InProcessDispatcher(answer, hosts=frozenset({"host-1"}))
    app = await asyncio.to_thread(create_app, Settings(data=data, port=0, **settings), dispatcher)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    # Who connects before the server is up waits in the socket's backlog.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ending = asyncio.create_task(server.serve(sockets=[listening]))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        running = LabServer(data, address, taken, app, settings.get("database_url", ""))
        try:
            yield running
        finally:
            await running.operator.aclose()
            await running.agent.aclose()
            server.should_exit = True
            await ending
