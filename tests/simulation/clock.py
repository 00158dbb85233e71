"""The seeded time of a simulated world, and each machine's own view of it."""

import random  # noqa: TID251 - the world's chance is seeded
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class TrueTime:
    """What the world's time really is, in seconds from its beginning."""

    def __init__(self) -> None:
        self.now_s = 0.0


class MachineClock:
    """One machine's clock: its rate differs from true time, its wall clock may be set, and it restarts at a boot."""

    def __init__(self, true: TrueTime, name: str, chance: random.Random, *, rate: float, wall_offset_s: float) -> None:
        self._true = true
        self._name = name
        self._chance = chance
        self._rate = rate
        self.wall_offset_s = wall_offset_s
        self._booted_s = -1000.0
        self._count = 0

    def boot(self) -> None:
        """CLOCK_BOOTTIME begins anew."""
        self._booted_s = self._true.now_s

    def now(self) -> datetime:
        """The wall clock."""
        return START + timedelta(seconds=self._true.now_s + self.wall_offset_s)

    def boottime_s(self) -> float:
        """Seconds since boot, at this machine's rate."""
        return (self._true.now_s - self._booted_s) * self._rate

    def new_id(self, prefix: str) -> str:
        """A counted identifier."""
        self._count += 1
        return f"{prefix}-{self._name}-{self._count:06x}"

    def token(self, prefix: str) -> str:
        """A counted stand-in for a secret."""
        return self.new_id(prefix)

    def uniform(self, low: float, high: float) -> float:
        """A number from the world's seeded source."""
        return self._chance.uniform(low, high)
