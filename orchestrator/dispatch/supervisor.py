"""The Dispatcher that works through Ray: starts the driver process, restarts it when it dies, never imports Ray."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from lab_inventory.messages import Acceptance
from lab_inventory.ray_access import RayAccess
from orchestrator.dispatch.lines import TOLD, Answer, Down, Score, Scored, Start, Up, Watch, Worker
from orchestrator.dispatch.port import Report, ScoreWanted
from orchestrator.loop import Dispatch, DispatchAnswered, WorkerLost, WorkerReady

BACK_OFF_S = (1.0, 2.0, 5.0, 10.0)
STOP_TIMEOUT_S = 15.0
LINE_BYTES_MAX = 8_000_000
CALLS_MAX = 1000
SCORES_MAX = 64
STARTING = "the Ray driver is starting"
_ACCEPTANCES = {answer.value: answer for answer in Acceptance}


def driver_command(
    *, address: str | None, local_host: str, doors_of: Sequence[str] = (), access: RayAccess | None = None
) -> list[str]:
    """What starts a driver: at a cluster's ``address``, or with a Ray of its own that stands for ``local_host``, where
    the doors of the hosts ``doors_of`` without a Ray node stand as well.

    ``access`` names files and holds no secret: it may stand on a command line.
    """
    own = [option for host in (local_host, *doors_of) for option in ("--local-host", host)]
    options = ["--address", address] if address else own
    if access is not None:
        options += ["--access", access.model_dump_json()]
    return [sys.executable, "-m", "orchestrator.dispatch.ray_driver", *options]


class RayDispatcher:
    """Hands assignments to Ray workers through the driver process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._report: Report = lambda event: None
        self._hosts: frozenset[str] = frozenset()
        self._process: asyncio.subprocess.Process | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._outstanding: dict[int, str] = {}
        self._scores: dict[int, asyncio.Future[Scored]] = {}
        self._calls = 0
        self._up: Up | None = None
        self._why_down = STARTING

    @property
    def health(self) -> str:
        """Empty where the driver is connected."""
        return "" if self._up else self._why_down

    @property
    def driver_pid(self) -> int | None:
        """The process id of the driver, where one runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self, report: Report) -> None:
        """Start the driver and keep it running; also again after :meth:`stop`."""
        self._report = report
        self._why_down = STARTING
        self._supervising = asyncio.create_task(self._supervise())

    def watch(self, hosts: frozenset[str]) -> None:
        """The hosts whose workers are wanted."""
        for host in hosts - self._hosts:
            self._report(WorkerLost(host=host, reason=self.health or "its Ray worker is being looked for"))
        if hosts != self._hosts:
            self._hosts = hosts
            if self._up:
                self._send(Watch(hosts=tuple(sorted(hosts))))

    def dispatch(self, dispatch: Dispatch) -> None:
        """Hand one assignment on; the answer is reported."""
        if not self._up or len(self._outstanding) >= CALLS_MAX:
            self._report(DispatchAnswered(run=dispatch.run, answer=None, reason=self.health or "too many calls"))
            return
        self._calls += 1
        self._outstanding[self._calls] = dispatch.run
        self._send(
            Start(
                call=self._calls,
                host=dispatch.host,
                inbox=dispatch.inbox,
                assignment_json=dispatch.assignment_json,
            )
        )

    async def score(self, wanted: ScoreWanted) -> Scored:
        """Hand one recording on, and wait for what the driver says, or for its death."""
        if not self._up or len(self._scores) >= SCORES_MAX:
            return Scored(call=0, score=None, reason=self.health or "too many recordings are being scored")
        self._calls += 1
        call = self._calls
        answer: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
        self._scores[call] = answer
        self._send(Score(call=call, **asdict(wanted)))
        try:
            return await answer
        finally:
            self._scores.pop(call, None)

    async def stop(self) -> None:
        """End the driver by closing its input: it stops the Ray that it started."""
        if self._supervising:
            self._supervising.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervising
        self._up, self._why_down = None, "the Ray driver was stopped"
        for call in tuple(self._scores):
            self._settle(Scored(call=call, score=None, reason=self._why_down))
        self._hosts = frozenset()

    def _send(self, order: Watch | Start | Score) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.write(order.model_dump_json().encode() + b"\n")

    async def _supervise(self) -> None:
        """Run the driver; when it ends, everything that was asked of it is unknown, and it is started again."""
        failures = 0
        while True:
            try:
                # Ray puts sockets there, whose paths must be short; what a killed driver leaves is removed with it.
                with tempfile.TemporaryDirectory(prefix="assay-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
                    await self._run_driver(folder)
            except (OSError, ValueError) as error:
                # It could not be started, or what it says is not to be understood: as good as dead.
                self._why_down = f"the Ray driver failed: {type(error).__name__}"
            failures = 0 if self._up else failures + 1
            self._gone()
            await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])

    async def _run_driver(self, folder: str) -> None:
        """One life of the driver; ends with it, and ends it when this is cancelled."""
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            "--folder",
            folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            start_new_session=True,
        )
        try:
            await self._listen(process)
            await process.wait()
        finally:
            await _end(process)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        while line := await process.stdout.readline():
            told = TOLD.validate_json(line)
            if isinstance(told, Up):
                self._up = told
                self._send(Watch(hosts=tuple(sorted(self._hosts))))
            elif isinstance(told, Worker):
                event = WorkerReady(host=told.host) if told.ready else WorkerLost(host=told.host, reason=told.reason)
                self._report(event)
            elif isinstance(told, Answer):
                self._answered(told)
            elif isinstance(told, Scored):
                self._settle(told)
            elif isinstance(told, Down):
                self._why_down = told.reason

    def _answered(self, told: Answer) -> None:
        run = self._outstanding.pop(told.call, None)
        if run is None:
            return
        self._report(
            DispatchAnswered(
                run=run,
                answer=_ACCEPTANCES.get(told.answer or ""),
                reason=told.reason,
                ray_node=told.ray_node,
                ray_actor=told.ray_actor,
            )
        )

    def _settle(self, told: Scored) -> None:
        answer = self._scores.get(told.call)
        if answer is not None and not answer.done():
            answer.set_result(told)

    def _gone(self) -> None:
        if self._up or self._why_down == STARTING:
            self._why_down = "the Ray driver died and is started again"
        self._up = None
        unknown, self._outstanding = self._outstanding, {}
        for run in unknown.values():
            self._report(DispatchAnswered(run=run, answer=None, reason=self._why_down))
        for call in tuple(self._scores):
            self._settle(Scored(call=call, score=None, reason=self._why_down))
        for host in self._hosts:
            self._report(WorkerLost(host=host, reason=self._why_down))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its input, which makes it stop the Ray that it started; kill it where that takes too long."""
    if process.returncode is None:
        if process.stdin:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
    # A driver that was killed leaves helpers of its Ray alive for a while; it leads their process group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
