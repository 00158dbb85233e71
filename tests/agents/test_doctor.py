import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from agent_nouns import HOST, host, slot
from stand_in_orchestrator import TOKEN, StandInOrchestrator

from agents import libopus
from agents.bench_file import keep_bench
from agents.doctor import Finding, all_well, examine
from agents.key import join
from agents.settings import AgentSettings
from agents.wire import Wire
from lab_inventory.clock import SystemClock


def settings(work: Path, url: str, **more: object) -> AgentSettings:
    return AgentSettings.model_validate({"server_url": url, "host": HOST, "work_dir": work, **more})


async def findings(chosen: AgentSettings) -> dict[str, Finding]:
    return {finding.check: finding for finding in await examine(chosen, SystemClock())}


async def test_a_joined_agent_with_a_free_slot_is_well(tmp_path: Path, orchestrator: StandInOrchestrator) -> None:
    wire = Wire(orchestrator.url, timeout_s=5)
    await join(wire, tmp_path, host=HOST, token=TOKEN, clock=SystemClock())
    await wire.close()
    keep_bench(tmp_path, host(slot("slot-1", "127.0.0.1:0")), SystemClock())
    found = await findings(settings(tmp_path, orchestrator.url))
    assert all_well(list(found.values())), found
    assert found["key"].detail == "accepted as agent-1 of host host-a"
    assert found["clock"].ok
    assert "baresip" in found["drivers"].detail


async def test_a_key_that_was_revoked_is_broken(tmp_path: Path, orchestrator: StandInOrchestrator) -> None:
    wire = Wire(orchestrator.url, timeout_s=5)
    await join(wire, tmp_path, host=HOST, token=TOKEN, clock=SystemClock())
    await wire.close()
    orchestrator.revoked = "the key of host-a was revoked"
    found = await findings(settings(tmp_path, orchestrator.url))
    assert not found["key"].ok
    assert "the key of host-a was revoked" in found["key"].detail


async def test_an_orchestrator_that_is_away_is_told_once_and_in_words(tmp_path: Path) -> None:
    found = await findings(settings(tmp_path, "http://127.0.0.1:1"))
    assert not found["orchestrator"].ok
    assert "does not answer" in found["orchestrator"].detail
    assert "key" not in found


async def test_a_registrar_address_that_another_program_has_is_broken(
    tmp_path: Path, orchestrator: StandInOrchestrator
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        keep_bench(tmp_path, host(slot("slot-1", f"127.0.0.1:{port}")), SystemClock())
        found = await findings(settings(tmp_path, orchestrator.url))
    assert not found["slot slot-1"].ok
    assert f"127.0.0.1:{port}" in found["slot slot-1"].detail


async def test_too_little_space_is_broken(tmp_path: Path, orchestrator: StandInOrchestrator) -> None:
    found = await findings(settings(tmp_path, orchestrator.url, free_bytes_min=10**18))
    assert not found["work directory"].ok


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", *words],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_gives_json_for_programs_and_status_1_where_something_is_broken(tmp_path: Path) -> None:
    done = command(
        "doctor",
        "-o",
        "json",
        ASSAY_AGENT_SERVER_URL="http://127.0.0.1:1",
        ASSAY_AGENT_HOST=HOST,
        ASSAY_AGENT_WORK_DIR=str(tmp_path),
    )
    assert done.returncode == 1
    assert {"check", "ok", "detail"} == set(json.loads(done.stdout)[0])


@pytest.mark.parametrize("words", [("doctor",), ("serve",)])
def test_settings_that_are_missing_are_named_and_the_status_is_2(words: tuple[str, ...]) -> None:
    done = command(*words, ASSAY_AGENT_HOST="not a name")
    assert done.returncode == 2
    assert "ASSAY_AGENT_SERVER_URL: is not set" in done.stderr
    assert "ASSAY_AGENT_WORK_DIR: is not set" in done.stderr
    assert "ASSAY_AGENT_HOST: has a value that does not fit" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_directory_that_holds_no_run_is_status_2_without_a_trace(tmp_path: Path) -> None:
    done = command("run", str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert "run-could-not-go-on" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_missing_opus_library_is_named_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libopus._library.cache_clear()
    monkeypatch.setattr(libopus, "_NAME", "libopus-that-is-not-there.so.0")
    try:
        found = await findings(settings(tmp_path, "http://127.0.0.1:1"))
    finally:
        libopus._library.cache_clear()
    assert found["opus"].ok
    assert "apt-get install libopus0" in found["opus"].detail
