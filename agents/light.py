"""Light: when a lamp of the unit in a slot went on and off, as the host's own light program sees it.

What sees a lamp differs from lab to lab (a photodiode at a sound card, a camera), so it is a program that the host's
administrator names, called as ``PROGRAM watch PORT LAMP`` with LAMP ``ring`` or ``message``, and ended by SIGTERM. It
prints lines: first ``ready UNCERTAINTY_MS on|off``, which is how well it knows when a lamp changes and what the lamp is
now; then ``SECONDS on|off`` for each change, with the time of the change on CLOCK_BOOTTIME. A lamp that flashes is on.
"""

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from agents.measure import LabError
from agents.words import as_text, describe
from lab_inventory.clock import boottime_ns

LIGHT_VARIABLE = "ASSAY_AGENT_LIGHT_PROGRAM"
READY_WITHIN_S = 10.0
ENDS_WITHIN_S = 2.0
SOON_S = 0.001
_STATES = {"on": True, "off": False}


class LampWatch:
    """One lamp while it is watched. ``uncertainty_ms``: of the time of each change."""

    def __init__(self, said: asyncio.StreamReader, what: str) -> None:
        self._said = said
        self._what = what
        self._since_ns = boottime_ns()
        self.lit = False
        self.uncertainty_ms = 0.0

    async def ready(self) -> None:
        """Wait until the program watches. Raises LabError."""
        words = (await self._line(READY_WITHIN_S)).split()
        try:
            said, uncertainty, state = words
            self.uncertainty_ms, self.lit = float(uncertainty), _STATES[state]
        except (ValueError, KeyError):
            said = ""
        if said != "ready" or not (math.isfinite(self.uncertainty_ms) and self.uncertainty_ms >= 0):
            raise LabError(f"{self._what} said {as_text(' '.join(words))!r}, not 'ready UNCERTAINTY_MS on|off'")

    async def changes_to(self, lit: bool, *, timeout_s: float) -> int | None:
        """When the lamp next became so (CLOCK_BOOTTIME, ns), None where it did not in time.

        Raises LabError where the program ends, or says what cannot be.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    at_ns, now_lit = self._change(await self._line(None))
                    changed, self.lit = now_lit is not self.lit, now_lit
                    if changed and now_lit is lit:
                        return at_ns
        except TimeoutError:
            return None

    def _change(self, line: str) -> tuple[int, bool]:
        words = line.split()
        try:
            seconds, state = words
            at_ns, lit = round(float(seconds) * 1e9), _STATES[state]
        except (ValueError, KeyError, OverflowError) as error:
            raise LabError(f"{self._what} said {as_text(line)!r}, not 'SECONDS on|off'") from error
        # What comes before the watch or after now was not seen on this clock.
        if not self._since_ns <= at_ns <= boottime_ns() + round((SOON_S + self.uncertainty_ms / 1e3) * 1e9):
            raise LabError(f"{self._what} said that a lamp changed at {seconds} s, which was not while it watched")
        return at_ns, lit

    async def _line(self, timeout_s: float | None) -> str:
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._said.readline()
        except TimeoutError as error:
            if timeout_s is None:
                raise
            raise LabError(f"{self._what} was not ready within {timeout_s:g} s") from error
        except ValueError as error:
            raise LabError(f"{self._what} said a line without end") from error
        if not line:
            raise LabError(f"{self._what} ended")
        return line.decode(errors="replace").strip()


@asynccontextmanager
async def watching(program: Path, port: str, lamp: str) -> AsyncIterator[LampWatch]:
    """Watch the ``ring`` or ``message`` lamp at a port. Raises LabError where the program cannot or does not."""
    what = f"the light program at port {port}"
    try:
        process = await asyncio.create_subprocess_exec(
            str(program),
            "watch",
            port,
            lamp,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise LabError(f"{what} could not be started: {describe(error)}") from error
    try:
        if process.stdout is None:
            raise LabError(f"{what} has no output")
        watch = LampWatch(process.stdout, what)
        await watch.ready()
        yield watch
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal_all(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await process.wait()
    except TimeoutError:
        pass
    _signal_all(process, signal.SIGKILL)
    await process.wait()


def _signal_all(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """What the program has started as well: a script may not end its own children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def light_program(port: str | None) -> Path:
    """The host's light program, for a slot's port. Raises LabError where there is none."""
    named = os.environ.get(LIGHT_VARIABLE)
    if port is None or not named:
        missing = "the slot has no light port in the lab file" if port is None else "this host has no light program"
        raise LabError(f"{missing}: nothing sees the phone's lamps")
    return Path(named)
