"""The Ray driver with a real Ray of its own: what survives a death, and that nothing is left behind."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agents.sound_scores.compute import score_files
from lab_inventory.messages import Acceptance
from orchestrator.dispatch.lines import TOLD, Down, Up
from orchestrator.dispatch.port import ScoreWanted
from orchestrator.dispatch.supervisor import RayDispatcher, driver_command
from orchestrator.loop import Dispatch
from tests.agents.sound_scores.sounds import files, sound_of
from tests.orchestrator.dispatch.conftest import TIMEOUT_S, Told, folder_of, is_private

HOST = frozenset({"host-1"})
COMMAND = driver_command(address=None, local_host="host-1")


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that are still alive after a while."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 20)
    return list(alive)


@pytest.fixture
async def ray_dispatcher(told: Told) -> AsyncIterator[RayDispatcher]:
    dispatcher = RayDispatcher(COMMAND)
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    yield dispatcher
    await dispatcher.stop()


@pytest.mark.e2e
async def test_a_killed_driver_is_replaced_and_the_worker_is_reached_again(
    ray_dispatcher: RayDispatcher, told: Told, dispatch: Dispatch
) -> None:
    assert ray_dispatcher.driver_pid is not None
    before = family(ray_dispatcher.driver_pid)
    told.events.clear()
    os.kill(ray_dispatcher.driver_pid, signal.SIGKILL)
    await told.ready()
    ray_dispatcher.dispatch(dispatch)
    assert (await told.answer(dispatch.run)).answer is Acceptance.ACCEPTED
    assert await gone(before) == []


@pytest.mark.e2e
async def test_a_killed_worker_comes_back_and_takes_the_next_assignment(
    ray_dispatcher: RayDispatcher, told: Told, dispatch: Dispatch
) -> None:
    assert ray_dispatcher.driver_pid is not None
    (worker,) = [process for process in family(ray_dispatcher.driver_pid) if "LabHost" in " ".join(process.cmdline())]
    worker.kill()
    assert await gone([worker]) == []
    for attempt in range(30):
        run = f"run-{attempt}"
        ray_dispatcher.dispatch(replace(dispatch, run=run))
        answer = await told.answer(run)
        if answer.answer is Acceptance.ACCEPTED:
            break
        await asyncio.sleep(1)
    assert answer.answer is Acceptance.ACCEPTED


@pytest.mark.e2e
async def test_stopping_leaves_no_process_and_no_file_of_ray_behind(ray_dispatcher: RayDispatcher) -> None:
    assert ray_dispatcher.driver_pid is not None
    processes = family(ray_dispatcher.driver_pid)
    folder = folder_of(processes[0].pid)
    assert len(processes) > 3
    assert is_private(folder)
    await ray_dispatcher.stop()
    assert await gone(processes) == []
    assert not is_private(folder)


@pytest.mark.e2e
async def test_the_driver_ends_by_itself_with_its_ray_when_the_server_is_gone() -> None:
    # Ray's sockets need a short path, and pytest's directories are long.
    folder = tempfile.mkdtemp(prefix="assay-test-", dir="/tmp")
    driver = await asyncio.create_subprocess_exec(
        *COMMAND, "--folder", folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert driver.stdin is not None
    assert driver.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        assert isinstance(TOLD.validate_json(await driver.stdout.readline()), Up)
    processes = family(driver.pid)
    driver.stdin.close()
    async with asyncio.timeout(TIMEOUT_S):
        rest = await driver.stdout.read()
        assert await driver.wait() == 0
    assert rest == b""
    assert await gone(processes) == []
    assert not is_private(Path(folder))


async def test_a_cluster_that_is_not_there_is_told_in_seconds() -> None:
    address = "127.0.0.1:9"
    command = driver_command(address=address, local_host="")
    driver = await asyncio.create_subprocess_exec(
        *command, "--folder", "/nonexistent", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert driver.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        told = TOLD.validate_json(await driver.stdout.readline())
        await driver.wait()
    assert isinstance(told, Down)
    assert f"no Ray cluster answers at {address}" in told.reason
    assert "ray" not in sys.modules


@pytest.mark.e2e
async def test_a_recording_is_scored_beside_a_quiet_bench_and_the_same_twice_as_here(
    ray_dispatcher: RayDispatcher, tmp_path: Path
) -> None:
    contents = files()
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    wanted = ScoreWanted(
        host="host-1",
        sending=True,
        benches=("host-1",),
        sound_json=sound_of(contents).model_dump_json(),
        files=tuple(map(str, paths)),
    )

    refused = await ray_dispatcher.score(wanted)
    first, second = [await ray_dispatcher.score(replace(wanted, sending=False)) for _ in range(2)]

    assert (refused.score, refused.nowhere) == (None, True)
    assert first.score == second.score == score_files(wanted.sound_json, contents)
    assert first.ray_node
