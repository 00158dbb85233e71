"""Brings a unit back that could not be measured, before it is measured again: its power, then its driver.

Takes an open suite and the slot; gives what was done in words, and who the unit says it is then. It decides nothing:
whether that was enough is seen in what is measured afterwards.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from agents.measure import LabError
from agents.power import cycle_power
from agents.suites import Identified, OpenSuite
from lab_inventory.clock import Clock
from lab_inventory.lab import Slot

BOOT_S = 120.0
OFF_S = 5.0
ASK_AGAIN_S = 3.0


async def recover(
    suite: OpenSuite, slot: Slot, power_program: Path | None, clock: Clock, tell: Callable[[tuple[str, ...]], None]
) -> Identified:
    """Recover and identify. ``tell`` is given the steps before the unit is asked who it is.

    A unit whose power was cut gets ``BOOT_S`` to come back. Raises LabError where it does not.
    """
    steps, was_cut = await _power(slot, power_program)
    tell((*steps, "it is reset through its driver"))
    deadline_s = clock.boottime_s() + (BOOT_S if was_cut else 0.0)
    while True:
        try:
            return await suite.identify_device()
        except LabError:
            if clock.boottime_s() >= deadline_s:
                raise
        await asyncio.sleep(ASK_AGAIN_S)


async def _power(slot: Slot, program: Path | None) -> tuple[tuple[str, ...], bool]:
    """What came of cutting the power, and whether it may have been cut."""
    if slot.power is None:
        return ("its slot has no power port in the lab file: its power stays on",), False
    if program is None:
        return (f"this host has no power program, so port {slot.power} stays on",), False
    try:
        await cycle_power(program, slot.power, off_s=OFF_S)
    except LabError as error:
        return (str(error),), True
    return (f"the power of port {slot.power} was cut for {OFF_S:g} s and given back",), True
