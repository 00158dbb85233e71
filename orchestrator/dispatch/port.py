"""The port through which assignments leave the orchestrator."""

from collections.abc import Callable
from typing import Protocol

from orchestrator.loop import Dispatch, Event

Report = Callable[[Event], None]
"""Told from any task of the server's event loop; never blocks."""


class Dispatcher(Protocol):
    """Hands assignments on. The contract, held by tests over every implementation:

    - ``dispatch`` returns at once and never raises; exactly one ``DispatchAnswered`` follows for each call, and its
      answer is None wherever it is not known whether the agent has the assignment;
    - of each host that ``watch`` names, ``WorkerReady`` or ``WorkerLost`` (with the reason) is told, and again
      whenever that changes;
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

    async def stop(self) -> None:
        """End, and leave nothing behind that was started."""
        ...

    @property
    def health(self) -> str:
        """Empty where all is well, else what is wrong, in words."""
        ...
