"""Whether something steers this host's clock, and how well (adjtimex(2), read only). Linux; needs no right."""

import ctypes
from dataclasses import dataclass

from lab_inventory.errors import Unavailable

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_FREQUENCY_UNIT_PPM = 1 / 65_536
STEERED_PPM = 2.0
"""How far the rate of a clock that follows a time server may still be off beside what the kernel tells; our choice."""


class _Timex(ctypes.Structure):
    """struct timex of linux/timex.h; what comes after ``tick`` is not looked at."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_long * 32),
    )


@dataclass(frozen=True, kw_only=True)
class ClockState:
    """``steered``: a time server is followed. ``error_s``: by how much the time may be off, as the kernel was told;
    ``correction_ppm``: what is put onto the rate of the oscillator.
    """

    steered: bool
    error_s: float
    correction_ppm: float


def clock_state() -> ClockState:
    """The state now. Raises Unavailable where the system does not tell it."""
    told = _Timex()
    result = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(told))
    if result < 0:
        raise Unavailable(f"the system does not tell how its clock is steered: error {ctypes.get_errno()}")
    return ClockState(
        steered=result != _TIME_ERROR and not told.status & _STA_UNSYNC,
        error_s=told.esterror / 1e6,
        correction_ppm=told.freq * _FREQUENCY_UNIT_PPM,
    )


def rate_uncertainty_ppm(before: ClockState, after: ClockState, window_s: float) -> float | None:
    """How far the rate of the clock may have been off over a window; None where nothing steered it throughout."""
    if not (before.steered and after.steered):
        return None
    moved = (before.error_s + after.error_s) / window_s * 1e6
    return STEERED_PPM + moved + abs(after.correction_ppm - before.correction_ppm)
