"""What a recording should hold at every sample, given what was sent, its codec, and the delay and gain that were found.
Pure.

Delay is followed through the call (drift, steps of a jitter buffer), so that what is left between recording and
expectation is noise, loss and distortion, and no change of delay.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.instruments.sound.delay import Delay, delay_samples
from agents.instruments.sound.samples import Samples, at_positions


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which place of what was sent is heard at every sample of a recording (in samples), and which of them exist."""

    positions: Samples
    inside: NDArray[np.bool_]

    def heard(self, sent: Samples, earlier_samples: float = 0.0) -> Samples:
        """``sent`` laid out in the time of the recording, zeros where there is none of it; its gain is unchanged.

        ``earlier_samples``: for another version of the same speech that runs earlier by so much.
        """
        result = np.zeros(self.positions.size)
        result[self.inside] = at_positions(sent, self.positions[self.inside] + earlier_samples)
        return result


def places(delay: Delay, sent_size: int, recording_size: int, rate_hz: int) -> Places:
    """Where each sample of a recording stands in what was sent."""
    positions = np.arange(recording_size) - delay_samples(delay, recording_size, rate_hz)
    return Places(positions=positions, inside=(positions >= 0) & (positions <= sent_size - 1))


def rough_gain(delay: Delay) -> float:
    """The median gain over all pieces; negative where the polarity is turned."""
    return float(np.median([segment.gain for segment in delay.segments]))


def fitted_gain(received: Samples, laid_out: Samples, counted: NDArray[np.bool_]) -> float:
    """The gain that fits best (least squares) over the samples that are counted; noise does not raise it."""
    sent, heard = laid_out[counted], received[counted]
    energy = float(np.sum(sent * sent))
    return float(np.sum(heard * sent)) / energy if energy else 0.0
