"""Starts and stops one baresip from a configuration directory: a third party's phone program as a lab's device."""

import asyncio
import shutil
import signal
import socket
import string
from pathlib import Path

from agents.punctual import schedule_of, wake_punctually
from agents.simulated.microphone import write_microphone
from agents.simulated.parent import die_with_parent
from agents.simulated.program import answers_at, stop_process
from lab_inventory.errors import BadInput, Unavailable
from lab_inventory.noun import host_and_port

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
CALL_LONGEST_S = 660
"""The longest call of a programme is one of ten minutes; baresip hangs up where its microphone's file ends."""


class BaresipPhone:
    """One phone: a working directory made from a configuration directory, and the process in it.

    ``longest_call_s``: how long its microphone has something to say; all of it is in its memory in every call.
    """

    def __init__(
        self,
        name: str,
        configuration: Path,
        work: Path,
        values: dict[str, str],
        *,
        longest_call_s: int = CALL_LONGEST_S,
    ) -> None:
        self.name = name
        self._configuration = configuration
        self._work = work
        self._values = values
        self._longest_call_s = longest_call_s
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def schedule(self) -> str | None:
        """How the process is scheduled, while it runs: ``real-time`` or ``ordinary``."""
        return schedule_of(self.pid) if self.pid else None

    async def start(self) -> None:
        """Start it and wait until its control port answers. Raises BadInput or Unavailable in words."""
        program = shutil.which("baresip")
        if program is None:
            raise Unavailable("the phone program baresip is not installed: apt-get install baresip-core")
        self._refuse_taken_control()
        self._fill_in()
        log = (self._work / "log").open("wb")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                program,
                "-f",
                str(self._work),
                "-4",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._work,
                start_new_session=True,
                preexec_fn=_become_a_phone,
            )
        await self._until_it_answers(self._process)

    def _refuse_taken_control(self) -> None:
        """baresip itself only logs that it could not listen; then another program would answer in its place."""
        host, port = host_and_port(self._values["control"])
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise Unavailable(f"{self.name}: its control port {host}:{port} is taken: {error.strerror}") from error

    def _fill_in(self) -> None:
        """Make the working directory; the identity (file ``uuid``) of an earlier start is kept."""
        self._work.mkdir(parents=True, exist_ok=True)
        microphone = self._work / "microphone.wav"
        values = {**self._values, "name": self.name, "microphone": str(microphone)}
        rate_hz = 8000
        for name in ("config", "accounts", "contacts"):
            source = self._configuration / name
            try:
                text = string.Template(source.read_text(encoding="utf-8")).substitute(values)
            except OSError as error:
                raise BadInput(f"{source}: cannot be read: {error.strerror}") from error
            except (KeyError, ValueError) as error:
                raise BadInput(f"{source}: {error} is no name that is filled in here") from error
            (self._work / name).write_text(text, encoding="utf-8")
            for line in text.splitlines():
                if line.startswith("ausrc_srate"):
                    rate_hz = int(line.split()[1])
        write_microphone(microphone, rate_hz=rate_hz, seconds=self._longest_call_s)

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
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[-3:])[-400:] or "it said nothing"

    async def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        await stop_process(self._process, within_s=STOP_TIMEOUT_S)


def _become_a_phone() -> None:
    """In the child, between fork and exec."""
    # Not SIGTERM: the phone would go on for half a minute, trying to unregister with whoever has gone too.
    die_with_parent(signal.SIGKILL)
    wake_punctually()
