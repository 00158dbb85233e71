"""A Dispatcher without Ray, for tests and the simulator: a function stands for the workers and their agents."""

from collections.abc import Callable

from orchestrator.dispatch.lines import Scored
from orchestrator.dispatch.port import Report, ScoreWanted
from orchestrator.loop import Dispatch, DispatchAnswered, WorkerLost, WorkerReady


class InProcessDispatcher:
    """Asks ``answer`` at once; only the ``hosts`` it is given have workers."""

    def __init__(self, answer: Callable[[Dispatch], DispatchAnswered], *, hosts: frozenset[str]) -> None:
        self._answer = answer
        self._hosts = hosts
        self._watched: frozenset[str] = frozenset()
        self._report: Report | None = None

    @property
    def health(self) -> str:
        """Empty between ``start`` and ``stop``."""
        return "" if self._report else "it is not started"

    async def start(self, report: Report) -> None:
        """Begin, also again after :meth:`stop`."""
        self._report = report

    def watch(self, hosts: frozenset[str]) -> None:
        """Tell of each host that is new whether it has a worker."""
        for host in hosts - self._watched:
            self._tell(WorkerReady(host=host) if host in self._hosts else WorkerLost(host=host, reason="no worker"))
        self._watched = hosts

    def dispatch(self, dispatch: Dispatch) -> None:
        """Ask, and report the answer."""
        reachable = self._report is not None and dispatch.host in self._watched & self._hosts
        self._tell(
            self._answer(dispatch) if reachable else DispatchAnswered(run=dispatch.run, answer=None, reason="no worker")
        )

    async def score(self, wanted: ScoreWanted) -> Scored:
        """Nothing is scored without Ray."""
        return Scored(call=0, score=None, nowhere=True, reason="there is no Ray to score with")

    async def stop(self) -> None:
        """End."""
        self._report = None
        self._watched = frozenset()

    def _tell(self, event: DispatchAnswered | WorkerReady | WorkerLost) -> None:
        if self._report:
            self._report(event)
