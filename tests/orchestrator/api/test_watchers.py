"""The event streams."""

import asyncio

from lab_inventory.clock import ManualClock
from lab_inventory.device import Presence
from orchestrator.api.watchers import NOTICES_MAX, Watchers
from orchestrator.lifecycle.device import PresenceObserved


def came() -> PresenceObserved:
    return PresenceObserved(device="dev-1", presence=Presence.PRESENT, reason="", at=ManualClock().now())


async def test_a_watcher_that_is_too_slow_has_its_stream_ended_after_what_was_kept() -> None:
    watchers = Watchers()
    watchers.attach(asyncio.get_running_loop())
    stream = watchers.stream()
    assert await anext(stream) == "retry: 2000\n\n"
    for _ in range(NOTICES_MAX + 50):
        watchers.follow([came()])
    events = [event async for event in stream]
    assert len(events) == NOTICES_MAX
    assert events[0] == "event: devices\ndata: dev-1 PresenceObserved\n\n"


async def test_a_watcher_that_leaves_is_forgotten() -> None:
    watchers = Watchers()
    watchers.attach(asyncio.get_running_loop())
    stream = watchers.stream()
    await anext(stream)
    await stream.aclose()
    assert watchers._queues == set()


async def test_commits_before_the_server_runs_are_told_to_nobody_and_fail_nothing() -> None:
    Watchers().follow([came()])
