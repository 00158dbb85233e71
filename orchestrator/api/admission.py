"""How much is answered: requests for each principal, failures for each name and address. Kept in memory, bounded.

Counts are this server's own. With several servers on one database each answers as much.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from lab_inventory.clock import Clock
from lab_inventory.errors import TooMany, Unauthorised

KEYS_MAX = 10_000
GUESSES_MAX, GUESSES_WINDOW_S = 10, 900.0
"""Of a secret that people choose."""
FAILURES_MAX, FAILURES_PER_S = 100, 1.0
"""Of a secret with 256 random bits: this bounds the work and the log, and nobody's luck."""


class Admission:
    """A bucket for each key: it holds so many, fills up steadily, and what finds it empty is refused."""

    def __init__(self, clock: Clock, *, requests_per_s: float) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._requests = _Buckets(requests_per_s, requests_per_s * 10)
        self._guesses = _Buckets(GUESSES_MAX / GUESSES_WINDOW_S, GUESSES_MAX)
        self._failures = _Buckets(FAILURES_PER_S, FAILURES_MAX)

    def admit(self, subject: str) -> None:
        """One request of a principal; raises TooMany."""
        with self._lock:
            after_s = self._requests.take(subject, self._clock.boottime_s())
        if after_s:
            raise TooMany(f"{subject} asks faster than is answered", after_s=after_s)

    @contextmanager
    def counting_failures(self, key: str) -> Iterator[None]:
        """Around the look at a secret that cannot be guessed: Unauthorised counts, and becomes TooMany after many.

        The right secret is always taken, so nobody locks others out who share an address.
        """
        try:
            yield
        except Unauthorised:
            self._take(self._failures, key)
            raise

    @contextmanager
    def slowing_guesses(self, *keys: str) -> Iterator[None]:
        """Around the look at a secret that can be guessed: after many wrong ones none is looked at for a while."""
        with self._lock:
            now_s = self._clock.boottime_s()
            self._refuse(max(self._guesses.empty_for_s(key, now_s) for key in keys))
        try:
            yield
        except Unauthorised:
            self._take(self._guesses, *keys)
            raise

    def _take(self, buckets: "_Buckets", *keys: str) -> None:
        with self._lock:
            now_s = self._clock.boottime_s()
            self._refuse(max([buckets.take(key, now_s) for key in keys]))

    @staticmethod
    def _refuse(after_s: float) -> None:
        if after_s:
            raise TooMany("too many failed attempts; wait, then try again", after_s=after_s)


class _Buckets:
    """Of those keys that asked last; an older one begins anew with a full bucket."""

    def __init__(self, per_s: float, most: float) -> None:
        self._per_s = per_s
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def empty_for_s(self, key: str, now_s: float) -> float:
        """For how long there is none left; 0.0 where there is one."""
        left = self._now(key, now_s)
        return 0.0 if left >= 1 else (1 - left) / self._per_s

    def take(self, key: str, now_s: float) -> float:
        """Take one; gives for how long there is none left, 0.0 where one was."""
        left = self._now(key, now_s)
        if left < 1:
            return (1 - left) / self._per_s
        self._left[key] = (left - 1, now_s)
        self._left.move_to_end(key)
        if len(self._left) > KEYS_MAX:
            self._left.popitem(last=False)
        return 0.0

    def _now(self, key: str, now_s: float) -> float:
        left, at_s = self._left.get(key, (self._most, now_s))
        return min(self._most, left + (now_s - at_s) * self._per_s)
