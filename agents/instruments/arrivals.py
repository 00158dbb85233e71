"""A bounded record of what arrived, on which one can wait. Takes items, gives them back in order; never forgets one."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Arrivals(Generic[Item]):
    """Items in the order they came; over the bound new ones are refused and counted, what was there stays."""

    def __init__(self, *, most: int) -> None:
        self._items: list[Item] = []
        self._most = most
        self._waiters: set[asyncio.Future[None]] = set()
        self.dropped = 0

    def add(self, item: Item) -> None:
        """Keep ``item`` and wake who waits."""
        if len(self._items) >= self._most:
            self.dropped += 1
            return
        self._items.append(item)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def all(self) -> tuple[Item, ...]:
        """Everything kept so far."""
        return tuple(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, wanted: Callable[[Item], bool], *, skip: int = 0) -> Item | None:
        """The first item from index ``skip`` on that is wanted, or None."""
        return next((item for item in self._items[skip:] if wanted(item)), None)

    async def first(self, wanted: Callable[[Item], bool], *, timeout_s: float, skip: int = 0) -> Item | None:
        """The first wanted item from index ``skip`` on; waits for it at most ``timeout_s``, then None."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            # Looked at before the clock: an item that came while the loop was late counts as come.
            if (found := self.find(wanted, skip=skip)) is not None:
                return found
            if (left := deadline - loop.time()) <= 0:
                return None
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait((waiter,), timeout=left)
            finally:
                self._waiters.discard(waiter)
