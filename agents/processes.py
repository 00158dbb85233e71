"""Operating-system processes that are not lost sight of: known by id, start and boot, never by id alone.

Takes process ids; gives whether that very process lives, and waits for its end by event, child or not.
"""

import asyncio
import os
import signal
from pathlib import Path

from lab_inventory.noun import Label, Noun


class ProcessMark(Noun):
    """One process, told apart from a later one with the same id.

    ``start_ticks`` is field 22 of /proc/<pid>/stat (clock ticks since boot), ``boot`` the kernel's boot id.
    """

    pid: int
    start_ticks: int
    boot: Label

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return mark_of(self.pid) == self

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False where it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    async def ended(self) -> None:
        """Wait until this very process has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return
        try:
            # The descriptor is bound to whatever has the id now; only then is it safe to ask who that is.
            if self.is_alive():
                await _readable(descriptor)
        finally:
            os.close(descriptor)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    loop.add_reader(descriptor, seen.set)
    try:
        await seen.wait()
    finally:
        loop.remove_reader(descriptor)


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of the process that has this id now, or None where there is none or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything, spaces and parentheses too: what counts follows the last one.
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in {"Z", "X"}:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ProcessMark(pid=pid, start_ticks=int(fields[19]), boot=boot)
