"""Keys: each press is one report, in time and of the right kind; and nothing comes where nobody pressed."""

import asyncio

import numpy as np

from agents.drivers.headset import HeadsetKey
from agents.instruments.usb.report_descriptor import ReportDescriptor
from agents.instruments.usb.usages import HOOK_SWITCH, PHONE_MUTE, VOLUME_DOWN, VOLUME_UP
from agents.measure import LabError, Procedure, Recorder, procedure
from agents.suites.usb_headset.bench import HeadsetBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

PRESS_S = 2.0
"""So long a report is waited for: longer than a bench may stall, because what does not come fails."""

MORE_S = 0.15
"""So long after the first report further ones are waited for: an honest key sends none."""

STALL_MS = 15.0
"""A press during which the bench stalled for longer is made again, up to as often once more."""

Press = tuple[float | None, list[tuple[int, int]], float]
"""How many ms until the first report, the (usage, value) pairs of every report in order, and the bench's stall."""

_OF_KEY = {
    HeadsetKey.HOOK: HOOK_SWITCH,
    HeadsetKey.MUTE: PHONE_MUTE,
    HeadsetKey.VOLUME_UP: VOLUME_UP,
    HeadsetKey.VOLUME_DOWN: VOLUME_DOWN,
}


async def press(bench: HeadsetBench, descriptor: ReportDescriptor, key: HeadsetKey, reports: int) -> Press:
    """Press a key once and wait for its ``reports``."""
    bench.port.forget_reports()
    began_ns = boottime_ns()
    await bench.hands.press(key)
    if await bench.port.wait_report(reports, PRESS_S):
        await asyncio.sleep(MORE_S)  # all of it, so that what is left of this press is not taken for the next one's
    every = bench.said(descriptor)
    said = [(one.usage, one.value) for _, values in every for one in values]
    if not every:
        return None, said, 0.0
    first_ns = every[0][0].at_ns
    return (first_ns - began_ns) / 1e6, said, bench.lateness_ms(began_ns, first_ns)


async def _presses(
    bench: HeadsetBench, descriptor: ReportDescriptor, key: HeadsetKey, reports: int, count: int
) -> list[Press]:
    """So many presses, and as many again at most where the bench stalled in some; an even number stays even."""
    made: list[Press] = []
    while len(made) < count or (len(made) < 2 * count and sum(one[2] <= STALL_MS for one in made) < count):
        made += [await press(bench, descriptor, key, reports) for _ in range(2 - count % 2)]
    return made


def values_of(said: list[tuple[int, int]], usage: int) -> list[int]:
    """The values of one usage, in the order of the reports."""
    return [value for code, value in said if code == usage]


async def _descriptor(bench: HeadsetBench, of: Procedure) -> ReportDescriptor | None:
    descriptor = await bench.report_descriptor()
    if descriptor is None:
        bench.measure_rest(of, "the headset has no HID report descriptor that can be read")
    return descriptor


@procedure(
    "hook-and-mute-keys",
    measures={
        "hook_ms": Unit.MILLISECOND,
        "hook_one_report_a_press": Unit.BOOL,
        "hook_stays": Unit.BOOL,
        "mute_ms": Unit.MILLISECOND,
        "mute_one_report_a_press": Unit.BOOL,
    },
)
async def hook_and_mute_keys(bench: HeadsetBench, recorder: Recorder) -> None:
    """The hook is a level: each press changes it once and it stays. Mute is a press: 1 and then 0, once."""
    descriptor = await _descriptor(bench, hook_and_mute_keys)
    if descriptor is None:
        return
    presses = int(bench.parameter("presses"))
    hooks = await _presses(bench, descriptor, HeadsetKey.HOOK, 1, presses + presses % 2)
    levels = [values_of(said, HOOK_SWITCH) for _, said, _ in hooks]
    _measure_delay(bench, "hook_ms", hooks)
    alternating = [[1 - at % 2] for at in range(len(levels))]
    once = all(len(one) == 1 for one in levels)
    bench.measure("hook_one_report_a_press", once, f"levels reported for each press: {levels}")
    bench.measure("hook_stays", levels == alternating, f"levels reported for each press: {levels}")
    mutes = await _presses(bench, descriptor, HeadsetKey.MUTE, 2, presses)
    edges = [values_of(said, PHONE_MUTE) for _, said, _ in mutes]
    _measure_delay(bench, "mute_ms", mutes)
    right = all(one == [1, 0] for one in edges)
    bench.measure("mute_one_report_a_press", right, f"values reported for each press: {edges}")


