"""What becomes of a run whose process died without an end: its devices are reset, and its end is written for it.

Takes a run directory with no living process; gives the end that was appended to its spool. A living run needs nothing
of this: whoever finds it only goes on renewing and delivering.
"""

import asyncio
from collections.abc import Mapping

from agents.drivers import PhoneDriver
from agents.processes import mark_of
from agents.run_directory import RunDirectory
from agents.spool import Spool
from agents.words import as_text, describe
from lab_inventory.clock import Clock
from lab_inventory.device import Registration
from lab_inventory.errors import AssayError
from lab_inventory.lab import Slot
from lab_inventory.messages import Assignment, Ended, RunOutcome

RESET_TIMEOUT_S = 15.0

Drivers = Mapping[str, type[PhoneDriver]]


async def end_dead_run(
    directory: RunDirectory, assignment: Assignment, spool: Spool, drivers: Drivers, clock: Clock, own_pid: int
) -> Ended:
    """Reset the devices and append the end that the process could not. Raises LabError where the spool takes none."""
    teardown = await reset_device(assignment.slot, assignment.dut.registration, drivers)
    for companion in assignment.companions:
        came = await reset_device(companion.slot, companion.registration, drivers)
        teardown = f"{teardown}; of the {companion.role} in slot {companion.slot.name}: {came}"
    ended = Ended(
        outcome=RunOutcome.ERROR,
        reason=as_text(f"{_how_it_ended(directory)}; {teardown}"),
        within_deadline=_within_deadline(directory, clock, own_pid),
    )
    spool.append(ended)
    return ended


async def reset_device(slot: Slot, unit: Registration, drivers: Drivers) -> str:
    """Bring the unit in a slot back to idle through its driver; gives what came of it in words."""
    name, control = unit.driver, slot.control
    found = drivers.get(name) if name else None
    if found is None or control is None:
        return "its device could not be reset: there is no driver for it here"
    driver = found(control)
    try:
        async with asyncio.timeout(RESET_TIMEOUT_S):
            try:
                await driver.open()
                await driver.reset()
            finally:
                await driver.close()
    except TimeoutError:
        return f"its device could not be reset within {RESET_TIMEOUT_S:g} s"
    except Exception as error:
        return f"its device could not be reset: {describe(error)}"
    return "its device was reset"


def _how_it_ended(directory: RunDirectory) -> str:
    try:
        record = directory.exit_record()
    except (OSError, AssayError):
        record = None
    if record is None:
        return "the run's process died without an end"
    return f"the run's process could not report its end ({record.outcome}: {record.reason})"


def _within_deadline(directory: RunDirectory, clock: Clock, own_pid: int) -> bool:
    """Whether the run's own deadline has not passed. After a restart of the machine its clock says nothing of it."""
    try:
        process, lease = directory.process(), directory.lease()
    except (OSError, AssayError):
        return False
    own = mark_of(own_pid)
    same_boot = process is not None and own is not None and process.boot == own.boot
    return same_boot and clock.boottime_s() <= lease.deadline_at_s
