"""The spectrogram of a sound as a PNG: time from left to right, frequency from 0 at the bottom to half the rate. Pure.

Each column is the power of one window of 32 ms in dB below full scale, from white (-100 dBFS and less) to black (0).
"""

import struct
import zlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lab_inventory.evidence.wav import FULL_SCALE, Sound

MEDIA_TYPE = "image/png"
COLUMNS_MAX, ROWS = 720, 128
WINDOW_S = 0.032
FLOOR_DBFS = -100.0


def spectrogram_png(sound: Sound, *, columns_max: int = COLUMNS_MAX) -> bytes:
    """The picture, at most ``columns_max`` wide and ``ROWS`` high; the same sound gives the same bytes."""
    return _png(_shades(levels_dbfs(sound, columns_max=columns_max)))


def levels_dbfs(sound: Sound, *, columns_max: int = COLUMNS_MAX) -> NDArray[np.float64]:
    """Levels in dBFS, shape (windows, frequencies from 0 to half the rate); a sine of full scale comes to -3.01.

    Windows are of Hann's form; where the sound is longer than so many windows they lie apart, and what is between
    them is not seen.
    """
    size = round(sound.rate_hz * WINDOW_S) // 2 * 2
    pcm = np.frombuffer(sound.samples, dtype=np.int16).astype(np.float64) / FULL_SCALE
    if len(pcm) < size:
        pcm = np.concatenate([pcm, np.zeros(size - len(pcm))])
    columns = max(1, min(columns_max, 1 + (len(pcm) - size) // (size // 2)))
    starts = np.linspace(0, len(pcm) - size, columns).astype(np.int64)
    window = np.hanning(size)
    spectrum = np.fft.rfft(pcm[starts[:, None] + np.arange(size)] * window, axis=1)
    # The power of a sine of amplitude a is a²/2: each of its two halves has a·sum(window)/2 in the spectrum.
    power = 2 * np.abs(spectrum / window.sum()) ** 2
    found: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10)))
    return found


def _shades(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey values, shape (ROWS, windows), the highest frequency in the first row; a row shows its loudest frequency."""
    edges = np.linspace(0, levels.shape[1], ROWS + 1).astype(np.int64)
    rows = np.stack([levels[:, low : max(low + 1, high)].max(axis=1) for low, high in pairwise(edges)])
    share = np.clip(rows / FLOOR_DBFS, 0.0, 1.0)
    return np.round(share[::-1] * 255).astype(np.uint8)


def _png(grey: NDArray[np.uint8]) -> bytes:
    """8-bit grey, rows from the top, without a filter (PNG, ISO/IEC 15948, 5 and 9)."""
    height, width = grey.shape
    rows = b"".join(b"\x00" + row.tobytes() for row in grey)
    header = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data)) for kind, data in parts
    )
