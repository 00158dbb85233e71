"""The heap of what is to happen, and the network that everything between machines goes through."""

import heapq
import random  # noqa: TID251 - the world's chance is seeded
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.clock import TrueTime

LAST_EVENTS = 50


@dataclass(order=True)
class _Planned:
    at_s: float
    order: int
    what: str = field(compare=False)
    action: Callable[[], None] = field(compare=False)


class Events:
    """Carries out one event after the other, in the order of their times."""

    def __init__(self, true: TrueTime) -> None:
        self._true = true
        self._heap: list[_Planned] = []
        self._order = 0
        self.last: deque[str] = deque(maxlen=LAST_EVENTS)

    def after(self, delay_s: float, what: str, action: Callable[[], None]) -> None:
        """Plan an action; ``what`` is printed where a seed fails, and nothing for what happens all the time."""
        self._order += 1
        heapq.heappush(self._heap, _Planned(self._true.now_s + delay_s, self._order, what, action))

    def step(self) -> None:
        """Carry out the next event."""
        event = heapq.heappop(self._heap)
        self._true.now_s = max(self._true.now_s, event.at_s)
        if event.what:
            self.say(event.what)
        event.action()

    def say(self, what: str) -> None:
        """Note something for who reads of a failure."""
        self.last.append(f"{self._true.now_s:9.3f} s  {what}")


class Network:
    """Messages between machines: delayed, dropped, doubled, overtaken, and cut one way, while faults are on."""

    def __init__(self, events: Events, chance: random.Random) -> None:
        self._events = events
        self._chance = chance
        self.faults = True
        self.drop_share = chance.choice([0.0, 0.05, 0.3])
        self.double_share = chance.choice([0.0, 0.05, 0.2])
        self.slow_share = chance.choice([0.0, 0.05, 0.2])
        self.cut: set[tuple[str, str]] = set()

    def send(self, source: str, target: str, deliver: Callable[[], None], what: str = "") -> None:
        """Carry a message, or lose it; ``deliver`` may be called never, once or twice."""
        lost = self.faults and ((source, target) in self.cut or self._chance.random() < self.drop_share)
        if lost:
            return
        copies = 2 if self.faults and self._chance.random() < self.double_share else 1
        for _ in range(copies):
            self._events.after(self._delay_s(), what, deliver)

    def _delay_s(self) -> float:
        if self.faults and self._chance.random() < self.slow_share:
            return self._chance.choice([2.0, 15.0, 45.0, 90.0]) * self._chance.uniform(0.5, 1.0)
        return self._chance.uniform(0.001, 0.05)
