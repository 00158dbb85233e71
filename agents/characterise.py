"""``assay-agent bench characterise``: the bench measures itself without a device, many times, and keeps a dated record.

Takes a bench of the lab file; gives a record (lab_inventory/characterisation.py), which agents.bench_record keeps.
"""

import asyncio
import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median

from agents.bench_file import kept_bench
from agents.bench_record import this_machine
from agents.instruments.own_loop import QUANTITIES, OwnLoop
from agents.instruments.stall import StallMeter
from agents.version import instruments_version
from lab_inventory.characterisation import (
    Characterisation,
    Load,
    characterised,
    require_enough,
)
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.errors import AssayError, BadInput, Unavailable
from lab_inventory.lab import Bench, read_lab
from lab_inventory.noun import host_and_port

BETWEEN_S = 0.01
METHOD = (
    "In each run the bench calls itself at the address of its slots, and one of its endpoints does what the other "
    "measures: truths are drawn anew, errors are measured minus truth. U = |mean| + 2 s sqrt(1 + 1/n): k = 2, about "
    "95 %; the mean is not taken off what is measured, so it counts as a whole (GUM, JCGM 100:2008, 6.2, F.2.4.5)."
)

Say = Callable[[str], None]


async def characterise(bench: Bench, host: str, runs: int, clock: Clock, say: Say) -> Characterisation:
    """Run the loop so many times. Raises BadInput for too few runs, Unavailable where the loop itself breaks."""
    require_enough(runs)
    registrars = [slot.registrar for slot in bench.slots if slot.registrar]
    if not registrars:
        raise BadInput(
            f"bench {bench.name} has no slot with a registrar; expected one, for the loop is one of SIP and RTP"
        )
    address = host_and_port(registrars[0])[0]
    errors: dict[str, list[float]] = {quantity: [] for quantity in QUANTITIES}
    lateness_ms: list[float] = []
    began_s, before = clock.boottime_s(), os.getloadavg()[0]
    meter = StallMeter()
    meter.start()
    try:
        with OwnLoop(address, clock) as loop:
            for number in range(runs):
                await asyncio.sleep(BETWEEN_S)
                since_ns = boottime_ns()
                try:
                    found = await loop.run(number)
                except AssayError as error:
                    raise Unavailable(f"run {number + 1} of {runs} broke, so there is no record: {error}") from error
                lateness_ms.append(meter.lateness_ms(since_ns, boottime_ns()))
                for quantity, of_quantity in errors.items():
                    of_quantity.append(found[quantity])
                if (number + 1) % 10 == 0:
                    say(f"{number + 1} of {runs} runs")
    finally:
        meter.stop()
    return Characterisation(
        record=clock.new_id("cha"),
        at=clock.now(),
        bench=bench.name,
        host=host,
        node=this_machine(),
        kernel=f"{platform.system()} {platform.release()}",
        machine=platform.machine() or "unknown",
        processors=os.cpu_count() or 1,
        software=instruments_version(),
        instruments=(bench.instruments[0].name,),
        runs=runs,
        took_s=clock.boottime_s() - began_s,
        load=Load(
            before=before,
            after=os.getloadavg()[0],
            lateness_ms_median=median(lateness_ms),
            lateness_ms_max=max(lateness_ms),
        ),
        method=METHOD,
        quantities=tuple(
            characterised(quantity, unit, truth, errors[quantity]) for quantity, (unit, truth) in QUANTITIES.items()
        ),
    )


def bench_to_characterise(work: Path, host: str, lab: Path | None, name: str | None) -> Bench:
    """The bench of that name of this host: of a lab file, or as the orchestrator told it. Raises BadInput."""
    known = read_lab(lab).host(host) if lab is not None else kept_bench(work)
    if known is None or known.name != host:
        where = f"{lab} has no host {host}" if lab is not None else f"nobody has told this agent its bench yet ({work})"
        raise BadInput(f"{where}; expected --lab FILE with this host, or an agent that has served once")
    names = ", ".join(bench.name for bench in known.benches)
    if name is None and len(known.benches) > 1:
        raise BadInput(f"host {host} has several benches; expected the name of one of {names}")
    found = next((bench for bench in known.benches if name in (None, bench.name)), None)
    if found is None:
        raise BadInput(f"host {host} has no bench {name}; expected one of {names}")
    return found


def in_words(record: Characterisation) -> list[str]:
    """A record as lines for people."""
    lines = [
        f"{record.record}: bench {record.bench} of {record.host} ({record.node}, {record.kernel}), {record.runs} runs "
        f"in {record.took_s:.1f} s, instruments {record.software}",
        f"load {record.load.before:.2f} before, {record.load.after:.2f} after; the bench's own loop was late by "
        f"{record.load.lateness_ms_median:.2f} ms (median), {record.load.lateness_ms_max:.2f} ms at worst",
    ]
    lines += [
        f"  {one.quantity:<20} {one.unit:<6} n {one.n:>4}  mean error {one.mean_error:>+10.4f}  sd {one.sd:>9.4f}  "
        f"U (k=2) {one.uncertainty:>9.4f}"
        for one in record.quantities
    ]
    return lines
