"""``assay-agent serve`` with the driver and the suite of the witness put in where drivers and suites are put in.

python -m tests.faults.agent --scale 0.05 [--planted]     (settings from the environment, as the product's)
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from agents.logs import JsonLog
from agents.probes.sip import SipProbe
from agents.serve import serve
from agents.settings import read_settings
from lab_inventory.clock import SystemClock
from tests.faults import planted
from tests.faults.suite import WitnessDriver

ROOT = Path(__file__).parents[2]
CLOCK_VARIABLES = ("LD_PRELOAD", "ASSAY_FAULTS_CLOCK")


def run_command(scale: float, *, planted_bug: bool) -> tuple[str, ...]:
    """What starts a run. Its environment is clean, so what moves its wall clock is named here."""
    kept = [f"{name}={os.environ[name]}" for name in CLOCK_VARIABLES if name in os.environ]
    command = ["env", f"PYTHONPATH={ROOT}", *kept, sys.executable, "-m", "tests.faults.run", "--scale", str(scale)]
    return (*command, "--planted") if planted_bug else tuple(command)


async def main(scale: float, *, planted_bug: bool) -> None:
    clock, stop = SystemClock(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(
        read_settings(),
        clock,
        JsonLog(clock),
        stop=stop,
        drivers={WitnessDriver.name: WitnessDriver},
        probe_for=SipProbe,
        command=run_command(scale, planted_bug=planted_bug),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, required=True)
    parser.add_argument("--planted", action="store_true")
    options = parser.parse_args()
    if options.planted:
        planted.in_an_agent()
    asyncio.run(main(options.scale, planted_bug=options.planted))
