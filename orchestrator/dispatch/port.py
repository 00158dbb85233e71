"""The port through which assignments leave the orchestrator, and recordings to be scored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.dispatch.lines import Scored
from orchestrator.loop import Dispatch, Event

Report = Callable[[Event], None]
"""Told from any task of the server's event loop; never blocks."""


@dataclass(frozen=True, kw_only=True)
class ScoreWanted:
    """A recording to be scored, as :class:`orchestrator.dispatch.lines.Score` has it."""

    host: str
    sending: bool
    benches: tuple[str, ...]
    sound_json: str
    files: tuple[str, ...]


class Dispatcher(Protocol):
    """Hands assignments on. The contract, held by tests over every implementation:

    - ``dispatch`` returns at once and never raises; exactly one ``DispatchAnswered`` follows for each call, and its
      answer is None wherever it is not known whether the agent has the assignment;
    - of each host that ``watch`` names, ``WorkerReady`` or ``WorkerLost`` (with the reason) is told, and again
      whenever that changes;
    - ``score`` never raises; what it gives has no score wherever it is not known what became of it, and it may be asked
      for again, for a score is a pure function;
    - nothing is dispatched to a host by another way than its worker: there is no fallback.
    """

    async def start(self, report: Report) -> None:
        """Begin, also again after ``stop``; answers and changes go to ``report``."""
        ...

    def watch(self, hosts: frozenset[str]) -> None:
        """The hosts whose workers are wanted, all of them each time."""
        ...

    def dispatch(self, dispatch: Dispatch) -> None:
        """Hand one assignment to the worker of its host."""
        ...

    async def score(self, wanted: ScoreWanted) -> Scored:
        """Have a recording scored at a node that may: see :mod:`orchestrator.dispatch.scoring_node`."""
        ...

    async def stop(self) -> None:
        """End, and leave nothing behind that was started."""
        ...

    @property
    def health(self) -> str:
        """Empty where all is well, else what is wrong, in words."""
        ...
