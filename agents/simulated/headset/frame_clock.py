"""The bus clock of the virtual headset: frames of one millisecond that wait for the host (USB 2.0, 8.4.3.1). Pure.

An emulated host cannot always queue its transfers in time. On a real bus that leaves gaps; here the clock stands
still while a streaming endpoint has nothing queued, so no sample is lost. How long it stood is counted: a window in
which it did is worth nothing for a judgement about time. Times are seconds of a monotonic clock, from the caller.
"""

from math import ceil

STARVED_MS_MAX = 2_000.0
"""An endpoint that got nothing for so long has been forgotten by its host, and holds the others up no longer."""

_LEAD_FRAMES = 2


class FrameClock:
    """Frames, and for each streaming endpoint the frame up to which transfers are queued."""

    def __init__(self, now_s: float) -> None:
        self._origin_s = now_s
        self._queued: dict[int, int] = {}
        self._held_ms = 0.0
        self.stretch_ms = 0.0
        self.stops = 0
        self.forgotten = 0

    def frame(self, now_s: float) -> float:
        """Where the bus is, in frames with fractions; what it stood still since the last call is counted."""
        real = (now_s - self._origin_s) * 1000
        limit = min(self._queued.values(), default=None)
        if limit is None or real <= limit:
            self._held_ms = 0.0
            return real
        self.stops += self._held_ms == 0
        self.stretch_ms += real - limit
        self._held_ms += real - limit
        self._origin_s += (real - limit) / 1000
        if self._held_ms > STARVED_MS_MAX:
            self._held_ms = 0.0
            self.forgotten += 1
            del self._queued[min(self._queued, key=self._queued.__getitem__)]
        return float(limit)

    def queue(self, endpoint: int, frames: int, now_s: float) -> int:
        """Queue a transfer of so many frames behind what ``endpoint`` has; gives its first frame."""
        here = self.frame(now_s)
        start = self._queued.get(endpoint)
        if start is None:
            start = ceil(here) + _LEAD_FRAMES
        self._queued[endpoint] = start + frames
        self._held_ms = 0.0
        return start

    def stop(self, endpoint: int, now_s: float) -> None:
        """The stream of ``endpoint`` has ended: nobody waits for it any more."""
        self.frame(now_s)
        self._queued.pop(endpoint, None)

    def time_of(self, frame: int) -> float:
        """When ``frame`` begins if the clock does not stand still before, in seconds."""
        return self._origin_s + frame / 1000
