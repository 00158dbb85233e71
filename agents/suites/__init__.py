"""The procedures of the test cases, by category of device, behind one port.

A suite opened for a run holds the slot: its registrar address, its instruments and its driver.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agents.measure import Procedure, Recorder
from lab_inventory.clock import Clock
from lab_inventory.measurement import Measurement
from lab_inventory.messages import Assignment
from lab_inventory.programme import TestCase


@dataclass(frozen=True, kw_only=True)
class BenchCheck:
    """How the bench's own loop, without a device, came out."""

    passed: bool
    measurements: tuple[Measurement, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Identified:
    """What the device said of itself after its reset, and whether it is the unit the lease was granted for."""

    same: bool
    user_agent: str
    reason: str


class OpenSuite(Protocol):
    """A suite that holds a slot for one run.

    Every method raises ``agents.measure.LabError`` where the lab is at fault. ``close`` always works, more than once,
    and leaves the device idle and the slot's address free.
    """

    procedures: Mapping[str, Procedure]

    async def check_bench(self) -> BenchCheck:
        """Let the bench measure itself in a loop; before the device is touched."""
        ...

    async def identify_device(self) -> Identified:
        """Reset the device to its idle state and let it say again who it is."""
        ...

    async def carry_out(self, case: TestCase, recorder: Recorder) -> None:
        """Carry out one repeat of one case."""
        ...

    async def close(self) -> None:
        """Hang up what is left and let go of everything."""
        ...


OpenSuiteFor = Callable[[Assignment, Clock], Awaitable[OpenSuite]]


def suite_for(category: str) -> OpenSuiteFor | None:
    """What opens the suite of a category of device, or None where there is none."""
    if category == "usb-headset":
        from agents.suites.usb_headset import open_headset_suite  # noqa: PLC0415  (loads audio code only in a run)

        return open_headset_suite
    from agents.suites.ip_phone import open_phone_suite  # noqa: PLC0415

    return {"ip-phone": open_phone_suite}.get(category)
