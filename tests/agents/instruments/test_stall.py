import asyncio
import time  # noqa: TID251 - the test makes the loop late

import pytest

from agents.instruments.reference_stream import ReferenceStream
from agents.instruments.stall import StallMeter
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import InvariantBroken


async def test_a_blocked_loop_is_seen_in_the_window_and_only_there() -> None:
    meter = StallMeter()
    meter.start()
    began_ns = boottime_ns()
    await asyncio.sleep(0.1)
    blocked_ns = boottime_ns()
    time.sleep(0.15)  # noqa: ASYNC251
    await asyncio.sleep(0.1)
    after_ns = boottime_ns()
    meter.stop()

    blocked_ms = meter.lateness_ms(blocked_ns, after_ns)
    assert 125 < blocked_ms < 400
    assert meter.lateness_ms(began_ns, blocked_ns - 1) < blocked_ms / 2


async def test_a_stall_that_still_lasts_is_seen() -> None:
    meter = StallMeter()
    meter.start()
    await asyncio.sleep(0.05)
    since_ns = boottime_ns()
    time.sleep(0.1)  # noqa: ASYNC251
    stalled_ms = meter.lateness_ms(since_ns, boottime_ns())
    meter.stop()

    assert stalled_ms > 75


async def test_a_window_before_the_meter_ran_is_refused() -> None:
    meter = StallMeter()
    before_ns = boottime_ns() - 1_000_000_000
    meter.start()
    meter.stop()

    with pytest.raises(InvariantBroken):
        meter.lateness_ms(before_ns, boottime_ns())


async def test_a_busy_loop_does_not_enter_the_spread_of_the_reference_stream() -> None:
    with ReferenceStream() as reference:
        for _ in range(10):
            await asyncio.sleep(0.03)
            time.sleep(0.02)  # noqa: ASYNC251

    assert reference.spread_ms < 10
