"""The processes of this host's runs: starts them, follows each to its end, and ends the runs of those that died.

One whose process lives is adopted as it is; one whose process died is ended here, whatever goes wrong with it.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence

from agents.adopt import Drivers, end_dead_run
from agents.held_runs import Held, HeldRuns
from agents.launch import RUN_COMMAND, launch
from agents.lease_guard import must_stop
from agents.logs import Log
from agents.run_directory import RunDirectory
from agents.settings import AgentSettings
from agents.uplink_events import Event
from agents.words import describe
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.messages import Assignment

ATTEND_S = 1.0
AGAIN_S = 5.0


class Runs(HeldRuns):
    """The runs of this host with their processes; to be used on a running event loop. Arguments as its base has them;
    ``command`` starts the process of a run, with its directory as the last argument.
    """

    def __init__(
        self,
        settings: AgentSettings,
        clock: Clock,
        log: Log,
        *,
        drivers: Drivers,
        tell: Callable[[Event], None],
        hold_slots: Callable[[Assignment], None],
        free_slot: Callable[[str], None],
        command: Sequence[str] = RUN_COMMAND,
    ) -> None:
        super().__init__(
            settings, clock, log, self, drivers=drivers, tell=tell, hold_slots=hold_slots, free_slot=free_slot
        )
        self._command = command
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._attending: dict[str, asyncio.Task[None]] = {}

    async def stop_following(self) -> None:
        """Stop following; the runs go on."""
        tasks = list(self._attending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.close()

    # What the book asks of processes

    def launch(self, directory: RunDirectory) -> None:
        """Start the process of a run. Raises OSError."""
        self._children[directory.run] = launch(directory, self._command, carries_scores=True)

    def is_alive(self, directory: RunDirectory) -> bool:
        """Whether the run's very process still runs."""
        return directory.is_alive()

    def hurry(self, directory: RunDirectory) -> None:
        """Have the process stop now: it tears down and ends."""
        process = directory.process()
        if process is not None:
            process.signal(signal.SIGTERM)

    def follow(self, held: Held) -> None:
        """Attend to a run until it is over."""
        self._attending[held.run] = asyncio.create_task(self._attend(held), name=f"attend {held.run}")

    async def _attend(self, held: Held) -> None:
        """Follow one run until its process is gone and its end is in the spool, whatever goes wrong with it."""
        while not held.over:
            try:
                await self._follow_to_the_end(held)
            except Exception as error:
                self._log.warning("run-not-followed", run=held.run, error=describe(error))
                await asyncio.sleep(AGAIN_S)
        self._attending.pop(held.run, None)

    async def _follow_to_the_end(self, held: Held) -> None:
        await self._until_gone(held)
        self.gone(held)
        if not held.spool.state().ended:
            # Where a full disk keeps this from being written, the run stays undelivered and its slot taken.
            ended = await end_dead_run(
                held.directory, held.assignment, held.spool, self._drivers, self._clock, os.getpid()
            )
            self._log.warning("run-died", run=held.run, reason=ended.reason)
        self.over(held)

    async def _until_gone(self, held: Held) -> None:
        """Wait for the end of the process; one that does not stop when it must is killed after a grace."""
        process = held.directory.process()
        lease = held.directory.lease()
        stop_since_s: float | None = None
        while process is not None and process.is_alive():
            try:
                async with asyncio.timeout(ATTEND_S):
                    await process.ended()
            except TimeoutError:
                pass
            now_s = self._clock.boottime_s()
            try:
                lease = held.directory.lease()
            except (OSError, AssayError) as error:
                self._log.warning("lease-unreadable", run=held.run, error=describe(error))
            if must_stop(lease, now_s) is None:
                stop_since_s = None
            elif stop_since_s is None:
                stop_since_s = now_s
            elif now_s - stop_since_s > self._settings.stop_grace_s:
                self._log.warning("run-killed", run=held.run)
                process.signal(signal.SIGKILL)
        child = self._children.pop(held.run, None)
        if child is not None:
            self._log.info("run-process-ended", run=held.run, status=child.wait())
