"""The ideal channel: a codec and nothing else. What a recording is compared with, so that a codec is not held against
a phone. Pure.
"""

from functools import cache

import numpy as np

from agents.instruments import audio
from agents.instruments.sound.samples import Samples, from_pcm, to_pcm
from lab_inventory.errors import BadInput, Problem

RATE_HZ = {"PCMU": 8_000, "PCMA": 8_000, "G722": 16_000}
"""The rate of the sound on each side of a codec."""


def ideal(samples: Samples, codec: str, rate_hz: int) -> Samples:
    """The samples after coding and decoding, of the same length. PCMU, PCMA (ITU-T G.711) or G722 (G.722, 64 kbit/s).

    G.722 delays by its filters (about 1.4 ms); the measurements find and report that.
    """
    if RATE_HZ.get(codec) != rate_hz:
        expected = " or ".join(f"{name} at {rate}" for name, rate in RATE_HZ.items())
        raise BadInput(
            f"there is no ideal channel for {codec} at {rate_hz} Hz",
            problems=(Problem(path="codec", wrong=f"{codec} at {rate_hz} Hz", expected=expected),),
        )
    pcm = to_pcm(samples)
    if codec == "G722":
        frame = rate_hz // 50
        padded = np.pad(pcm, (0, -pcm.size % frame))
        coded = audio.encode(codec, [int(sample) for sample in padded])
        return from_pcm(audio.decode(codec, coded))[: samples.size]
    edges, levels = _law(codec)
    return from_pcm(levels[np.searchsorted(edges, pcm, side="right")])


@cache
def _law(codec: str) -> tuple[Samples, Samples]:
    """Decision values and levels of a G.711 law, ascending: every sample takes the level next to it."""
    levels = np.array(sorted({int(value) for value in audio.decode(codec, [bytes(range(256))])}), dtype=np.float64)
    return (levels[1:] + levels[:-1]) / 2, levels
