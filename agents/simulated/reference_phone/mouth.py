"""From the microphone to the encoder: what was spoken, and what a phone can do wrong to it. Pure but for its state."""

import numpy as np
from numpy.typing import NDArray

from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.sound import (
    FRAME_SAMPLES,
    NARROW_HZ,
    RATE_HZ,
    Filter,
    Frame,
    as_frame,
    low_pass,
)
from agents.simulated.reference_phone.tones import LEVEL_DBFS

FULL_SCALE = 32768.0
ECHO_DELAY_S = 0.1
DROPS_EVERY_S = 1.0
GATE_FROM_DBFS = -62.0


class Delay:
    """The same samples later."""

    def __init__(self, seconds: float) -> None:
        self._kept = np.zeros(max(0, round(seconds * RATE_HZ)))

    def run(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        """As many samples as came."""
        joined = np.concatenate((self._kept, frame))
        self._kept = joined[len(frame) :]
        return joined[: len(frame)]


def gated(frame: NDArray[np.float64], gate_db: float) -> NDArray[np.float64]:
    """The frame, or silence where it is softer than ``gate_db`` above -62 dBFS; a gate of 0 dB is none."""
    least = FULL_SCALE * 10 ** ((GATE_FROM_DBFS + gate_db) / 20)
    return np.zeros_like(frame) if gate_db and np.sqrt(np.mean(frame**2)) < least else frame


class Noise:
    """Noise at -20 dBFS in the narrow band alone, so that no codec takes anything of it away."""

    def __init__(self, seed: int) -> None:
        taps = low_pass(NARROW_HZ)
        self._filter = Filter(taps / np.sqrt(np.sum(taps**2)))
        self._draw = np.random.default_rng(seed)

    def frame(self) -> NDArray[np.float64]:
        """The next 20 ms."""
        return self._filter.run(self._draw.normal(0.0, FULL_SCALE * 10 ** (LEVEL_DBFS / 20), FRAME_SAMPLES))


class Mouth:
    """One call's microphone. Without anything spoken it hears the steady tone that stands before every phone."""

    def __init__(self, behaviour: Behaviour, *, tone_hz: int, seed: int) -> None:
        self._behaviour = behaviour
        peak = FULL_SCALE * np.sqrt(2) * 10 ** (LEVEL_DBFS / 20)
        # A second repeats without a seam where the frequency is a whole number of hertz.
        self._tone = peak * np.sin(2 * np.pi * tone_hz * np.arange(RATE_HZ) / RATE_HZ)
        self._noise = Noise(seed)
        self._late = Delay(behaviour.microphone_delay_s)
        self._echo = Delay(ECHO_DELAY_S)
        self._narrow = Filter(low_pass(NARROW_HZ)) if behaviour.microphone_narrow else None
        self._place = 0

    def frame(self, spoken: Frame | None, heard: Frame) -> Frame:
        """The next 20 ms for the encoder. ``heard``: what the earpiece plays in the same 20 ms."""
        behaviour, place = self._behaviour, self._place % RATE_HZ
        self._place += FRAME_SAMPLES
        sound = self._tone[place : place + FRAME_SAMPLES] if spoken is None else spoken.astype(np.float64)
        sound = gated(sound, behaviour.microphone_gate_db)
        sound = self._late.run(sound * 10 ** (-behaviour.microphone_loss_db / 20))
        if self._narrow is not None:
            sound = self._narrow.run(sound)
        if behaviour.microphone_noise_share:
            sound = sound + behaviour.microphone_noise_share * self._noise.frame()
        echo = self._echo.run(heard.astype(np.float64))
        if behaviour.echo_share:
            sound = sound + behaviour.echo_share * echo
        if place < behaviour.microphone_drop_s * RATE_HZ:
            sound = np.where(np.arange(place, place + FRAME_SAMPLES) < behaviour.microphone_drop_s * RATE_HZ, 0, sound)
        most = FULL_SCALE * 10 ** (-behaviour.microphone_clip_db / 20)
        return as_frame(np.clip(sound, -most, most - 1))
