"""Which key a few milliseconds of audio are the tones of (ITU-T Q.23 and Q.24). Pure."""

from collections.abc import Sequence

import numpy as np

ROWS_HZ, COLUMNS_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"
SHARE_MIN = 0.8
"""So much of the power is at the two tones."""
TWIST_MIN = 0.1
"""Neither has less than this share of the power; ITU-T Q.24 has more than 4 dB between them refused by some."""
LEVEL_DBFS_MIN = -45.0


def key_in_audio(pcm: Sequence[int], rate_hz: int) -> str | None:
    """The key whose two tones make up this audio (20 ms or more); None where it is anything else."""
    samples = np.asarray(pcm, dtype=np.float64)
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    if power < (32768 * 10 ** (LEVEL_DBFS_MIN / 20)) ** 2:
        return None
    at_s = np.arange(len(samples)) / rate_hz

    def shares(frequencies: Sequence[int]) -> list[float]:
        turned = [np.mean(samples * np.exp(-2j * np.pi * hertz * at_s)) for hertz in frequencies]
        return [float(2 * abs(value) ** 2 / power) for value in turned]

    rows, columns = shares(ROWS_HZ), shares(COLUMNS_HZ)
    row, column = int(np.argmax(rows)), int(np.argmax(columns))
    together = rows[row] + columns[column]
    if together < SHARE_MIN or min(rows[row], columns[column]) < TWIST_MIN:
        return None
    return KEYS[4 * row + column]
