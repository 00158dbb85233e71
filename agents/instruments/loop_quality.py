"""What a known sound has become on its way through a loop: gain, response, distortion, noise, echo. Pure.

Takes arrays in LSB of 16 bits; gives decibels. Levels in dBFS: 20 log10 of the root mean square over 32768, as in
``agents.instruments.audio``, so that a sine of full scale has -3.01 dBFS.
"""

from dataclasses import dataclass

import numpy as np

from agents.instruments.loop_follow import BLOCK, Followed, Signal
from lab_inventory.errors import BadInput

FULL_SCALE = 32_768.0
SILENCE_DB = -120.0
"""What stands for nothing at all, as a level or a gain."""

_SEGMENT = 4096
_THIRDS = tuple(1000.0 * 10 ** (step / 10) for step in range(-10, 14))
"""Middles of third octaves from 100 Hz to 20 kHz (IEC 61260-1, base ten)."""

_MIDDLE_HZ = 1000.0
_ECHO_REACH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """``gain_db`` at 1 kHz; ``deviations_db`` from it by the middle of each third octave, in hertz."""

    gain_db: float
    deviations_db: dict[float, float]

    @property
    def worst(self) -> tuple[float, float]:
        """The largest deviation (its size, in dB) and where, in hertz."""
        at = max(self.deviations_db, key=lambda hz: abs(self.deviations_db[hz]))
        return abs(self.deviations_db[at]), at


def level_dbfs(sound: Signal, *, without_offset: bool = False) -> float:
    """The level of the whole; -120 for silence or nothing."""
    if not len(sound):
        return SILENCE_DB
    at_rest = float(np.mean(sound)) if without_offset else 0.0
    power = float(np.mean((sound - at_rest) ** 2))
    return _db(power / FULL_SCALE**2)


def offset_dbfs(sound: Signal) -> float:
    """How loud the constant part is."""
    return _db((float(np.mean(sound)) / FULL_SCALE) ** 2) if len(sound) else SILENCE_DB


