"""Dispatchers under test, an agent's inbox to dispatch to, and a record of what a dispatcher tells."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab_world import World, registration

from lab_inventory.messages import Acceptance, Assignment, AssignmentAnswer
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.dispatch.port import Dispatcher
from orchestrator.dispatch.supervisor import RayDispatcher, driver_command
from orchestrator.loop import Dispatch, DispatchAnswered, Event, WorkerReady

STAND_IN = [sys.executable, str(Path(__file__).parent / "stand_in_driver.py")]
TIMEOUT_S = 60.0


class Told:
    """What a dispatcher told, in order, and a way to wait for more."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    async def until(self, met: Callable[[list[Event]], bool]) -> list[Event]:
        async with asyncio.timeout(TIMEOUT_S):
            while not met(self.events):
                self._more.clear()
                await self._more.wait()
        return self.events

    async def answer(self, run: str) -> DispatchAnswered:
        """The first answer for a run."""
        await self.until(lambda events: bool(self.answers(run)))
        return self.answers(run)[0]

    def answers(self, run: str) -> list[DispatchAnswered]:
        return [event for event in self.events if isinstance(event, DispatchAnswered) and event.run == run]

    async def ready(self, host: str = "host-1") -> None:
        await self.until(lambda events: WorkerReady(host=host) in events)


def folder_of(pid: int) -> Path:
    """The directory that a driver process was given."""
    command = psutil.Process(pid).cmdline()
    return Path(command[command.index("--folder") + 1])


def is_private(folder: Path) -> bool:
    return folder.is_dir() and folder.stat().st_mode & 0o077 == 0


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What is dispatched is the same whatever database it comes from."""
    return f"sqlite:///{tmp_path}/assay.sqlite"


@pytest.fixture
def dispatch(world: World, inbox: Path) -> Dispatch:
    """What the loop really asks for when a device and a batch are there, for the agent at ``inbox``."""
    world.heartbeat(registration())
    world.submit()
    (wanted,) = world.tick()
    return Dispatch(run=wanted.run, host=wanted.host, inbox=str(inbox), assignment_json=wanted.assignment_json)


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Path]:
    """An agent's inbox that accepts everything that is an assignment."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assignment = Assignment.model_validate_json(await reader.readline())
        answer = AssignmentAnswer(run=assignment.run, answer=Acceptance.ACCEPTED)
        writer.write(answer.model_dump_json().encode() + b"\n")
        await writer.drain()
        writer.close()

    path = tmp_path / "i.sock"
    server = await asyncio.start_unix_server(serve, path, limit=1_000_000)
    yield path
    server.close()


def _answer(dispatch: Dispatch) -> DispatchAnswered:
    if Path(dispatch.inbox).exists():
        return DispatchAnswered(
            run=dispatch.run, answer=Acceptance.ACCEPTED, ray_node="in-process", ray_actor="in-process"
        )
    return DispatchAnswered(run=dispatch.run, answer=None, reason="the inbox does not answer")


@pytest.fixture(params=["in-process", "stand-in driver", pytest.param("ray", marks=pytest.mark.e2e)])
async def dispatcher(request: pytest.FixtureRequest) -> AsyncIterator[Dispatcher]:
    """Each implementation of the port, with a worker at host-1 and nowhere else; stopped afterwards."""
    made: dict[str, Callable[[], Dispatcher]] = {
        "in-process": lambda: InProcessDispatcher(_answer, hosts=frozenset({"host-1"})),
        "stand-in driver": lambda: RayDispatcher(STAND_IN),
        "ray": lambda: RayDispatcher(driver_command(address=None, local_host="host-1")),
    }
    dispatcher = made[request.param]()
    yield dispatcher
    await dispatcher.stop()
