"""What the microphone hears: the bench's coupler and talker, the headset's own echo, noise and faults. Pure.

Healthy, with the coupler at 1.0 and the controls at 0 dB, the ear's samples come back exact to the bit. Every
imperfection is a number of :class:`Behaviour`, so what a suite measures can be held to what was set.
"""

from array import array
from dataclasses import dataclass
from math import pi, sin

from agents.simulated.headset.behaviour import Behaviour
from agents.simulated.headset.ear import Ear

ECHO_DELAY_S = 0.012
_FULL = 32_768


@dataclass(frozen=True, kw_only=True, slots=True)
class Acoustics:
    """What the bench has at the headset: the coupler from each ear to the mouth, and a talker before it.

    Coupler gains are linear; the talker is a tone of ``talker_peak`` (LSB of 16 bits) at ``talker_hz``.
    """

    left_gain: float = 1.0
    right_gain: float = 0.0
    coupler_delay_s: float = 0.0
    talker_hz: float = 1000.0
    talker_peak: float = 0.0


class Mouth:
    """One opened microphone stream: samples by bus frame, in the order of the frames."""

    def __init__(self, ear: Ear, rate: int, extra_latency_s: float) -> None:
        self._ear = ear
        self._rate = rate
        self._extra_s = extra_latency_s
        self._skipped = 0
        self._before = 0.0
        self._noise = 1

    def frame(self, frame: int, behaviour: Behaviour, acoustics: Acoustics, gain: float) -> "array[int]":
        """The samples of one bus frame; ``gain`` is what mixer and mute make of them, linear."""
        rate = (self._rate if behaviour.obeys_rate else 48_000) * (1 + behaviour.rate_error_ppm / 1e6)
        exact = behaviour.rate_error_ppm == 0
        first, end = _place(frame, rate, exact), _place(frame + 1, rate, exact)
        every = _happens(frame, behaviour.samples_lost_per_s) - _happens(frame, behaviour.samples_repeated_per_s)
        self._skipped += every
        sound = self._heard(first + self._skipped, end - first, rate, behaviour, acoustics)
        return self._through_device(sound, first, rate, behaviour, gain)

    def _heard(
        self, first: int, count: int, rate: float, behaviour: Behaviour, acoustics: Acoustics
    ) -> "list[float] | array[int]":
        latency_s = behaviour.latency_s + self._extra_s
        parts = [(0, acoustics.left_gain, latency_s + acoustics.coupler_delay_s)]
        parts += [(1, acoustics.right_gain, latency_s + acoustics.coupler_delay_s)]
        parts += [(0, behaviour.echo_share, ECHO_DELAY_S)]
        parts = [part for part in parts if part[1] != 0]
        if len(parts) == 1 and parts[0][1] == 1.0 and not acoustics.talker_peak and rate == self._ear.rate:
            return self._ear.heard(parts[0][0], first - round(parts[0][2] * rate), count)
        sound = [0.0] * count
        for channel, gain, delay_s in parts:
            for index, value in enumerate(self._delayed(channel, first, count, rate, delay_s)):
                sound[index] += gain * value
        if acoustics.talker_peak:
            step = 2 * pi * acoustics.talker_hz / rate
            for index in range(count):
                sound[index] += acoustics.talker_peak * sin(step * (first + index))
        return sound

    def _delayed(self, channel: int, first: int, count: int, rate: float, delay_s: float) -> "list[float] | array[int]":
        """The ear's channel ``delay_s`` ago; between its samples a straight line where the rates differ."""
        if rate == self._ear.rate:
            return self._ear.heard(channel, first - round(delay_s * rate), count)
        ratio = self._ear.rate / rate
        start = first * ratio - delay_s * self._ear.rate
        low = int(start // 1)
        known = self._ear.heard(channel, low, int(count * ratio) + 3)
        found = []
        for index in range(count):
            at = start + index * ratio - low
            whole = int(at)
            share = at - whole
            found.append(known[whole] * (1 - share) + known[whole + 1] * share)
        return found

    def _through_device(
        self, sound: "list[float] | array[int]", first: int, rate: float, behaviour: Behaviour, gain: float
    ) -> "array[int]":
        gain *= 10 ** (behaviour.mic_gain_db / 20)
        plain = not (
            behaviour.treble_loss or behaviour.cubic_share or behaviour.noise_lsb
            or behaviour.hum_lsb or behaviour.mic_offset_lsb
        )  # fmt: skip
        if gain == 1.0 and plain and isinstance(sound, array):
            return sound
        made = array("h", bytes(2 * len(sound)))
        for index, value in enumerate(sound):
            heard = value - behaviour.treble_loss * (value - self._before) / 2
            self._before = value
            heard -= behaviour.cubic_share * heard**3 / _FULL**2
            if behaviour.hum_lsb:
                heard += behaviour.hum_lsb * sin(2 * pi * 50 * (first + index) / rate)
            heard += behaviour.noise_lsb * self._next_noise() + behaviour.mic_offset_lsb
            made[index] = max(-_FULL, min(_FULL - 1, round(heard * gain)))
        return made

    def _next_noise(self) -> float:
        """The next of a fixed sequence, even in [-1, 1) (xorshift32, Marsaglia 2003): the same in every run."""
        state = self._noise
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self._noise = state
        return state / 2**31 - 1


def lost_on_bus(frame: int, behaviour: Behaviour) -> bool:
    """Whether the packet of this frame is lost between headset and host."""
    return _happens(frame, behaviour.packets_lost_per_s) > 0


def _happens(frame: int, per_s: float) -> int:
    """How often something that happens ``per_s`` times a second, evenly, happens in this frame."""
    return int((frame + 1) * per_s / 1000) - int(frame * per_s / 1000)


def _place(frame: int, rate: float, exact: bool) -> int:
    return frame * int(rate) // 1000 if exact else int(frame * rate / 1000)