def response(sent: Signal, heard: Signal, followed: Followed, rate: int) -> Response:
    """The loop's transfer function by third octaves (H1: cross over input spectrum), from 100 Hz to 20 kHz or nine
    tenths of half the rate. Raises BadInput where too little was found again.
    """
    window = np.hanning(_SEGMENT)
    cross = np.zeros(_SEGMENT // 2 + 1, complex)
    power = np.zeros(_SEGMENT // 2 + 1)
    used = 0
    for begin in range(0, len(sent) - _SEGMENT, _SEGMENT // 2):
        lag = followed.lags[begin // BLOCK]
        last = followed.lags[min(len(followed.lags) - 1, (begin + _SEGMENT) // BLOCK)]
        if np.isnan(lag) or np.isnan(last) or abs(lag - last) > 1:
            continue
        at = begin + round(float(lag))
        part = heard[at : at + _SEGMENT]
        if at < 0 or len(part) < _SEGMENT:
            continue
        one = np.fft.rfft(sent[begin : begin + _SEGMENT] * window)
        cross += np.conj(one) * np.fft.rfft(part * window)
        power += np.abs(one) ** 2
        used += 1
    if not used:
        raise BadInput("no stretch of the sound was found again whole; expected at least 4096 samples")
    transfer = np.abs(cross / np.maximum(power, 1e-9)) ** 2
    hertz = np.fft.rfftfreq(_SEGMENT, 1 / rate)
    edge = 10 ** (1 / 20)
    bands = {}
    for middle in _THIRDS:
        if middle * edge <= 0.45 * rate:
            inside = (hertz >= middle / edge) & (hertz < middle * edge)
            if np.any(inside):
                bands[middle] = _db(float(np.mean(transfer[inside])))
    gain = bands[_MIDDLE_HZ]
    return Response(gain_db=gain, deviations_db={hz: level - gain for hz, level in bands.items()})


def gain_db(sent: Signal, heard: Signal, followed: Followed) -> float:
    """The share of ``sent`` in ``heard`` as a gain, by projection, over the blocks that were found."""
    together = own = 0.0
    for number, lag in enumerate(followed.lags):
        if np.isnan(lag):
            continue
        begin = number * BLOCK
        at = begin + round(float(lag))
        part = heard[at : at + BLOCK]
        if len(part) == BLOCK:
            together += float(np.dot(part, sent[begin : begin + BLOCK]))
            own += float(np.sum(sent[begin : begin + BLOCK] ** 2))
    return _db((together / own) ** 2) if own else SILENCE_DB


def distortion_db(sound: Signal, rate: int, hertz: float) -> float:
    """Everything that is not the sine of about ``hertz``, over it (THD+N, IEC 60268-3), in dB.

    The sine is fitted by least squares (IEEE 1057, four parameters). Raises BadInput where there is no such sine.
    """
    time = np.arange(len(sound)) / rate
    if level_dbfs(sound, without_offset=True) < -80:
        raise BadInput(f"there is no sine of {hertz:g} Hz to hear; expected one above -80 dBFS")
    hertz, even = _loudest_near(sound, rate, hertz), np.ones(len(sound))
    for _ in range(5):
        turn = 2 * np.pi * hertz * time
        sine_of, cosine = np.sin(turn), np.cos(turn)
        a, b, _ = np.linalg.lstsq(np.stack([sine_of, cosine, even], 1), sound, rcond=None)[0]
        by_turn = 2 * np.pi * time * (a * cosine - b * sine_of)
        hertz += float(np.linalg.lstsq(np.stack([sine_of, cosine, even, by_turn], 1), sound, rcond=None)[0][3])
    turn = 2 * np.pi * hertz * time
    columns = np.stack([np.sin(turn), np.cos(turn), even], 1)
    fitted = np.linalg.lstsq(columns, sound, rcond=None)[0]
    rest = sound - columns @ fitted
    return _db(float(np.mean(rest**2)) / max(float(fitted[0] ** 2 + fitted[1] ** 2) / 2, 1e-12))


def _loudest_near(sound: Signal, rate: int, hertz: float) -> float:
    """The frequency of the largest peak within 5 % of ``hertz``: where a fit may begin."""
    size = len(sound)
    levels = np.abs(np.fft.rfft(sound * np.hanning(size)))
    places = np.fft.rfftfreq(size, 1 / rate)
    near = np.flatnonzero(np.abs(places - hertz) <= 0.05 * hertz)
    at = int(near[np.argmax(levels[near])])
    low, middle, high = np.log(levels[at - 1 : at + 2] + 1e-9)
    return float((at + 0.5 * (low - high) / (low - 2 * middle + high)) * rate / size)


def echo_loss_db(sent: Signal, heard: Signal, *, up_to: int) -> tuple[float, int]:
    """By how much a white noise comes back weaker, in dB, and after how many samples (at most ``up_to``).

    The largest peak of the estimated impulse response with what lies around it, less what chance gives there.
    120 dB: nothing comes back.
    """
    if len(heard) < len(sent) + up_to:
        raise BadInput(f"{len(heard)} samples were heard; expected {len(sent) + up_to} for this echo")
    size = 1 << (len(heard) + len(sent)).bit_length()
    product = np.fft.rfft(heard - np.mean(heard), size) * np.conj(np.fft.rfft(sent, size))
    path = np.fft.irfft(product, size)[:up_to] / float(np.sum(sent**2))
    at = int(np.argmax(np.abs(path)))
    around = path[max(0, at - _ECHO_REACH) : at + _ECHO_REACH]
    chance = float(np.median(path**2)) / 0.455  # the median of a chi-squared variable over its mean
    power = max(0.0, float(np.sum(around**2)) - chance * len(around))
    return -_db(power), at


def sine(samples: int, rate: int, hertz: float, peak: float) -> Signal:
    """A sine of whole numbers."""
    return np.round(peak * np.sin(2 * np.pi * hertz * np.arange(samples) / rate))


def _db(power: float) -> float:
    return max(SILENCE_DB, 10 * float(np.log10(power))) if power > 0 else SILENCE_DB
