"""Plugged in and out again: usable each time and soon; and on the bus as long as nobody pulls the plug."""

import numpy as np

from agents.measure import LabError, Recorder, procedure
from agents.suites.usb_headset.bench import APPEARS_S, HeadsetBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

GIVES_UP = 3
"""After so many plugs in vain a further one says nothing new, and each takes long."""


@procedure("plug-cycles", measures={"usable_after_s": Unit.SECOND, "plugs_in_vain": Unit.COUNT})
async def plug_cycles(bench: HeadsetBench, recorder: Recorder) -> None:
    """Unplugged and plugged in so many times; usable is when the host has its sound card and its keys."""
    cycles = int(bench.parameter("cycles"))
    times: list[float] = []
    in_vain = 0
    began_ns = boottime_ns()
    for number in range(1, cycles + 1):
        seconds = await bench.replug()
        if seconds is None:
            in_vain += 1
        else:
            times.append(seconds)
        if in_vain >= GIVES_UP:
            cycles = number
            break
    note = f"{len(times)} of {cycles} plugs"
    bench.measure("plugs_in_vain", in_vain, f"{note} were followed by a usable headset within {APPEARS_S:g} s")
    if not bench.hands.at_the_call:
        bench.leave_unmeasured("usable_after_s", f"with hands {bench.hands.name} nobody knows when the plug went in")
        return
    if not times:
        bench.measure("usable_after_s", None, f"not usable within {APPEARS_S:g} s")
        return
    words = f"the slowest; median {np.median(times):.2f} s, p99 {np.percentile(times, 99):.2f} s of {note}"
    stall_s = bench.lateness_ms(began_ns, boottime_ns()) / 1000
    bench.measure("usable_after_s", max(times), words, bench_stall=stall_s)


@procedure("stays-on-bus", measures={"drops": Unit.COUNT})
async def stays_on_bus(bench: HeadsetBench, recorder: Recorder) -> None:
    """Nobody touches it: how often it leaves the bus."""
    left_s = bench.parameter("watch_s")
    drops = 0
    while left_s > 0:
        gone_after_s = await bench.port.disappear(left_s)
        if gone_after_s is None:
            break
        drops += 1
        bench.controls_at_rest = False
        left_s -= gone_after_s
        if await bench.port.appear(APPEARS_S) is None:
            raise LabError(f"the headset left the bus and did not come back within {APPEARS_S:g} s")
    bench.measure("drops", drops, f"in {bench.parameter('watch_s'):g} s")
