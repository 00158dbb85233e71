"""The faults, each injected from outside into a run that goes on, with a word on whether it really struck.

A fault is entered before the run begins and gets the bed; what it must do in the middle of the run it does beside it.
"""

import asyncio
import os
import random  # noqa: TID251 - when a fault strikes is drawn from a seed
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lab_inventory.noun import host_and_port
from tests.bench_faults.bed import PYTHON, Bed

STEPPED_RUN = Path(__file__).with_name("stepped_run.py")
HOG = """
import os, time
try: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
except PermissionError: os.nice(-15) if os.geteuid() == 0 else None
while True:
    end = time.monotonic() + 0.4
    while time.monotonic() < end: pass
    time.sleep(0.9)
"""
FLOOD_BYTES = 1200
FLOOD_DATAGRAMS = 6000


@dataclass
class Struck:
    """How often a fault struck in a run, and the task that makes it strike."""

    times: int = 0
    task: asyncio.Task[None] | None = field(default=None)


Fault = Callable[[Bed, random.Random], AbstractAsyncContextManager[Struck]]


def running(bed: Bed) -> psutil.Process | None:
    """The run's process, while it lives."""
    if bed.process is None or bed.process.poll() is not None:
        return None
    return psutil.Process(bed.process.pid)


@asynccontextmanager
async def _beside(strike: Callable[[Struck], "asyncio.Future[None]"]) -> AsyncIterator[Struck]:
    struck = Struck()
    struck.task = asyncio.ensure_future(strike(struck))  # type: ignore[assignment]
    try:
        yield struck
    finally:
        struck.task.cancel()
        await asyncio.gather(struck.task, return_exceptions=True)


@asynccontextmanager
async def starved_cpu(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """Busy processes that go before anything of the lab, in bursts on every processor, all through the run."""
    hogs: list[asyncio.subprocess.Process] = []

    async def strike(struck: Struck) -> None:
        await asyncio.sleep(chance.uniform(0.0, 15.0))
        for _ in range(os.cpu_count() or 1):
            hogs.append(await asyncio.create_subprocess_exec(PYTHON, "-c", HOG))
            struck.times += 1

    try:
        async with _beside(strike) as struck:  # type: ignore[arg-type]
            yield struck
    finally:
        for hog in hogs:
            hog.kill()
            await hog.wait()


@asynccontextmanager
async def stalling_sender(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """The process that sends and listens is stopped for half a second, again and again."""

    async def strike(struck: Struck) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.5, 3.0))
            process = running(bed)
            if process is None:
                continue
            process.suspend()
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            process.resume()
            struck.times += 1

    async with _beside(strike) as struck:  # type: ignore[arg-type]
        yield struck


@asynccontextmanager
async def capture_dropped(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """The kernel has to drop datagrams of the bench's audio: it is stopped while more comes than its buffer holds."""

    async def strike(struck: Struck) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.3, 1.0))
            process = running(bed)
            ports = [] if process is None else _audio_ports(process, bed)
            if process is None or not ports:
                continue
            process.suspend()
            await asyncio.to_thread(_flood, ports[0])
            dropped = _dropped(ports[0])
            process.resume()
            struck.times += dropped > 0

    async with _beside(strike) as struck:  # type: ignore[arg-type]
        yield struck


def _audio_ports(process: psutil.Process, bed: Bed) -> list[int]:
    """The even UDP ports of the run's process beside its registrar's: where it hears a call."""
    registrar = host_and_port(bed.slot.registrar)[1]
    try:
        sockets = process.net_connections("udp4")
    except psutil.Error:
        return []
    return [s.laddr.port for s in sockets if s.laddr.port != registrar and s.laddr.port % 2 == 0]


