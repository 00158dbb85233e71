"""Keeps a part of the agent going through its own mistakes: what fails is told and begun again, after a back-off."""

import asyncio
from collections.abc import Awaitable, Callable

from agents.logs import Log
from agents.words import describe
from lab_inventory.clock import Clock

FIRST_S = 1.0
MOST_S = 30.0
WELL_S = 60.0


async def endure(part: str, carry_on: Callable[[], Awaitable[None]], clock: Clock, log: Log) -> None:
    """Run ``carry_on`` again whenever it fails or returns, until cancelled. A part that held out for a minute
    begins with the shortest wait again.
    """
    wait_s = FIRST_S
    while True:
        began_s = clock.boottime_s()
        try:
            await carry_on()
        except Exception as error:
            log.warning("part-failed", part=part, error=describe(error))
        if clock.boottime_s() - began_s > WELL_S:
            wait_s = FIRST_S
        await asyncio.sleep(wait_s * clock.uniform(0.5, 1.0))
        wait_s = min(MOST_S, wait_s * 2)
