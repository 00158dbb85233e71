"""Starts the lab's virtual machine (QEMU, software emulation suffices) and runs programs in it. Ends what it started.

The machine sees the code of this checkout and the Python packages beside it by 9p, read-only. It reaches the host's
loopback as 10.0.2.2 and nothing else is given to it.
"""

import asyncio
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from agents.simulated.parent import die_with_parent
from lab_inventory.errors import AssayError

START_S = 300.0
RUN_S = 120.0
END_S = 15.0
MEMORY_MIB = 384
CODE = Path(__file__).parents[4]
HOST_SEEN_FROM_INSIDE = "10.0.2.2"
_GUEST = "agents.simulated.headset.machine.guest"
_LINE_BYTES_MAX = 1 << 20
_OUTPUT_LINES_MAX = 10_000


class MachineFailed(AssayError):
    """The virtual machine did not do what it was asked"""

    slug = "lab-machine-failed"


class LabMachine:
    """One virtual machine; ``async with`` starts and ends it. ``image`` is a folder that ``build.sh`` made.

    ``console`` is a file that keeps what the kernel and the start say. ``forwards``: ports of this host's loopback,
    each with the port of the machine that it leads to.
    """

    def __init__(
        self,
        image: Path,
        console: Path,
        *,
        forwards: Mapping[int, int] = MappingProxyType({}),
        memory_mib: int = MEMORY_MIB,
    ) -> None:
        self._image = image
        self._console = console
        self._forwards = dict(forwards)
        self._memory_mib = memory_mib
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._line: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None = None
        self._stuck = False
        self.boot_s = 0.0

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def run(
        self, *program: str, on_line: Callable[[str], None] | None = None, timeout_s: float | None = RUN_S
    ) -> tuple[int, list[str]]:
        """Run a program in the machine: its status and its lines; ``on_line`` is called with each as it comes.

        Whoever gives it up before its end can use the machine no more.
        """
        lines: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                await self._say({"run": list(program)})
                while "exit" not in (heard := await self._hear()):
                    if len(lines) < _OUTPUT_LINES_MAX:
                        lines.append(heard["out"])
                    if on_line is not None:
                        on_line(heard["out"])
        except TimeoutError:
            self._stuck = True
            raise MachineFailed(f"{program[0]} did not end within {timeout_s:g} s; last: {lines[-3:]}") from None
        except asyncio.CancelledError:
            self._stuck = True
            raise
        return int(heard["exit"]), lines

    async def start(self, *program: str, output: str) -> int:
        """Start a program in the machine that goes on beside others; its output goes to a file there. Gives its pid."""
        status, said = await self.run("sh", "-c", f'"$@" >{output} 2>&1 </dev/null & echo $!', "sh", *program)
        if status or not said:
            raise MachineFailed(f"{program[0]} could not be started: {' '.join(said)}")
        return int(said[0])

    async def python(
        self, module: str, *arguments: str, on_line: Callable[[str], None] | None = None
    ) -> tuple[int, list[str]]:
        """Run a module of this checkout in the machine's Python."""
        return await self.run("python3", "-u", "-m", module, *arguments, on_line=on_line)

    async def attach(self, usbip_port: int, busid: str) -> None:
        """Plug the device that a USB/IP server on this host's loopback offers into the machine's kernel."""
        status, said = await self.python(f"{_GUEST}.attach", HOST_SEEN_FROM_INSIDE, str(usbip_port), busid)
        if status:
            raise MachineFailed(" ".join(said))

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        began, line = loop.time(), loop.create_future()
        self._line = line

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if line.done():
                writer.close()
            else:
                line.set_result((reader, writer))

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_LINE_BYTES_MAX)
        port = self._server.sockets[0].getsockname()[1]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(port), stdin=asyncio.subprocess.DEVNULL, preexec_fn=die_with_parent
            )
        except OSError as error:
            raise MachineFailed(f"qemu-system-x86_64 does not start: {error}") from None
        ended = asyncio.ensure_future(self._process.wait())
        await asyncio.wait({ended, line}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if not line.done():
            how = f"ended with status {ended.result()}" if ended.done() else f"did not come up within {START_S:g} s"
            ended.cancel()
            self._stuck = True
            said = self._console.read_text(errors="replace")[-1500:] if self._console.exists() else ""
            raise MachineFailed(f"the virtual machine {how}; its console:\n{said}")
        ended.cancel()
        async with asyncio.timeout(START_S):
            await self._hear()
        self.boot_s = loop.time() - began

    def _command(self, port: int) -> list[str]:
        packages = sysconfig.get_path("purelib")
        kernel_line = f"console=ttyS0 quiet loglevel=1 panic=1 net.ifnames=0 mitigations=off lab_port={port}"
        share = "security_model=none,readonly=on"
        network = ["user,id=net", *(f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in self._forwards.items())]
        return [
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", str(min(2, os.cpu_count() or 1)), "-m", str(self._memory_mib),
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self._console}",
            "-kernel", str(self._image / "kernel"), "-initrd", str(self._image / "initrd.gz"), "-append", kernel_line,
            "-drive", f"file={self._image / 'root.sqfs'},if=virtio,format=raw,readonly=on",
            "-netdev", ",".join(network), "-device", "virtio-net-pci,netdev=net,romfile=",
            "-virtfs", f"local,path={CODE},mount_tag=code,{share}",
            "-virtfs", f"local,path={packages},mount_tag=packages,{share}",
        ]  # fmt: skip

    async def _say(self, what: dict[str, Any]) -> None:
        _, writer = await self._connection()
        writer.write(json.dumps(what).encode() + b"\n")
        await writer.drain()

    async def _hear(self) -> dict[str, Any]:
        reader, _ = await self._connection()
        said = await reader.readline()
        if not said:
            raise MachineFailed("the virtual machine is gone")
        heard: dict[str, Any] = json.loads(said)
        return heard

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._line is None:
            raise MachineFailed("the virtual machine was not started")
        return await self._line

    async def _end(self) -> None:
        if self._line is not None and self._line.done() and not self._line.cancelled():
            _, writer = self._line.result()
            with suppress(OSError):
                writer.write(b'{"end": true}\n')
                await writer.drain()
            writer.close()
        if self._process is not None and self._process.returncode is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 0 if self._stuck else END_S)
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


async def built_image(folder: Path) -> Path:
    """Build the machine into ``folder`` unless it is there; raises MachineFailed with what is missing."""
    script = Path(__file__).parent / "build.sh"
    builder = await asyncio.create_subprocess_exec(
        "bash", str(script), str(folder), stdout=asyncio.subprocess.PIPE, stderr=sys.stderr
    )
    told, _ = await builder.communicate()
    if builder.returncode:
        raise MachineFailed("the virtual machine could not be built; the reason stands above")
    return Path(told.decode().strip().splitlines()[-1])
