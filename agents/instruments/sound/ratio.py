"""Segmental signal-to-noise ratio against what was expected. Pure.

Unit dB. Uncertainty 0.5 dB up to 30 dB; delay is followed and the gain is taken out, so that what remains is noise,
loss and distortion beyond those of the codec.
"""

import numpy as np

from agents.instruments.sound.samples import Samples, power

FRAME_S = 0.02
LOWEST_DB, HIGHEST_DB = -10.0, 35.0
"""What one frame may count, so that neither a silent nor a perfect one decides."""
ACTIVE_DB = 25.0
"""Frames this much under the mean of the expected speech are pauses and not counted."""


def segmental_snr_db(received: Samples, expected: Samples, rate_hz: int) -> float | None:
    """The mean over active frames of 20 ms of their ratio in dB, each held between -10 and 35; None without speech."""
    size = round(FRAME_S * rate_hz)
    count = expected.size // size
    if not count:
        return None
    signal = np.mean(expected[: count * size].reshape(count, size) ** 2, axis=1)
    noise = np.mean((received - expected)[: count * size].reshape(count, size) ** 2, axis=1)
    active = signal > power(expected) * 10 ** (-ACTIVE_DB / 10)
    if not active.any() or power(expected) == 0:
        return None
    ratio = 10 * np.log10(signal[active] / np.maximum(noise[active], signal[active] * 1e-9))
    return float(np.mean(np.clip(ratio, LOWEST_DB, HIGHEST_DB)))