def _flood(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(FLOOD_DATAGRAMS):
            sender.sendto(bytes(FLOOD_BYTES), ("127.0.0.1", port))


def _dropped(port: int) -> int:
    """What the kernel dropped at a UDP port, as it counts it itself (proc(5), /proc/net/udp)."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[1].split(":")[1], 16) == port:
            return int(words[-1])
    return 0


@asynccontextmanager
async def stepped_clock(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """The wall clock of the run's process is set, by seconds or hours, forth and back; its other clocks are not."""
    told = bed.folder / "step"
    told.write_text("0")
    bed.command = (PYTHON, "-P", str(STEPPED_RUN), str(told))

    async def strike(struck: Struck) -> None:
        while True:
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            if running(bed) is None:
                continue
            draft = bed.folder / "step.draft"
            draft.write_text(str(chance.choice([-7200.0, -3.0, -0.05, 0.05, 2.0, 3600.0, 0.0])))
            draft.rename(told)
            struck.times += 1

    async with _beside(strike) as struck:  # type: ignore[arg-type]
        yield struck


async def _do(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


@asynccontextmanager
async def full_disk(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """Runs are kept on a file system of their own, which fills up in the middle of the run."""
    await _do("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(bed.runs))

    async def strike(struck: Struck) -> None:
        while running(bed) is None:
            await asyncio.sleep(0.1)
        await asyncio.sleep(chance.uniform(1.0, 15.0))
        with (bed.runs / ".ballast").open("wb") as ballast:
            left = shutil.disk_usage(bed.runs).free - chance.choice([0, 4096, 30_000])
            os.posix_fallocate(ballast.fileno(), 0, left)
        struck.times += 1

    try:
        async with _beside(strike) as struck:  # type: ignore[arg-type]
            yield struck
    finally:
        await _do("umount", "-l", str(bed.runs))


@asynccontextmanager
async def dead_driver(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """The way to the phone's control port dies in the middle of the run: it hangs, or closes and takes nothing more."""
    way = _Way(bed.control_of_phone)
    bed.control = await way.open()
    hangs = chance.random() < 0.5

    async def strike(struck: Struck) -> None:
        while running(bed) is None:
            await asyncio.sleep(0.1)
        await asyncio.sleep(chance.uniform(3.0, 15.0))
        if hangs:
            way.hang()
        else:
            await way.close()
        struck.times += 1

    try:
        async with _beside(strike) as struck:  # type: ignore[arg-type]
            yield struck
    finally:
        await way.close()


class _Way:
    """What stands between a driver and its phone's control port, and lets everything through until it does not."""

    def __init__(self, target: str) -> None:
        self._target = host_and_port(target)
        self._through = asyncio.Event()
        self._through.set()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, far_writer]
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(4096):
                await self._through.wait()
                target.write(data)
                await target.drain()
        except OSError:
            return

    def hang(self) -> None:
        self._through.clear()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def taken_registrar(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """Another program takes the slot's address between the agent and the run."""
    struck = Struck()
    prepare = bed.prepare
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def and_lose_the_address():  # type: ignore[no-untyped-def]
        directory = prepare()
        other.bind(host_and_port(bed.slot.registrar))
        struck.times += 1
        return directory

    bed.prepare = and_lose_the_address  # type: ignore[method-assign]
    try:
        yield struck
    finally:
        other.close()


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@asynccontextmanager
async def paused_phone_host(bed: Bed, chance: random.Random) -> AsyncIterator[Struck]:
    """Everything of the lab stands still for a moment, again and again: the phone's program, the run's process and all
    that it started, as on a machine that is stopped by what it runs on.
    """

    async def strike(struck: Struck) -> None:
        while True:
            await asyncio.sleep(chance.uniform(1.0, 3.0))
            process = running(bed)
            if process is None:
                continue
            standing = [bed.phone_pid, process.pid, *(child.pid for child in process.children())]
            for pid in standing:
                _signal(pid, signal.SIGSTOP)
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            for pid in standing:
                _signal(pid, signal.SIGCONT)
            struck.times += 1

    try:
        async with _beside(strike) as struck:  # type: ignore[arg-type]
            yield struck
    finally:
        _signal(bed.phone_pid, signal.SIGCONT)


FAULTS: Mapping[str, Fault] = {
    "starved CPU": starved_cpu,
    "stalling sender": stalling_sender,
    "host stands still": paused_phone_host,
    "capture dropped": capture_dropped,
    "clock stepped": stepped_clock,
    "disk full": full_disk,
    "driver dead": dead_driver,
    "registrar port taken": taken_registrar,
}