@procedure("volume-keys", measures={"volume_follows": Unit.BOOL, "volume_ms": Unit.MILLISECOND})
async def volume_keys(bench: HeadsetBench, recorder: Recorder) -> None:
    """Each key of the volume is one press down and up of its usage on the consumer page."""
    descriptor = await _descriptor(bench, volume_keys)
    if descriptor is None:
        return
    pressed, right, told = [], True, []
    for key in (HeadsetKey.VOLUME_UP, HeadsetKey.VOLUME_DOWN) * int(bench.parameter("presses")):
        one = await press(bench, descriptor, key, 2)
        pressed.append(one)
        edges = {usage: values_of(one[1], usage) for usage in (VOLUME_UP, VOLUME_DOWN)}
        other = VOLUME_DOWN if key is HeadsetKey.VOLUME_UP else VOLUME_UP
        right = right and edges[_OF_KEY[key]] == [1, 0] and not any(edges[other])
        told.append(f"{key}: up {edges[VOLUME_UP]}, down {edges[VOLUME_DOWN]}")
    bench.measure("volume_follows", right, "; ".join(told))
    _measure_delay(bench, "volume_ms", pressed)


@procedure(
    "no-events-of-its-own",
    measures={"off_hooks": Unit.COUNT, "events": Unit.COUNT},
)
async def no_events_of_its_own(bench: HeadsetBench, recorder: Recorder) -> None:
    """Nobody touches the headset, over a time of rest and over plugging it in: every report is one too many.

    After plugging in a host may be told the state as it is; only what says that something is pressed counts.
    """
    descriptor = await _descriptor(bench, no_events_of_its_own)
    if descriptor is None:
        return
    bench.port.forget_reports()
    await asyncio.sleep(bench.parameter("watch_s"))
    at_rest = bench.said(descriptor)
    seconds = await bench.replug()
    if seconds is None:
        raise LabError("the headset did not come back after it was plugged in")
    await asyncio.sleep(MORE_S)
    plugged = [one for one in bench.said(descriptor)[len(at_rest) :] if any(value.value for value in one[1])]
    hooks = [value for _, values in (*at_rest, *plugged) for value in values if value.usage == HOOK_SWITCH]
    note = f"{len(at_rest)} reports at rest, {len(plugged)} after plugging in"
    bench.measure("off_hooks", sum(value.value for value in hooks), note)
    bench.measure("events", len(at_rest) + len(plugged), note)


def _measure_delay(bench: HeadsetBench, quantity: str, presses: list[Press]) -> None:
    """The 95th percentile of the delays; None where one press came to nothing.

    A press during which the bench itself stalled tells nothing of time; where others are left it does not count.
    """
    if not bench.hands.at_the_call:
        bench.leave_unmeasured(quantity, f"with hands {bench.hands.name} nobody knows when the key went down")
        return
    timed = [(delay, stall) for delay, _, stall in presses if delay is not None]
    if len(timed) < len(presses):
        seen = f"{len(presses) - len(timed)} of {len(presses)} presses were not reported within {PRESS_S:g} s"
        bench.measure(quantity, None, seen)
        return
    timed = [one for one in timed if one[1] <= STALL_MS] or timed
    delays = [delay for delay, _ in timed]
    note = f"95th percentile of {len(delays)}; median {np.median(delays):.1f} ms, longest {max(delays):.1f} ms"
    value = float(np.percentile(delays, 95))
    bench.measure(quantity, value, note, bench_stall=max(stall for _, stall in timed))
