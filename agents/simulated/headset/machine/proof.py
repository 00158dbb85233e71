"""From end to end: builds and starts the machine, plugs the virtual headset in, and looks at it from inside.

``python -m agents.simulated.headset.machine.proof [FOLDER]`` prints one JSON line for each thing that was seen.
Status 0: all of it; 1: something was not; 2: the machine could not be built or started.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from agents.simulated.headset.machine.lab_machine import LabMachine, MachineFailed, built_image
from agents.simulated.headset.program import BUSID, VirtualHeadset

ANY_PORT = ("127.0.0.1", 0)
GUEST = "agents.simulated.headset.machine.guest"
CYCLES = 3


async def prove(image: Path, console: Path) -> bool:
    """Whether Linux sees the headset, the loop is exact, a press is read, lamps shine and it can be plugged again."""
    headset = VirtualHeadset("VH0001")
    addresses = await headset.open(ANY_PORT, ANY_PORT, None)
    try:
        async with LabMachine(image, console) as machine:
            _print({"saw": "machine", "boot_s": round(machine.boot_s, 1)})
            loop = asyncio.get_running_loop()
            began = loop.time()
            await machine.attach(addresses.usbip[1], BUSID)

            def heard(line: str) -> None:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
                if line == json.dumps({"ask": "hook"}):
                    headset.device.press("hook")

            status, _ = await machine.python(f"{GUEST}.look", on_line=heard)
            ms, stops = headset.stretch()
            lamps = headset.device.keys.lamps
            _print({"saw": "bus", "stretch_ms": round(ms, 1), "stops": stops, "run_s": round(loop.time() - began, 1)})
            _print({"saw": "lamps", **lamps})
            lit = lamps == {"off-hook": False, "mute": True, "ring": True, "hold": False}
            came_back = [await _plug_cycle(machine, headset, addresses.usbip[1]) for _ in range(CYCLES)]
            return status == 0 and lit and all(came_back)
    finally:
        await headset.close()


async def _plug_cycle(machine: LabMachine, headset: VirtualHeadset, port: int) -> bool:
    """Whether udev lets go of the headset when it is unplugged, and has it whole again after it is plugged in."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    headset.device.unplug()
    gone, said = await machine.python(f"{GUEST}.presence", "gone")
    left = loop.time()
    headset.device.plug()
    await machine.attach(port, BUSID)
    there, said_again = await machine.python(f"{GUEST}.presence", "there")
    within = {"gone_within_s": round(left - began, 2), "there_within_s": round(loop.time() - left, 2)}
    _print({"saw": "cycle", **within, "said": said + said_again})
    return gone == there == 0


async def _main(folder: Path) -> int:
    try:
        image = await built_image(folder)
        with tempfile.TemporaryDirectory() as kept:
            return 0 if await prove(image, Path(kept) / "console") else 1
    except MachineFailed as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _print(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/lab-vm"))))
