"""Carries out runs on a headset for a scoring, one after the other, and is told nothing of any defect.

``python -m agents.score.headset_worker HOST PORT [RUNS]``, on the scoring machine or inside a virtual machine. One JSON
object a line: ``{"see": SLOT}`` is answered with what the unit in the slot says of itself, as an agent's probe sees
it; ``{"run": ASSIGNMENT}`` with how each case ended. A run goes the way of every run: directory, lease, spool, end.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from agents.instruments.usb.naming import described, firmware
from agents.lease_guard import HeldLease
from agents.logs import JsonLog
from agents.run import Run
from agents.run_directory import create_run_directory
from agents.spool import REPORTS_MAX, Spool
from agents.suites import suite_for
from agents.suites.usb_headset import port_of
from agents.suites.usb_headset.bench import APPEARS_S
from agents.suites.usb_headset.suite import identity
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError
from lab_inventory.lab import Slot
from lab_inventory.messages import Assignment, CaseEnded, Ended

LINE_BYTES_MAX = 1 << 24
SPOOL_BYTES = 1 << 30


async def serve(host: str, port: int, runs: Path) -> None:
    """Serve until the other side hangs up, with a folder in ``runs`` for each run; raises OSError where it cannot."""
    reader, writer = await asyncio.open_connection(host, port, limit=LINE_BYTES_MAX)
    number = 0
    while line := await reader.readline():
        number += 1
        folder = runs / f"{number:04d}"
        try:
            said = await _answer(json.loads(line), folder)
        except (AssayError, OSError) as error:
            said = {"failed": str(error)}
        writer.write(json.dumps(said).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _answer(order: dict[str, Any], folder: Path) -> dict[str, Any]:
    if "see" in order:
        return await _see(Slot.model_validate(order["see"]))
    return await _run(Assignment.model_validate(order["run"]), folder)


async def _see(slot: Slot) -> dict[str, Any]:
    port = port_of(slot)
    try:
        if await port.appear(APPEARS_S, whole=False) is None:
            return {"failed": f"no headset can be used within {APPEARS_S:g} s"}
        told = await identity(port)
        return {"said": described(told), "firmware": firmware(told), "maker": told.maker, "model": told.product}
    finally:
        await port.close()


async def _run(assignment: Assignment, folder: Path) -> dict[str, Any]:
    """How the run's cases ended; their evidence stays in the directory."""
    clock = SystemClock()
    await asyncio.to_thread(folder.mkdir, parents=True)
    now_s = clock.boottime_s()
    deadline_s = assignment.deadline_s
    lease = HeldLease(renewed_at_s=now_s, ttl_s=2 * deadline_s, deadline_at_s=now_s + deadline_s)
    directory = create_run_directory(folder, assignment, lease, clock)
    await Run(directory, clock, JsonLog(clock), find_suite=suite_for).carry_out()
    spool = Spool(directory.spool_path, clock)
    try:
        bodies = [report.body for report in spool.unacknowledged(REPORTS_MAX, bytes_max=SPOOL_BYTES)]
    finally:
        spool.close()
    last = next((body for body in bodies if isinstance(body, Ended)), None)
    return {
        "outcome": str(last.outcome) if last else "",
        "reason": last.reason if last else "the run has no end",
        "cases": [body.model_dump(mode="json") for body in bodies if isinstance(body, CaseEnded)],
    }


def main(host: str, port: int, runs: str | None = None) -> None:
    """Serve; without a folder for the runs they are left in one that is thrown away."""
    if runs is not None:
        asyncio.run(serve(host, port, Path(runs)))
        return
    with tempfile.TemporaryDirectory(prefix="headset-runs-") as folder:
        asyncio.run(serve(host, port, Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4])
