"""Where a headset with a seeded defect is run: over raw USB/IP on this machine, or in the lab's virtual machine.

The headset is a program of its own; its defects are switched by its control socket, which nothing in a run can reach.
"""

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agents.measure import LabError
from agents.score.headset_worker import LINE_BYTES_MAX
from agents.simulated.headset.machine.lab_machine import HOST_SEEN_FROM_INSIDE, LabMachine
from agents.simulated.headset.program import BUSID
from agents.simulated.program import stop_process
from agents.suites.usb_headset import USBIP
from lab_inventory.lab import Account, Slot, UnitLabel

HERE = "127.0.0.1"
STOP_S = 5.0
START_S = 150.0
SEE_S = 60.0
_GUEST = "agents.simulated.headset.machine.guest"


class Tier(StrEnum):
    """On what a row of the score was run."""

    USBIP = "usbip"
    VIRTUAL_MACHINE = "virtual-machine"


@dataclass(frozen=True, kw_only=True)
class HeadsetProgram:
    """A virtual headset that runs: where it offers itself, where the bench is, and its hidden switch."""

    usbip: tuple[str, int]
    bench: tuple[str, int]
    control: Path

    async def switch(self, sizes: Mapping[str, float]) -> None:
        """Have exactly these defects from now on, unplugged and plugged in again so that a host sees all of it."""
        reader, writer = await asyncio.open_unix_connection(str(self.control))
        try:
            orders: tuple[dict[str, object], ...] = (
                {"do": "unplug"}, {"do": "defects", "sizes": dict(sizes)}, {"do": "plug"},
            )  # fmt: skip
            for order in orders:
                writer.write(json.dumps(order).encode() + b"\n")
                said = json.loads(await reader.readline() or b"{}")
                if not said.get("ok"):
                    raise LabError(f"the virtual headset refused {order['do']}: {said.get('why')}")
        finally:
            writer.close()


@asynccontextmanager
async def headset_program(folder: Path) -> AsyncIterator[HeadsetProgram]:
    """A healthy virtual headset, a process of its own, while this is open. Raises LabError where it does not start."""
    control = folder / "headset.sock"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "agents.simulated.headset", "--control", str(control),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, cwd=_ROOT,
    )  # fmt: skip
    try:
        told = await asyncio.wait_for(process.stdout.readline(), START_S) if process.stdout else b""
        if not told:
            raise LabError("the virtual headset did not start")
        said = json.loads(told)
        usbip, bench = (tuple(said[name]) for name in ("usbip", "bench"))
        yield HeadsetProgram(usbip=(usbip[0], usbip[1]), bench=(bench[0], bench[1]), control=control)
    finally:
        await stop_process(process, within_s=STOP_S)


class Worker:
    """The other end of a connection from ``agents.score.headset_worker``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, order: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Ask it; raises LabError where it fails or does not answer in time."""
        self._writer.write(json.dumps(order).encode() + b"\n")
        try:
            line = await asyncio.wait_for(self._reader.readline(), timeout_s)
        except TimeoutError:
            raise LabError(f"the worker did not answer within {timeout_s:g} s") from None
        said: dict[str, Any] = json.loads(line or b'{"failed": "the worker is gone"}')
        if "failed" in said:
            raise LabError(str(said["failed"]))
        return said

    def close(self) -> None:
        """Let it end."""
        self._writer.close()


@asynccontextmanager
async def _door() -> AsyncIterator[tuple[int, "asyncio.Future[Worker]"]]:
    """A port where one worker is awaited."""
    came: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if came.done():
            writer.close()
        else:
            came.set_result(Worker(reader, writer))

    server = await asyncio.start_server(connected, HERE, 0, limit=LINE_BYTES_MAX)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        if came.done() and not came.cancelled():
            came.result().close()
        server.close()
        await server.wait_closed()


@dataclass(frozen=True, kw_only=True)
class Place:
    """One headset with one worker. ``slot``: as the worker is told where the headset is."""

    tier: Tier
    headset: HeadsetProgram
    worker: Worker
    slot: Slot


@asynccontextmanager
async def usbip_place(folder: Path, runs: Path) -> AsyncIterator[Place]:
    """A headset and a worker on this machine, with raw USB/IP between them; its runs are kept in ``runs``."""
    async with headset_program(folder) as headset, _door() as (port, came):
        log = (folder / "worker.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "agents.score.headset_worker", HERE, str(port), str(runs),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=_ROOT,
        )  # fmt: skip
        log.close()
        try:
            worker = await asyncio.wait_for(came, START_S)
            slot = _slot(headset, host=HERE, driver=USBIP)
            yield Place(tier=Tier.USBIP, headset=headset, worker=worker, slot=slot)
        except TimeoutError:
            raise LabError(f"the worker did not come up within {START_S:g} s") from None
        finally:
            await stop_process(process, within_s=STOP_S)


@asynccontextmanager
async def machine_place(machine: LabMachine, folder: Path) -> AsyncIterator[Place]:
    """A headset on this machine that is plugged into the virtual one, and a worker in there.

    Raises LabError where the worker does not come up. The worker and the cable end with the machine.
    """
    async with headset_program(folder) as headset, _door() as (port, came):
        cable = f"{_GUEST}.cable {HOST_SEEN_FROM_INSIDE} {headset.usbip[1]} {BUSID}"
        worker_of = f"agents.score.headset_worker {HOST_SEEN_FROM_INSIDE} {port}"
        for program in (cable, worker_of):
            name = shlex.quote(f"/tmp/{program.split()[0]}.log")  # noqa: S108 - in a machine of its own
            await machine.run("bash", "-c", f"exec setsid python3 -u -m {program} >{name} 2>&1 </dev/null &")
        try:
            worker = await asyncio.wait_for(came, START_S)
        except TimeoutError:
            raise LabError(f"the worker in the virtual machine did not come up within {START_S:g} s") from None
        slot = _slot(headset, host=HOST_SEEN_FROM_INSIDE, driver=None)
        yield Place(tier=Tier.VIRTUAL_MACHINE, headset=headset, worker=worker, slot=slot)


def _slot(headset: HeadsetProgram, *, host: str, driver: str | None) -> Slot:
    return Slot(
        name="slot-headset",
        category="usb-headset",
        registrar=f"{host}:{headset.usbip[1]}",
        account=Account.model_validate({"user": "headset", "password": "none"}),
        control=f"{host}:{headset.bench[1]}",
        driver=driver,
        unit=UnitLabel(hardware_revision="A", mode="usb"),
    )


_ROOT = Path(__file__).parents[2]
