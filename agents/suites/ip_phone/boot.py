"""From power on to registered: the slot's power is taken away and given back by the host's power program."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from agents.measure import LabError, Recorder, procedure
from agents.power import POWER_VARIABLE, switch
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

DIES_WITHIN_S = 1.0
"""So long after its power is gone a phone may still send something that was on its way."""
CONTROL_WITHIN_S = 30.0


@dataclass(frozen=True, kw_only=True)
class _Boot:
    """One boot. ``seconds`` None: it did not register; ``switching_s``: within what the power came, somewhere."""

    seconds: float | None
    switching_s: float


@procedure("boot-to-registered", measures={"boot_to_registered_s": Unit.SECOND})
async def boot_to_registered(bench: PhoneBench, recorder: Recorder) -> None:
    """The power is off for ``off_s``, ``cycles`` times; each time the phone is waited for up to ``watch_s``.

    Raises LabError where nothing can switch the power, and where the phone goes on without it.
    """
    port, named = bench.power_port, os.environ.get(POWER_VARIABLE)
    if port is None or not named:
        missing = "the slot has no power port in the lab file" if port is None else "this host has no power program"
        raise LabError(f"{missing}: nothing can take the phone's power away")
    off_s, watch_s = float(bench.parameter("off_s")), float(bench.parameter("watch_s"))
    boots = [
        await _boot(bench, Path(named), port, off_s=off_s, watch_s=watch_s)
        for _ in range(int(bench.parameter("cycles")))
    ]
    await _control_back(bench)
    times = ", ".join("never" if boot.seconds is None else f"{boot.seconds:.1f}" for boot in boots)
    note = f"{times} s; the slowest counts"
    if any(boot.seconds is None for boot in boots):
        bench.measure("boot_to_registered_s", None, f"{note}; waited for {watch_s:g} s")
        return
    slowest = max(boots, key=lambda boot: boot.seconds or 0.0)
    bench.measure("boot_to_registered_s", slowest.seconds, note, uncertainty=slowest.switching_s)


async def _boot(bench: PhoneBench, program: Path, port: str, *, off_s: float, watch_s: float) -> _Boot:
    records = bench.registrar.records
    try:
        await switch(program, "off", port)
        off_ns = boottime_ns()
        await asyncio.sleep(off_s)
        known = len(records)
        late = [one for one in records.all() if one.at_ns > off_ns + int(DIES_WITHIN_S * 1e9)]
        if late:
            raise LabError(f"the phone registered while the power of port {port} was off: is it the phone's port?")
    finally:
        called_ns = boottime_ns()
        await switch(program, "on", port)
    switching_s = (boottime_ns() - called_ns) / 1e9
    bound = await records.first(lambda record: record.binds, timeout_s=watch_s, skip=known)
    return _Boot(seconds=None if bound is None else (bound.at_ns - called_ns) / 1e9, switching_s=switching_s)


async def _control_back(bench: PhoneBench) -> None:
    """Wait until the phone's keys can be pressed again, for the cases that follow. Raises LabError."""
    until_ns = boottime_ns() + int(CONTROL_WITHIN_S * 1e9)
    while True:
        try:
            await bench.driver.open()
            return
        except LabError:
            if boottime_ns() > until_ns:
                raise
            await asyncio.sleep(0.5)
