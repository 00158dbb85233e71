"""The supervisor, with a stand-in for the driver process."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil

from lab_inventory.messages import Acceptance
from orchestrator.dispatch.port import ScoreWanted
from orchestrator.dispatch.supervisor import RayDispatcher, driver_command
from orchestrator.loop import Dispatch, WorkerLost, WorkerReady
from tests.orchestrator.dispatch.conftest import STAND_IN, Told, folder_of, is_private

HOST = frozenset({"host-1"})


async def test_a_driver_that_dies_makes_its_calls_unknown_and_is_started_again(
    told: Told, dispatch: Dispatch, tmp_path: Path
) -> None:
    dispatcher = RayDispatcher(STAND_IN)
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    dispatcher.dispatch(replace(dispatch, inbox=str(tmp_path / "silent")))
    first = dispatcher.driver_pid
    assert first is not None
    told.events.clear()
    os.kill(first, signal.SIGKILL)
    await told.ready()
    assert told.answers(dispatch.run)[0].answer is None
    assert any(isinstance(event, WorkerLost) and "died" in event.reason for event in told.events)
    assert told.events[-1] == WorkerReady(host="host-1")
    dispatcher.dispatch(replace(dispatch, run="run-again"))
    assert (await told.answer("run-again")).answer is Acceptance.ACCEPTED
    assert dispatcher.driver_pid not in (None, first)
    await dispatcher.stop()


async def test_a_driver_that_says_what_cannot_be_understood_is_replaced(
    told: Told, dispatch: Dispatch, tmp_path: Path
) -> None:
    dispatcher = RayDispatcher(STAND_IN)
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    first = dispatcher.driver_pid
    told.events.clear()
    dispatcher.dispatch(replace(dispatch, inbox=str(tmp_path / "garbage")))
    assert (await told.answer(dispatch.run)).answer is None
    await told.ready()
    assert dispatcher.driver_pid != first
    await dispatcher.stop()


async def test_a_driver_that_cannot_connect_says_why_and_is_tried_again(told: Told) -> None:
    dispatcher = RayDispatcher([*STAND_IN, "--refuse"])
    dispatcher.watch(HOST)
    await dispatcher.start(told)
    await told.until(lambda events: len(events) >= 2)
    assert dispatcher.health == "no Ray cluster answers at 192.0.2.1:6379"
    assert all(event == WorkerLost(host="host-1", reason=dispatcher.health) for event in told.events)
    await dispatcher.stop()


async def test_a_driver_that_cannot_be_started_is_no_silence(told: Told, tmp_path: Path) -> None:
    dispatcher = RayDispatcher([str(tmp_path / "no-such-program")])
    dispatcher.watch(HOST)
    await dispatcher.start(told)
    await told.until(lambda events: len(events) >= 2)
    assert "FileNotFoundError" in dispatcher.health
    await dispatcher.stop()


async def test_stopping_ends_the_driver_and_removes_its_directory(told: Told) -> None:
    dispatcher = RayDispatcher(STAND_IN)
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    pid = dispatcher.driver_pid
    assert pid is not None
    folder = folder_of(pid)
    assert is_private(folder)
    await dispatcher.stop()
    assert not psutil.pid_exists(pid)
    assert not is_private(folder)


async def test_all_hosts_are_watched_again_by_a_new_driver(told: Told) -> None:
    dispatcher = RayDispatcher(STAND_IN)
    await dispatcher.start(told)
    dispatcher.watch(frozenset({"host-1", "host-2"}))
    lost = WorkerLost(host="host-2", reason="no Ray node has the label host-2")
    await told.until(lambda events: lost in events)
    assert dispatcher.driver_pid is not None
    os.kill(dispatcher.driver_pid, signal.SIGKILL)
    await told.until(lambda events: events.count(lost) == 2)
    await dispatcher.stop()


async def test_a_score_comes_back_and_one_whose_driver_died_is_unknown(told: Told) -> None:
    dispatcher = RayDispatcher(STAND_IN)
    wanted = ScoreWanted(host="host-1", sending=False, benches=(), sound_json="sound", files=())
    assert (await dispatcher.score(wanted)).score is None
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()

    assert (await dispatcher.score(wanted)).score == "sound"
    lost = await dispatcher.score(replace(wanted, host="dies"))

    assert (lost.score, lost.nowhere) == (None, False)
    await dispatcher.stop()


def test_the_ray_of_its_own_carries_the_doors_of_hosts_without_a_node() -> None:
    command = driver_command(address=None, local_host="host-1", doors_of=("small", "smaller"))
    assert [command[at + 1] for at, word in enumerate(command) if word == "--local-host"] == [
        "host-1", "small", "smaller",
    ]  # fmt: skip
    assert "--local-host" not in driver_command(address="10.0.0.1:6379", local_host="host-1", doors_of=("small",))
