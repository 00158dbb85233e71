"""Time, identifiers and randomness: the only module that touches ``time``, ``uuid``, ``random`` and ``secrets``.

Everything else is handed a :class:`Clock`, so that a test or the simulator can put a seeded one in its place.
"""

import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the product may know of time and chance."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. Never compared between machines."""
        ...

    def boottime_s(self) -> float:
        """Seconds on CLOCK_BOOTTIME: monotonic, counts while suspended, the same in every process of a machine."""
        ...

    def new_id(self, prefix: str) -> str:
        """A fresh identifier such as ``run-3f9c0a1b2c3d4e5f``: 64 random bits in lower-case hexadecimal."""
        ...

    def token(self, prefix: str) -> str:
        """A fresh secret with 256 random bits; the prefix lets secret scanners find a leaked one."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number drawn evenly from [low, high], for jitter and back-off."""
        ...


class SystemClock:
    """The machine's own clock and source of randomness."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def boottime_s(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def new_id(self, prefix: str) -> str:
        """A fresh identifier with 64 random bits."""
        return f"{prefix}-{secrets.token_hex(8)}"

    def token(self, prefix: str) -> str:
        """A fresh secret with 256 random bits."""
        return f"{prefix}{secrets.token_urlsafe(32)}"

    def uniform(self, low: float, high: float) -> float:
        """A number drawn evenly from [low, high]."""
        return random.uniform(low, high)


class ManualClock:
    """A clock that moves only when told, with counted identifiers: for tests and the simulator."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), seed: int = 0) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._count = 0
        self._random = random.Random(seed)

    def advance(self, seconds: float) -> None:
        """Move both clocks on by ``seconds``."""
        self._elapsed_s += seconds

    def now(self) -> datetime:
        """The start plus what has been advanced."""
        return datetime.fromtimestamp(self._start.timestamp() + self._elapsed_s, UTC)

    def boottime_s(self) -> float:
        """1000 s plus what has been advanced."""
        return 1000.0 + self._elapsed_s

    def new_id(self, prefix: str) -> str:
        """The next counted identifier."""
        self._count += 1
        return f"{prefix}-{self._count:016x}"

    def token(self, prefix: str) -> str:
        """A counted stand-in for a secret."""
        self._count += 1
        return f"{prefix}{self._count:043x}"

    def uniform(self, low: float, high: float) -> float:
        """A number drawn from the seeded source."""
        return self._random.uniform(low, high)


def wall_ns() -> int:
    """Nanoseconds of CLOCK_REALTIME: only to relate the kernel's packet time stamps to CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def boottime_ns() -> int:
    """Nanoseconds of CLOCK_BOOTTIME, for instruments."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def seeded_chance(seed: str) -> Callable[[], float]:
    """A source of numbers drawn evenly from [0, 1): the same for the same seed, in every process and version."""
    return random.Random(seed).random
