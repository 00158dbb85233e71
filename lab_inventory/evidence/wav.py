"""Sound as a WAV file: one channel of signed 16-bit PCM, read and written. Pure.

An agent writes them, a server and a vendor's desk read them: what is read is foreign, so it is taken only in the form
that is written here.
"""

import io
import sys
import wave
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from lab_inventory.errors import BadInput

MEDIA_TYPE = "audio/wav"
RATE_HZ_MIN, RATE_HZ_MAX = 8_000, 48_000
SAMPLE_BYTES = 2
FULL_SCALE = 32_768


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Samples from -32,768 to 32,767, so many a second."""

    rate_hz: int
    samples: "array[int]"

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate_hz


def write_wav(rate_hz: int, samples: Sequence[int]) -> bytes:
    """The file; the same samples give the same bytes."""
    pcm = array("h", samples)
    if sys.byteorder == "big":
        pcm.byteswap()
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm.tobytes())
    return file.getvalue()


def read_wav(data: bytes) -> Sound:
    """The sound of a file; raises BadInput where it is none of the form that is written here."""
    try:
        with wave.open(io.BytesIO(data), "rb") as reader:
            form = (reader.getnchannels(), reader.getsampwidth(), reader.getcomptype())
            rate_hz = reader.getframerate()
            pcm = array("h", reader.readframes(len(data) // SAMPLE_BYTES)) if form[1] == SAMPLE_BYTES else array("h")
    except (wave.Error, EOFError, ValueError) as error:
        raise BadInput(f"this is no WAV file: {error}") from error
    if form != (1, SAMPLE_BYTES, "NONE") or not RATE_HZ_MIN <= rate_hz <= RATE_HZ_MAX:
        raise BadInput(
            f"this WAV file has {form[0]} channels of {8 * form[1]} bit at {rate_hz} Hz; "
            f"expected one of 16 bit at {RATE_HZ_MIN} to {RATE_HZ_MAX} Hz"
        )
    if sys.byteorder == "big":
        pcm.byteswap()
    return Sound(rate_hz=rate_hz, samples=pcm)
