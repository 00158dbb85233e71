"""The tones of a key, as a phone would send them as audio (ITU-T Q.23). Pure."""

from functools import lru_cache

import numpy as np

from agents.simulated.reference_phone.sound import FRAME_SAMPLES, RATE_HZ, Frame, as_frame

_ROWS_HZ, _COLUMNS_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"
_CODES = "0123456789*#ABCD"
_PEAK = 4000.0


@lru_cache(maxsize=16)
def dual_tone(code: int) -> Frame:
    """20 ms of both tones of a key, by its code in RFC 4733, 3.2."""
    place = _KEYS.index(_CODES[code])
    at_s = np.arange(FRAME_SAMPLES) / RATE_HZ
    row, column = _ROWS_HZ[place // 4], _COLUMNS_HZ[place % 4]
    return as_frame(_PEAK * (np.sin(2 * np.pi * row * at_s) + np.sin(2 * np.pi * column * at_s)))
