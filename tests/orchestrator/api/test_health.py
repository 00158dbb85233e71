"""Liveness, readiness and what is degraded."""

import asyncio
import threading
from pathlib import Path

import pytest
from lab_server import LabServer, serving
from lab_world import registration

from lab_inventory.errors import Unavailable
from lab_inventory.messages import Heartbeat, SlotFault
from orchestrator.api import readiness
from orchestrator.loop import Loop
from orchestrator.store.store import Store


async def test_a_healthy_server_is_alive_and_ready(server: LabServer) -> None:
    async with server.client("") as stranger:
        assert (await stranger.get("/healthz")).json() == {"status": "alive"}
        answer = await stranger.get("/readyz")
    found = answer.json()
    assert (answer.status_code, found["ready"], found["degraded"]) == (200, True, {})
    assert {part["part"]: part["state"] for part in found["parts"]} == dict.fromkeys(
        ["database", "loop", "disk", "ray"], "ok"
    )


async def test_of_each_host_its_worker_and_its_agent_are_told(server: LabServer) -> None:
    await server.join()
    found = await server.until("/readyz", lambda found: len(found["parts"]) > 4)
    assert [part["part"] for part in found["parts"][4:]] == ["Ray worker of host-1", "agent of host-1"]


async def test_an_agent_that_is_silent_degrades_and_does_not_stop_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", host_silent_s=0.2) as server:
        await server.join()
        await asyncio.sleep(0.3)
        answer = await server.operator.get("/readyz")
        assert answer.status_code == 200
        assert answer.json()["degraded"]["agent of host-1"].startswith("not heard of for ")
        await server.heartbeat(registration())
        assert (await server.operator.get("/readyz")).json()["degraded"] == {}


async def test_a_disk_below_its_floor_degrades_and_says_how_much_is_left(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", free_bytes_min=10**18) as server:
        answer = await server.operator.get("/readyz")
    assert answer.status_code == 200
    assert "below the floor of 1000000000000 MB: no evidence is taken" in answer.json()["degraded"]["disk"]


async def test_a_directory_that_cannot_be_written_to_degrades_though_the_database_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        folder = tmp_path / "data" / "artifacts"
        # Modes do not bind the superuser, under whom tests may run: a folder that is not there binds anybody.
        folder.rename(tmp_path / "elsewhere")
        answer = await server.operator.get("/readyz")
        (tmp_path / "elsewhere").rename(folder)
        again = await server.operator.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["degraded"]["disk"].startswith(f"{folder} cannot be written to: no evidence is taken")
    assert "disk" not in again.json()["degraded"]


async def test_a_database_that_is_gone_turns_readiness_red_while_the_process_lives(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        database = tmp_path / "data" / "assay.sqlite"
        database.rename(tmp_path / "elsewhere")
        answer = await server.operator.get("/readyz")
        assert (await server.operator.get("/healthz")).status_code == 200
        database.hardlink_to(tmp_path / "elsewhere")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["degraded"]["database"].endswith("is gone")


async def test_readiness_answers_in_time_though_a_look_hangs(
    server: LabServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(Store, "try_write", lambda store, timeout_s: goes_on.wait(30))
    monkeypatch.setattr(readiness, "ANSWER_S", 0.1)
    try:
        answer = await server.operator.get("/readyz")
    finally:
        goes_on.set()
    assert answer.status_code == 503
    assert answer.json()["degraded"] == {"database": "did not answer within 0.1 s"}


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
