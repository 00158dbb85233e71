"""Lamps follow the host; and host and headset agree on hook, mute and lamps whatever happens in between."""

import asyncio

import numpy as np

from agents.drivers.headset import HeadsetKey
from agents.instruments.usb.report_descriptor import ReportDescriptor
from agents.instruments.usb.reports import build_outputs, output_usages
from agents.instruments.usb.usages import HOOK_SWITCH, LED_HOLD, LED_MUTE, LED_OFF_HOOK, LED_RING, PHONE_MUTE
from agents.measure import Recorder, procedure
from agents.suites.usb_headset.bench import HeadsetBench
from agents.suites.usb_headset.keys import STALL_MS, values_of
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

LIGHT_S = 2.0
LOOK_S = 0.003
ROUNDS = 2
"""All lamps, and once more where the bench stalled in some orders."""

STEP_S = 2.0
"""So long a step of the random walk may take until both sides know of it."""

GIVES_UP = 10
"""After so many disagreements a further one says nothing new."""

LAMPS = {"off-hook": LED_OFF_HOOK, "mute": LED_MUTE, "ring": LED_RING, "hold": LED_HOLD}


@procedure("lamps", measures={"light_ms": Unit.MILLISECOND, "lamps_as_ordered": Unit.BOOL})
async def lamps(bench: HeadsetBench, recorder: Recorder) -> None:
    """Each lamp that is declared alone, then all dark again: when the lamp shines, and that no other does."""
    descriptor = await bench.report_descriptor()
    declared = output_usages(descriptor) if descriptor is not None else frozenset()
    wanted = [name for name, usage in LAMPS.items() if usage in declared]
    if descriptor is None or not wanted:
        bench.measure_rest(lamps, "the headset declares no lamp")
        return
    timed: list[tuple[float, float]] = []
    wrong: list[str] = []
    for name in wanted * ROUNDS:
        if wrong or sum(stall <= STALL_MS for _, stall in timed) >= 2 * len(wanted):
            break
        for lit in ({name}, set[str]()):
            began_ns = boottime_ns()
            await _order(bench, descriptor, lit)
            seen = await _shines(bench, lit)
            if seen is None:
                shown = sorted(one for one, on in (await bench.eye.look()).lamps.items() if on)
                wrong.append(f"ordered {sorted(lit) or 'all dark'}, seen {shown or 'all dark'}")
                break
            timed.append(((seen - began_ns) / 1e6, bench.lateness_ms(began_ns, seen)))
    note = f"{len(timed)} orders for {', '.join(wanted)}"
    bench.measure("lamps_as_ordered", not wrong, "; ".join(wrong) or note)
    if not timed:
        bench.measure("light_ms", None, f"no lamp did as ordered within {LIGHT_S:g} s")
        return
    timed = [one for one in timed if one[1] <= STALL_MS] or timed
    delays = [delay for delay, _ in timed]
    value = float(np.percentile(delays, 95))
    bench.measure("light_ms", value, note, bench_stall=max(stall for _, stall in timed))
    await _order(bench, descriptor, set())


@procedure("state-agreement", measures={"disagreements": Unit.COUNT})
async def state_agreement(bench: HeadsetBench, recorder: Recorder) -> None:
    """A random walk of presses and orders; after each step the host's picture is held to what was really done."""
    descriptor = await bench.report_descriptor()
    if descriptor is None:
        bench.measure_rest(state_agreement, "the headset has no HID report descriptor that can be read")
        return
    if not bench.hands.at_the_call:
        bench.leave_rest(state_agreement, f"hands {bench.hands.name} are too slow for a walk of hundreds of steps")
        return
    declared = output_usages(descriptor)
    names = [name for name, usage in LAMPS.items() if usage in declared]
    steps = int(bench.parameter("steps"))
    off_hook = False
    wrong: list[str] = []
    for number in range(1, steps + 1):
        what = int(bench.clock.uniform(0, 3))
        bench.port.forget_reports()
        if what == 0:
            await bench.hands.press(HeadsetKey.HOOK)
            off_hook = not off_hook
            said = await _said(bench, descriptor, HOOK_SWITCH, 1)
            if not said or said[-1] != int(off_hook):
                wrong.append(f"{number}: the hook is {'off' if off_hook else 'on'}, the host was told {said}")
        elif what == 1:
            await bench.hands.press(HeadsetKey.MUTE)
            said = await _said(bench, descriptor, PHONE_MUTE, 2)
            if sum(said) != 1:
                wrong.append(f"{number}: mute was pressed once, the host was told {said}")
        elif names:
            lit = {name for name in names if bench.clock.uniform(0, 1) < 0.5}
            await _order(bench, descriptor, lit)
            if await _shines(bench, lit, within_s=STEP_S) is None:
                wrong.append(f"{number}: the host ordered {sorted(lit) or 'all dark'} and it is not so")
        if len(wrong) >= GIVES_UP:
            break
    if off_hook:
        await bench.hands.press(HeadsetKey.HOOK)
    if names:
        await _order(bench, descriptor, set())
    bench.measure("disagreements", len(wrong), f"in {number} steps. {'; '.join(wrong[:5])}".strip())


async def _said(bench: HeadsetBench, descriptor: ReportDescriptor, usage: int, reports: int) -> list[int]:
    await bench.port.wait_report(reports, STEP_S)
    return values_of([(one.usage, one.value) for _, values in bench.said(descriptor) for one in values], usage)


async def _order(bench: HeadsetBench, descriptor: ReportDescriptor, lit: set[str]) -> None:
    """Order the declared lamps: these shine and the others do not."""
    declared = output_usages(descriptor)
    values = {usage: int(name in lit) for name, usage in LAMPS.items() if usage in declared}
    for report in build_outputs(descriptor, values):
        await bench.port.write_report(report)


async def _shines(bench: HeadsetBench, lit: set[str], within_s: float = LIGHT_S) -> int | None:
    """When exactly these lamps shine (ns of CLOCK_BOOTTIME, before the look that shows it); None: not in time."""
    began_ns = boottime_ns()
    while True:
        at_ns = boottime_ns()
        if {name for name, on in (await bench.eye.look()).lamps.items() if on} == lit:
            return at_ns
        if (at_ns - began_ns) / 1e9 > within_s:
            return None
        await asyncio.sleep(LOOK_S)
