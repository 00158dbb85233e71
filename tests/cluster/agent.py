"""``assay-agent serve`` at hosts that have a device that writes down every key, and perhaps a real phone beside it.

python -m tests.cluster.agent --scale 0.15     (settings from the environment, as the product's)
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from agents.drivers import installed_drivers
from agents.logs import JsonLog
from agents.probes.sip import SipProbe
from agents.serve import serve
from agents.settings import read_settings
from lab_inventory.clock import SystemClock
from tests.faults.suite import WitnessDriver

ROOT = Path(__file__).parents[2]


async def main(scale: float) -> None:
    clock, stop = SystemClock(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(
        read_settings(),
        clock,
        JsonLog(clock),
        stop=stop,
        drivers={**installed_drivers(), WitnessDriver.name: WitnessDriver},
        probe_for=SipProbe,
        # The environment of a run is clean: where its code is, is named here.
        command=("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.cluster.run", "--scale", str(scale)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, required=True)
    asyncio.run(main(parser.parse_args().scale))
