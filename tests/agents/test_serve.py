"""The agent as real processes against an orchestrator on the loopback: join, run, deliver, die, adopt."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_nouns import HOST, RememberingLog, assignment, case, host, until
from fake_agent import DRIVERS, FakeProbe
from stand_in_orchestrator import TOKEN, StandInOrchestrator

from agents.key import kept_key
from agents.processes import ProcessMark
from agents.run_directory import RunDirectory
from agents.serve import serve
from agents.settings import AgentSettings
from agents.wire import WireTrouble
from agents.worker import _post
from lab_inventory.clock import SystemClock
from lab_inventory.errors import Conflict, Unauthorised
from lab_inventory.messages import Acceptance, Ended, RunOutcome

FAKE_AGENT = str(Path(__file__).with_name("fake_agent.py"))
LONG = (case("case-1"), case("case-2", "hang"))


class AgentProcesses:
    """Agents of one work directory, one after the other; ends them and their runs afterwards."""

    def __init__(self, work: Path, orchestrator: StandInOrchestrator) -> None:
        self.work = work
        self.orchestrator = orchestrator
        orchestrator.host = host()
        self.agents: list[subprocess.Popen[bytes]] = []

    def start(self, **settings: object) -> subprocess.Popen[bytes]:
        values: dict[str, object] = {
            "server_url": self.orchestrator.url,
            "host": HOST,
            "work_dir": self.work,
            "join_token": TOKEN,
            "renewal_s": 0.3,
            **settings,
        }
        environment = {f"ASSAY_AGENT_{name.upper()}": str(value) for name, value in values.items()}
        with (self.work / "agent.log").open("ab") as log:
            agent = subprocess.Popen([sys.executable, FAKE_AGENT], env={**os.environ, **environment}, stderr=log)
        self.agents.append(agent)
        return agent

    def end(self) -> None:
        for agent in self.agents:
            if agent.poll() is None:
                agent.kill()
            agent.wait()
        for folder in self.work.glob("runs/run-*"):
            mark = RunDirectory(folder, SystemClock()).process()
            if mark is not None:
                mark.signal(signal.SIGKILL)

    def log_slugs(self) -> list[str]:
        return [json.loads(line)["slug"] for line in (self.work / "agent.log").read_text().splitlines()]

    def directory(self, run: str = "run-1") -> RunDirectory:
        return RunDirectory(self.work / "runs" / run, SystemClock())

    async def serving(self) -> dict[str, Any]:
        """Wait for a heartbeat that shows the devices; after a restart, one of the new agent."""
        seen = len(self.orchestrator.heartbeats)

        def shown() -> dict[str, Any] | None:
            new = self.orchestrator.heartbeats[seen:]
            return next((beat for beat in reversed(new) if len(beat["devices"]) == 2), None)

        return dict(await until(shown))

    async def running(self, run: str = "run-1") -> ProcessMark:
        """Wait until the run hangs in its second case."""
        await until(lambda: self.orchestrator.kinds(run).count("case-started") == 2)
        mark = self.directory(run).process()
        assert mark is not None
        return mark


@pytest.fixture
def agents_here(tmp_path: Path, orchestrator: StandInOrchestrator) -> Iterator[AgentProcesses]:
    processes = AgentProcesses(tmp_path, orchestrator)
    yield processes
    processes.end()


def end_of(orchestrator: StandInOrchestrator, run: str = "run-1") -> Ended | None:
    reports = orchestrator.recorded.get(run, [])
    last = reports[-1].body if reports else None
    return last if isinstance(last, Ended) else None


async def test_an_agent_joins_shows_its_devices_takes_a_run_and_delivers_all_of_it(agents_here: AgentProcesses) -> None:
    orchestrator, agent = agents_here.orchestrator, agents_here.start()
    heartbeat = await agents_here.serving()
    assert [device["slot"] for device in heartbeat["devices"]] == ["slot-1", "slot-2"]
    answer = await _post(heartbeat["inbox"], assignment())
    assert answer.answer is Acceptance.ACCEPTED
    ended = await until(lambda: end_of(orchestrator))
    assert ended.outcome is RunOutcome.COMPLETED
    assert orchestrator.kinds("run-1")[:3] == ["started", "bench-checked", "device-identified"]
    assert list(orchestrator.artifacts.values()) == [b"trace of case-1"]
    assert any(body["renewals"] for body in orchestrator.renewals)
    await until(lambda: "run-delivered" in agents_here.log_slugs())
    agent.terminate()
    assert await asyncio.to_thread(agent.wait, 10) == 0


async def test_the_credential_is_kept_for_its_owner_alone_and_used_again(agents_here: AgentProcesses) -> None:
    first = agents_here.start()
    await agents_here.serving()
    path = agents_here.work / "agent-key.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first.terminate()
    await asyncio.to_thread(first.wait, 10)
    agents_here.start(join_token="asy_join_used_up")
    await agents_here.serving()


async def test_a_run_outlives_its_killed_agent_and_is_adopted_by_the_next(agents_here: AgentProcesses) -> None:
    orchestrator, first = agents_here.orchestrator, agents_here.start()
    heartbeat = await agents_here.serving()
    await _post(heartbeat["inbox"], assignment(cases=LONG))
    mark = await agents_here.running()
    first.kill()
    await asyncio.to_thread(first.wait, 10)
    assert mark.is_alive()

    agents_here.start()
    again = await agents_here.serving()
    assert mark.is_alive()
    assert [run["run"] for run in again["runs"]] == ["run-1"]
    assert again["boot"] != heartbeat["boot"]
    assert (await _post(again["inbox"], assignment(cases=LONG))).answer is Acceptance.ALREADY
    before = agents_here.directory().lease().renewed_at_s
    await until(lambda: agents_here.directory().lease().renewed_at_s > before)
    orchestrator.orders["run-1"] = "cancelled"
    ended = await until(lambda: end_of(orchestrator))
    assert ended.outcome is RunOutcome.STOPPED
    assert orchestrator.kinds("run-1").count("started") == 1


async def test_a_run_that_died_with_its_agent_is_ended_by_the_next_and_its_device_reset(
    agents_here: AgentProcesses,
) -> None:
    orchestrator, first = agents_here.orchestrator, agents_here.start()
    heartbeat = await agents_here.serving()
    await _post(heartbeat["inbox"], assignment(cases=LONG))
    mark = await agents_here.running()
    first.kill()
    mark.signal(signal.SIGKILL)
    await asyncio.to_thread(first.wait, 10)

    agents_here.start()
    ended = await until(lambda: end_of(orchestrator))
    assert ended.outcome is RunOutcome.ERROR
    assert ended.within_deadline
    assert "died without an end; its device was reset" in ended.reason
    assert (agents_here.work / "resets").read_text() == "127.0.0.1:1\n"
    again = await agents_here.serving()
    assert (await _post(again["inbox"], assignment("run-2", epoch=2))).answer is Acceptance.ACCEPTED
    await until(lambda: end_of(orchestrator, "run-2"))


async def test_a_graceful_stop_leaves_runs_alive(agents_here: AgentProcesses) -> None:
    agent = agents_here.start()
    heartbeat = await agents_here.serving()
    await _post(heartbeat["inbox"], assignment(cases=LONG))
    mark = await agents_here.running()
    agent.terminate()
    assert await asyncio.to_thread(agent.wait, 10) == 0
    assert mark.is_alive()


async def test_reports_wait_while_the_orchestrator_is_away_and_arrive_when_it_is_back(
    agents_here: AgentProcesses,
) -> None:
    orchestrator = agents_here.orchestrator
    agents_here.start()
    heartbeat = await agents_here.serving()
    orchestrator.refuse_all = 503
    await _post(heartbeat["inbox"], assignment())
    await until(lambda: agents_here.directory().exit_record())
    assert orchestrator.recorded == {}
    orchestrator.refuse_all = None
    ended = await until(lambda: end_of(orchestrator))
    assert ended.outcome is RunOutcome.COMPLETED


async def test_a_refused_credential_is_told_plainly_and_the_agent_stays(agents_here: AgentProcesses) -> None:
    agent = agents_here.start()
    await agents_here.serving()
    agents_here.orchestrator.refuse_all = 401
    await until(lambda: "credential-refused" in agents_here.log_slugs())
    assert agent.poll() is None


async def test_a_revoked_agent_takes_no_run_and_the_one_that_goes_on_stops_with_its_lease(
    agents_here: AgentProcesses,
) -> None:
    orchestrator = agents_here.orchestrator
    orchestrator.ttl_s = 9.0
    agents_here.start()
    heartbeat = await agents_here.serving()
    await _post(heartbeat["inbox"], assignment(cases=LONG, ttl_s=9.0))
    mark = await agents_here.running()
    with orchestrator.lock:
        orchestrator.revoked = "the key of host-a was revoked by op: stolen"
        orchestrator.credentials.clear()
    await until(lambda: "credential-refused" in agents_here.log_slugs())
    assert mark.is_alive()
    refused = await _post(heartbeat["inbox"], assignment("run-2", slot_name="slot-2"))
    assert refused.answer is Acceptance.REFUSED
    assert "this agent is refused: " in refused.reason
    assert "was revoked by op: stolen" in refused.reason
    await until(lambda: not mark.is_alive())
    assert agents_here.directory().exit_record() is not None


async def test_a_credential_is_renewed_before_its_end_and_at_once_when_it_is_refused(
    agents_here: AgentProcesses,
) -> None:
    orchestrator = agents_here.orchestrator
    orchestrator.lives_s = 1.5
    agents_here.start()
    await agents_here.serving()
    await until(lambda: orchestrator.proofs >= 3)
    orchestrator.lives_s = 3600.0
    seen = orchestrator.proofs
    await until(lambda: orchestrator.proofs > seen)
    with orchestrator.lock:
        orchestrator.credentials.clear()
    seen, beats = orchestrator.proofs, len(orchestrator.heartbeats)
    await until(lambda: len(orchestrator.heartbeats) > beats)
    assert orchestrator.proofs == seen + 1
    assert "credential-refused" not in agents_here.log_slugs()


async def test_the_credential_of_an_agent_from_before_there_were_keys_brings_a_key_without_being_asked(
    agents_here: AgentProcesses,
) -> None:
    orchestrator = agents_here.orchestrator
    orchestrator.tokens = {"asy_agent_of_before"}
    old = {"version": 1, "agent": "agent-1", "host": HOST, "credential": "asy_agent_of_before"}
    (agents_here.work / "credential.json").write_text(json.dumps(old))
    agents_here.start(join_token="asy_join_used_long_ago")
    await agents_here.serving()
    assert kept_key(agents_here.work, HOST) is not None


async def test_an_agent_that_starts_while_the_orchestrator_is_away_knows_its_bench(agents_here: AgentProcesses) -> None:
    first = agents_here.start()
    heartbeat = await agents_here.serving()
    first.terminate()
    await asyncio.to_thread(first.wait, 10)
    agents_here.orchestrator.refuse_all = 503
    agents_here.start()
    await until(lambda: agents_here.log_slugs().count("agent-serves") == 2)
    assert (await _post(heartbeat["inbox"], assignment())).answer is Acceptance.ACCEPTED
    await until(lambda: agents_here.directory().exit_record())


def settings(work: Path, url: str, **more: object) -> AgentSettings:
    return AgentSettings.model_validate({"server_url": url, "host": HOST, "work_dir": work, **more})


async def serve_here(chosen: AgentSettings, stop: asyncio.Event | None = None) -> None:
    await serve(
        chosen,
        SystemClock(),
        RememberingLog(),
        stop=stop or asyncio.Event(),
        drivers=DRIVERS,
        probe_for=FakeProbe,
    )


async def test_a_wrong_join_token_is_an_error_and_no_loop(tmp_path: Path, orchestrator: StandInOrchestrator) -> None:
    with pytest.raises(WireTrouble, match="The join token is unknown or was used: make another"):
        await serve_here(settings(tmp_path, orchestrator.url, join_token="asy_join_wrong"))
    assert kept_key(tmp_path, HOST) is None


async def test_without_a_join_token_the_operator_is_told_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(Unauthorised, match="ASSAY_AGENT_JOIN_TOKEN"):
        await serve_here(settings(tmp_path, "http://127.0.0.1:1"))


async def test_an_agent_that_waits_for_its_orchestrator_to_join_can_be_stopped(tmp_path: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    async with asyncio.timeout(5):
        await serve_here(settings(tmp_path, "http://127.0.0.1:1", join_token="asy_join_x"), stop)


async def test_a_second_agent_in_the_same_work_directory_is_refused(agents_here: AgentProcesses) -> None:
    agents_here.start()
    await agents_here.serving()
    with pytest.raises(Conflict, match="another agent already serves"):
        await serve_here(settings(agents_here.work, agents_here.orchestrator.url))


async def test_a_credential_of_another_host_is_not_used(agents_here: AgentProcesses) -> None:
    agent = agents_here.start()
    await agents_here.serving()
    agent.terminate()
    await asyncio.to_thread(agent.wait, 10)
    with pytest.raises(Conflict, match="is of host host-a"):
        await serve_here(settings(agents_here.work, "http://127.0.0.1:1", host="host-b"))
