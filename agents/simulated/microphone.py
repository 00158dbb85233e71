"""What a phone program hears: a WAV file made here, since recorded speech may not be redistributed."""

import array
import math
import wave
from pathlib import Path

TONE_HZ = 1000.0
LEVEL_DBFS = -20.0


def write_microphone(path: Path, *, rate_hz: int, seconds: int) -> None:
    """A steady tone, 16 bit mono: longer than any call, because a phone program hangs up where its file ends."""
    # One second repeats without a seam where the frequency is a whole number of hertz.
    peak = 32767 * 10 ** (LEVEL_DBFS / 20) * math.sqrt(2)
    second = array.array(
        "h", (round(peak * math.sin(2 * math.pi * TONE_HZ * place / rate_hz)) for place in range(rate_hz))
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for _ in range(seconds):
            file.writeframes(second.tobytes())
