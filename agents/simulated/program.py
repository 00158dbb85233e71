"""What the phone programs of this machine have in common: waited for until they answer, and stopped by process."""

import asyncio
import signal
from contextlib import suppress

from lab_inventory.noun import host_and_port


async def answers_at(process: asyncio.subprocess.Process, control: str) -> bool:
    """Wait until the program takes a connection at its control port; False where it ended before that."""
    host, port = host_and_port(control)
    while process.returncode is None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.05)
    return False


async def stop_process(process: asyncio.subprocess.Process | None, *, within_s: float) -> None:
    """Ask it to end, and end it where it does not; nothing where it has ended."""
    if process is None or process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()
