"""What the ears of the headset were given, kept by its place in time for the microphone to hear. Pure.

Positions are samples since bus frame 0 at the ear's own rate, so that a sound is found again by when it was played.
"""

from array import array

KEPT_SAMPLES = 1 << 17
"""2.7 s at 48 kHz: more than any latency that is set."""

_SILENCE = array("h", bytes(2 * KEPT_SAMPLES))


class Ear:
    """Both channels, 16-bit, of the last :data:`KEPT_SAMPLES` samples."""

    def __init__(self) -> None:
        self.rate = 48_000
        self.loudest = 0
        self._channels = (array("h", _SILENCE), array("h", _SILENCE))
        self._begin = 0
        self._end = 0
        self._next_frame: int | None = None

    def open(self, rate: int) -> None:
        """A new stream at ``rate`` hertz; what was heard before is gone."""
        self.rate, self._next_frame = rate, None
        for channel in self._channels:
            channel[:] = _SILENCE
        self._begin = self._end = 0

    def play(self, frame: int, left: "array[int]", right: "array[int]") -> None:
        """One packet for bus frame ``frame``; a gap before it is silence."""
        if frame != self._next_frame:
            first = frame * self.rate // 1000
            known = self._next_frame is not None and self._end <= first < self._end + KEPT_SAMPLES
            if not known:
                for channel in self._channels:
                    channel[:] = _SILENCE
                self._begin = first
            else:
                self._put(array("h", bytes(2 * (first - self._end))), None)
            self._end = first
        self._next_frame = frame + 1
        self._put(left, right)

    def heard(self, channel: int, position: int, count: int) -> "array[int]":
        """``count`` samples from ``position`` on; silence where nothing was played."""
        low = max(position, self._begin, self._end - KEPT_SAMPLES)
        high = min(position + count, self._end)
        if low >= high:
            return array("h", bytes(2 * count))
        kept, at, end = self._channels[channel], low % KEPT_SAMPLES, low % KEPT_SAMPLES + high - low
        inside = kept[at:end] if end <= KEPT_SAMPLES else kept[at:] + kept[: end - KEPT_SAMPLES]
        return array("h", bytes(2 * (low - position))) + inside + array("h", bytes(2 * (position + count - high)))

    def _put(self, left: "array[int]", right: "array[int] | None") -> None:
        at = self._end % KEPT_SAMPLES
        for channel, samples in zip(self._channels, (left, left if right is None else right), strict=True):
            room = KEPT_SAMPLES - at
            channel[at : at + len(samples)] = samples[:room]
            if len(samples) > room:
                channel[: len(samples) - room] = samples[room:]
        self._end += len(left)
