"""Plugs a virtual headset in and out, and takes the time until the orchestrator has it registered, and misses it.

``python -m tests.benchmarks.plug_cycles [--cycles N]``: real server, real agent in the virtual machine; the clock
starts with the hand at the plug and stops when the API tells of it. Prints JSON lines with median, 99th percentile and
longest, in seconds. Status 0: it was registered as the same unit each time, and both medians are below five seconds;
1: not so; 2: the machine could not be had. In an emulated machine these times are those of a slow host: upper bounds.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from lab_inventory.clock import SystemClock
from tests.headset.usb_lab import UsbLab, until

TARGET_S = 5.0
GIVES_UP_S = 60.0
TOLD_EVERY = 10


def cycles(lab: UsbLab, count: int) -> tuple[list[float], list[float]]:
    """Seconds to being registered and to being missed, one each for each cycle; TimeoutError where one never came."""
    clock = SystemClock()
    slot = lab.slots[0]
    unit = lab.present()[slot]["device"]
    registered, missed = [], []
    for number in range(1, count + 1):
        began_s = clock.boottime_s()
        lab.bench(slot, "unplug")
        until(f"the headset is missed in cycle {number}", lambda: slot not in lab.present(), GIVES_UP_S)
        missed.append(clock.boottime_s() - began_s)
        began_s = clock.boottime_s()
        lab.bench(slot, "plug")
        until(
            f"the same headset is registered in cycle {number}",
            lambda: lab.present().get(slot, {}).get("device") == unit,
            GIVES_UP_S,
        )
        registered.append(clock.boottime_s() - began_s)
        if number % TOLD_EVERY == 0:
            _print({"cycles": number, "registered_s": round(registered[-1], 2), "missed_s": round(missed[-1], 2)})
    return registered, missed


def figures(name: str, seconds: Sequence[float]) -> dict[str, object]:
    """Median, 99th percentile (nearest rank) and the longest."""
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return round(ordered[max(0, ceil(share * len(ordered)) - 1)], 2)

    return {"name": name, "count": len(ordered), "median_s": rank(0.5), "p99_s": rank(0.99), "longest_s": rank(1.0)}


def main() -> int:
    """Start the lab, cycle, print."""
    parser = argparse.ArgumentParser(description="Plug cycles of a virtual headset.")
    parser.add_argument("--cycles", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        lab = UsbLab(Path(work), headsets=1)
        try:
            lab.start()
            registered, missed = cycles(lab, options.cycles)
        except TimeoutError as error:
            sys.stderr.write(f"{error}\n{lab.said('machine') if lab.log('machine').exists() else ''}\n")
            return 2 if "is registered" in str(error) and "cycle" not in str(error) else 1
        finally:
            lab.stop()
    _print(figures("from plug to registered", registered))
    _print(figures("from unplug to missed", missed))
    return 0 if all(sorted(one)[len(one) // 2] < TARGET_S for one in (registered, missed)) else 1


def _print(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
