"""What the bench itself suffered: a tick each 20 ms on the event loop, and how late the ticks were.

Takes nothing; gives, for any window, the worst lateness in ms. Measurements of what waits for the loop carry it, so
a judge can tell a late phone from a late bench. Receive times are the kernel's and do not wait for the loop: what is
theirs is in ``reference_stream``.
"""

import asyncio
from collections import deque

from lab_inventory.clock import boottime_ns
from lab_inventory.errors import InvariantBroken

TICK_NS = 20_000_000
TICKS_MAX = 90_000  # half an hour


class StallMeter:
    """Ticks from ``start`` to ``stop``; remembers the last half hour."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, int]] = deque(maxlen=TICKS_MAX)
        self._started_ns = 0
        self._due_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick on the running loop."""
        self._started_ns = boottime_ns()
        self._due_ns = self._started_ns + TICK_NS
        self._plan()

    def stop(self) -> None:
        """Tick no more; windows that lie before can still be asked for. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()

    def lateness_ms(self, since_ns: int, until_ns: int) -> float:
        """The worst lateness of a tick between two times (ns of CLOCK_BOOTTIME), the one still outstanding included.

        Raises InvariantBroken when the meter did not run at ``since_ns``.
        """
        known_since_ns = self._ticks[0][1] if len(self._ticks) == TICKS_MAX else self._started_ns
        if not self._started_ns or since_ns < known_since_ns:
            raise InvariantBroken("the stall meter was not running when the window began")
        lateness_ns = [min(at, until_ns) - due for due, at in self._ticks if at >= since_ns and due <= until_ns]
        if self._due_ns <= until_ns:  # due within the window and not come yet: the bench is stalled just now
            lateness_ns.append(until_ns - self._due_ns)
        return max([0, *lateness_ns]) / 1e6

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later((self._due_ns - boottime_ns()) / 1e9, self._tick)

    def _tick(self) -> None:
        at_ns = boottime_ns()
        self._ticks.append((self._due_ns, at_ns))
        # After a stall the pace starts anew: ticks in a burst would hide how long the stall was.
        self._due_ns = self._due_ns + TICK_NS if at_ns < self._due_ns + TICK_NS else at_ns + TICK_NS
        self._plan()
