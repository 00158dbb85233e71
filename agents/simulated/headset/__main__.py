"""Runs one virtual headset until SIGTERM or the end of its parent; one JSON line tells where it listens."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from agents.simulated.headset.defects import behaviour_with
from agents.simulated.headset.program import VirtualHeadset
from agents.simulated.parent import die_with_parent
from lab_inventory.errors import AssayError, BadInput
from lab_inventory.noun import host_and_port


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The virtual USB headset.")
    parser.add_argument("--usbip", default="127.0.0.1:0", help="HOST:PORT to listen on for USB/IP; port 0: a free one")
    parser.add_argument("--bench", default="127.0.0.1:0", help="HOST:PORT to listen on for keys, lamps and coupler")
    parser.add_argument("--control", type=Path, help="the socket file where defects are switched")
    parser.add_argument("--serial", default="VH0001")
    parser.add_argument("--defect", action="append", default=[], help="SLUG, or SLUG=SIZE; may be given again")
    return parser.parse_args()


def _defect(text: str) -> tuple[str, float]:
    slug, _, size = text.partition("=")
    try:
        return slug, float(size or 1)
    except ValueError:
        raise BadInput(f"the size of {slug} is {size!r}; expected a number") from None


async def _run(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    headset = VirtualHeadset(options.serial)
    headset.device.behaviour = behaviour_with(dict(map(_defect, options.defect)))
    places = await headset.open(host_and_port(options.usbip), host_and_port(options.bench), options.control)
    try:
        told = {"usbip": places.usbip, "bench": places.bench, "pid": os.getpid()}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await headset.close()
        if options.control is not None:
            options.control.unlink(missing_ok=True)


def _main() -> int:
    die_with_parent()
    try:
        asyncio.run(_run(_options()))
    except (AssayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


sys.exit(_main())
