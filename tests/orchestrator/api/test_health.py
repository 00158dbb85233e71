"""Liveness, readiness and what is degraded."""

from pathlib import Path

import pytest
from lab_server import LabServer, serving
from lab_world import registration

from lab_inventory.errors import Unavailable
from lab_inventory.messages import Heartbeat, SlotFault
from orchestrator.loop import Loop


async def test_a_healthy_server_is_alive_and_ready(server: LabServer) -> None:
    async with server.client("") as stranger:
        assert (await stranger.get("/healthz")).json() == {"status": "alive"}
        answer = await stranger.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "degraded": {}})


async def test_what_keeps_a_slot_from_being_used_is_told(server: LabServer) -> None:
    await server.join()
    fault = SlotFault(slot="slot-2", slug="port-taken", detail="127.0.0.1:6002 is taken by another program")
    message = Heartbeat(agent_version="1", boot="b", inbox="/i", devices=(registration(),), faults=(fault,))
    await server.agent.post("/v1/agents/heartbeat", json=message.model_dump(mode="json"))
    assert (await server.operator.get("/readyz")).json()["degraded"] == {"slot slot-2": fault.detail}


@pytest.mark.parametrize(
    ("error", "words"), [(Unavailable("the disk is full"), "the disk is full"), (KeyError("run"), "KeyError")]
)
async def test_a_pass_that_fails_turns_readiness_red_and_the_next_good_one_turns_it_green(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    whole = Loop.tick
    ill = True

    def tick(loop, inbox):  # type: ignore[no-untyped-def]
        if ill:
            raise error
        return whole(loop, inbox)

    monkeypatch.setattr(Loop, "tick", tick)
    async with serving(tmp_path / "data") as server:
        await server.join()
        red = await server.until("/readyz", lambda found: not found["ready"])
        assert red["degraded"]["loop"] == f"its last pass failed: {words}"
        await server.heartbeat(registration())
        batch = (await server.submit()).json()["batch"]
        ill = False
        # The passes went on: what came in the meantime is placed.
        assignment = await server.taken.get()
        assert assignment.suite
        found = await server.until("/readyz", lambda found: found["ready"])
        assert found["degraded"] == {}
        assert batch


async def test_a_host_without_a_ray_worker_is_told_with_the_reason(server: LabServer) -> None:
    await server.join()
    changed = {"lab": "test", "site": "here", "hosts": []}
    shown = (await server.operator.get("/v1/lab")).json()
    host = shown["hosts"][0]
    for bench in host["benches"]:
        bench["name"] = "bench-2"
        for slot in bench["slots"]:
            slot["name"] += "-b"
            slot["account"]["password"] = "q"
    changed["hosts"] = [host | {"name": "host-2"}]
    assert (await server.operator.put("/v1/lab", json=changed)).status_code == 204
    found = await server.until("/readyz", lambda found: "Ray worker of host-2" in found["degraded"])
    assert found["degraded"]["Ray worker of host-2"] == "no worker"
