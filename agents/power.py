"""Power: takes the power of a slot's port away and gives it back, by way of the host's own power program.

What switches power differs from lab to lab (a switch that feeds phones over Ethernet, a USB hub, a rack socket), so it
is a program that the host's administrator names, called as ``PROGRAM off PORT`` and ``PROGRAM on PORT``. The lab file
names the port and nothing else: it can not name a program, and no shell reads what it says.
"""

import asyncio
import signal
from pathlib import Path

from agents.measure import LabError
from agents.words import as_text, describe

POWER_VARIABLE = "ASSAY_AGENT_POWER_PROGRAM"
SWITCH_TIMEOUT_S = 30.0
_SAID_MAX = 300


async def cycle_power(program: Path, port: str, *, off_s: float) -> None:
    """Take the power away for ``off_s`` seconds. Raises LabError where the program says that it could not.

    Power that could not be taken away is given back all the same: nobody knows what the program did.
    """
    try:
        await switch(program, "off", port)
        await asyncio.sleep(off_s)
    finally:
        await switch(program, "on", port)


async def switch(program: Path, state: str, port: str) -> None:
    """Switch a port ``on`` or ``off``. Raises LabError where the program says that it could not."""
    what = f"the power program could not switch port {port} {state}"
    try:
        process = await asyncio.create_subprocess_exec(
            str(program),
            state,
            port,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise LabError(f"{what}: {describe(error)}") from error
    try:
        async with asyncio.timeout(SWITCH_TIMEOUT_S):
            said, _ = await process.communicate()
    except TimeoutError as error:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        raise LabError(f"{what}: it did not end within {SWITCH_TIMEOUT_S:g} s") from error
    if process.returncode != 0:
        words = as_text(said.decode(errors="replace").strip())[:_SAID_MAX]
        raise LabError(f"{what}: it ended with {process.returncode}" + (f": {words}" if words else ""))
