"""The Ray node's supervision, with a program that stands in for ``ray start --block``."""

import asyncio
import sys
from pathlib import Path

import pytest
from agent_nouns import HOST, RememberingLog, until
from pydantic import ValidationError

import agents.ray_node
from agents.endure import endure
from agents.processes import ProcessMark, mark_of
from agents.ray_node import RayNode, ray_command, ray_environment, why_not_joined
from agents.settings import AgentSettings
from lab_inventory.clock import SystemClock
from lab_inventory.ray_access import RayAccess

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


async def _lets_join(settings: AgentSettings, address: str) -> str:
    return ""


@pytest.fixture(autouse=True)
def _private_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))


@pytest.fixture(autouse=True)
def _a_cluster_that_lets_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.ray_node, "why_not_joined", _lets_join)


def settings(work: Path, **more: object) -> AgentSettings:
    values = {"server_url": "http://h", "host": HOST, "work_dir": work, "ray_address": "10.0.0.1:6379", **more}
    return AgentSettings.model_validate(values)


def node(work: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> RayNode:
    monkeypatch.setattr(agents.ray_node, "ray_command", lambda chosen, address: command)
    return RayNode(settings(work), "10.0.0.1:6379", SystemClock(), RememberingLog())


def left_over(work: Path) -> ProcessMark | None:
    path = work / "ray-node.json"
    return ProcessMark.model_validate_json(path.read_bytes()) if path.exists() else None


async def test_the_node_is_ended_with_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carrying = asyncio.create_task(node(tmp_path, monkeypatch, SLEEPS).carry_on())
    mark = await until(lambda: left_over(tmp_path))
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    assert not mark.is_alive()
    assert left_over(tmp_path) is None


async def test_a_node_that_does_not_end_when_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.ray_node, "STOP_TIMEOUT_S", 0.2)
    carrying = asyncio.create_task(node(tmp_path, monkeypatch, STUBBORN).carry_on())
    mark = await until(lambda: left_over(tmp_path))
    await until((tmp_path / "ray-node.log").read_text)
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    assert not mark.is_alive()


async def test_a_node_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.endure.FIRST_S", 0.01)
    clock, log = SystemClock(), RememberingLog()
    monkeypatch.setattr(agents.ray_node, "ray_command", lambda chosen, address: [sys.executable, "-c", "exit(3)"])
    keeping = asyncio.create_task(
        endure("ray node", RayNode(settings(tmp_path), "h:1", clock, log).carry_on, clock, log)
    )
    await until(lambda: log.slugs().count("ray-node-ended") >= 2)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    ended = {
        "status": 3,
        "reason": f"its Ray node ended with status 3 and is started again; see {tmp_path}/ray-node.log",
    }
    assert ("ray-node-ended", ended) in log.lines


async def test_a_cluster_that_lets_nobody_in_is_not_joined_and_why_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(settings: AgentSettings, address: str) -> str:
        return "wrong token"

    monkeypatch.setattr(agents.ray_node, "why_not_joined", refuses)
    closed = node(tmp_path, monkeypatch, SLEEPS)
    await closed.carry_on()
    assert closed.trouble == "wrong token"
    assert left_over(tmp_path) is None


async def test_a_head_that_is_not_there_is_told_without_asking_ray(tmp_path: Path) -> None:
    assert "no Ray cluster answers at 127.0.0.1:9" in await why_not_joined(settings(tmp_path), "127.0.0.1:9")


async def test_a_token_that_others_may_read_is_told_before_anything_is_started(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    assert "others may read" in await why_not_joined(settings(tmp_path, ray_token_file=token), "127.0.0.1:9")


async def test_a_node_that_a_killed_agent_left_is_ended_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await asyncio.create_subprocess_exec(*SLEEPS)
    first = mark_of(left.pid)
    assert first is not None
    (tmp_path / "ray-node.json").write_text(first.model_dump_json())
    next_one = asyncio.create_task(node(tmp_path, monkeypatch, SLEEPS).carry_on())
    assert await left.wait() < 0
    await until(lambda: left_over(tmp_path) not in (None, first))
    next_one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await next_one


def test_the_node_is_pinned_by_label_and_has_a_short_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    command = ray_command(
        settings(tmp_path / ("x" * 150), ray_node_ip="10.0.0.7", ray_doors_of=("small-1",)), "10.0.0.1:6379"
    )
    assert "--labels=lab-host=host-a,lab-door.host-a=here,lab-door.small-1=here" in command
    assert "--address=10.0.0.1:6379" in command
    assert "--node-ip-address=10.0.0.7" in command
    [folder] = [part.removeprefix("--temp-dir=") for part in command if part.startswith("--temp-dir=")]
    assert len(folder) < 45


def test_a_host_that_scores_declares_the_resource_and_one_outside_a_cluster_cannot(tmp_path: Path) -> None:
    scoring = settings(tmp_path, ray_address="10.0.0.1:6379", ray_scoring=2)
    assert '--resources={"scoring": 2}' in ray_command(scoring, "10.0.0.1:6379")
    assert not [part for part in ray_command(settings(tmp_path), "10.0.0.1:6379") if "resources" in part]
    with pytest.raises(ValidationError, match="is a node of a cluster"):
        settings(tmp_path, ray_address=None, ray_scoring=2)


def test_the_authentication_of_ray_is_always_said_and_the_agents_secrets_never() -> None:
    plain = ray_environment(RayAccess(), {"PATH": "/bin", "ASSAY_AGENT_JOIN_TOKEN": "x"})
    assert plain == {"PATH": "/bin", "RAY_AUTH_MODE": "disabled", "RAY_memory_monitor_refresh_ms": "0"}
    assert ray_environment(RayAccess(), {"RAY_AUTH_MODE": "token"})["RAY_AUTH_MODE"] == "token"
