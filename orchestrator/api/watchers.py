"""Those who watch: each gets the notices of commits through a bounded queue; the stream of who is too slow ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from orchestrator.lifecycle.machine import Fact
from orchestrator.pipeline.publish import Notice, notices

NOTICES_MAX = 200
WATCHERS_MAX = 200


class Watchers:
    """A fan-out from commits, which happen in any thread, to the event streams of the server's loop."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Notice | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def close(self) -> None:
        """End every stream, and take no further one: for the end of the server. Called in its event loop."""
        self.closed = True
        self._end_all()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The event loop in which the streams live."""
        self._loop = loop

    def follow(self, facts: Sequence[Fact]) -> None:
        """Tell everybody; called after each commit, from any thread."""
        self.tell(notices(facts))

    def tell(self, told: tuple[Notice, ...]) -> None:
        """Tell everybody what another server committed; called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, told)

    def miss(self) -> None:
        """Something was committed that nobody can name: who watches connects again, and looks at everything."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_all)

    def _end_all(self) -> None:
        for queue in self._queues:
            queue.put_nowait(None)

    def _spread(self, told: tuple[Notice, ...]) -> None:
        for queue in self._queues:
            for notice in told:
                if queue.qsize() < NOTICES_MAX:
                    queue.put_nowait(notice)
                elif queue.qsize() == NOTICES_MAX:
                    queue.put_nowait(None)

    @property
    def full(self) -> bool:
        """Whether no further watcher is taken."""
        return len(self._queues) >= WATCHERS_MAX

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events: one for each notice, a comment every 15 s, from now until the watcher leaves."""
        queue: asyncio.Queue[Notice | None] = asyncio.Queue()
        if self.closed or self.full:
            return  # many asked at once, and others were faster
        self._queues.add(queue)
        try:
            yield "retry: 2000\n\n"
            while not self.closed:
                try:
                    notice = await asyncio.wait_for(queue.get(), 15)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if notice is None:
                    return  # it has missed something: it connects again, and then looks at everything
                yield f"event: {notice.topic}\ndata: {notice.entity} {notice.slug}\n\n"
        finally:
            self._queues.discard(queue)
