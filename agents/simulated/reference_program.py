"""Starts and stops the reference phone as a process of its own: as a lab's device."""

import asyncio
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agents.punctual import schedule_of, wake_punctually
from agents.simulated.parent import die_with_parent
from agents.simulated.program import answers_at, stop_process
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 4.0
BOOT_S = 1.0


class ReferenceProgram:
    """One phone: a working directory with its log and its identity (file ``uuid``, kept), and the process."""

    def __init__(
        self,
        name: str,
        work: Path,
        values: dict[str, str],
        defects: Iterable[str],
        clock: Clock,
        *,
        ca_file: Path | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._values = values
        self._defects = tuple(defects)
        self._clock = clock
        self._ca_file = ca_file
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def lamps(self) -> Path:
        """Where the phone writes down when its lamps change."""
        return self._work / "lamps"

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def schedule(self) -> str | None:
        """How the process is scheduled, while it runs: ``real-time`` or ``ordinary``."""
        return schedule_of(self.pid) if self.pid else None

    async def start(self) -> None:
        """Start it and wait until its control port answers. Raises Unavailable in words.

        One that ends by itself is started again, as a phone starts again that has crashed.
        """
        await self._start_once()
        self._watching = asyncio.create_task(self._start_again())

    async def _start_again(self) -> None:
        while self._process is not None:
            await self._process.wait()
            await asyncio.sleep(BOOT_S)
            with suppress(Unavailable):
                await self._start_once()

    async def _start_once(self) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        values = self._values
        command = [sys.executable, "-m", "agents.simulated.reference_phone", "--registrar", values["registrar"]]
        command += ["--outbound", values["outbound"], "--control", values["control"], "--user", values["user"]]
        command += ["--password", values["password"], "--instance", f"urn:uuid:{self._identity()}"]
        command += ["--subscribe-messages", "--lamps", str(self.lamps)]
        command += ["--audio-port", values["audio"]] if values.get("audio") else []
        command += ["--ca", str(self._ca_file)] if self._ca_file else []
        command += [word for defect in self._defects for word in ("--defect", defect)]
        log = (self._work / "log").open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_become_a_phone,
            )
        await self._until_it_answers(self._process)

    def _identity(self) -> str:
        path = self._work / "uuid"
        if not path.exists():
            digits = "".join(self._clock.new_id("u")[2:] for _ in range(2))
            path.write_text(f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}")
        return path.read_text(encoding="utf-8").strip()

    async def _until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        control = self._values["control"]
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                if await answers_at(process, control):
                    return
        except TimeoutError:
            await self.stop()
            raise Unavailable(f"{self.name} does not answer at its control port {control}") from None
        raise Unavailable(f"{self.name} ended at once: {self._last_words()}")

    def _last_words(self) -> str:
        text = (self._work / "log").read_text(encoding="utf-8", errors="replace")
        return "; ".join(text.splitlines()[-2:])[-400:] or "it said nothing"

    async def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
            self._watching = None
        await stop_process(self._process, within_s=STOP_TIMEOUT_S)


def _become_a_phone() -> None:
    """In the child, between fork and exec."""
    die_with_parent(signal.SIGKILL)
    wake_punctually()
