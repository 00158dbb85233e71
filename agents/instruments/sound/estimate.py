"""A perceptual estimate of the quality of speech, by a program of others, beside the same through an ideal channel.

Never the opinion of people: an estimate, which always names its tool, version, mode and scale. Only the fall from the
ideal channel says something about a phone: the value itself depends on the clip and its band. Over a floor of noise
(``speech.sentences``) the fall is monotonic in loss and noise, and good to 0.2 over eight sentences; beside digitally
silent pauses it is not, and no limit should stand on it there (docs/how-to/sound-measurements.md).

ViSQOL (Apache-2.0) comes with the extra ``score``. PESQ is there only where somebody installed the extra ``pesq``: its
source forbids commercial use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from agents.instruments.sound.samples import Samples, resampled
from lab_inventory.errors import BadInput, Problem, Unavailable

WIDE_HZ = 16_000
TOOLS = ("visqol", "pesq")

_NO_VISQOL = (
    "the perceptual estimate needs visqol-python with its lattice network, which is not installed here: "
    "`make score`, or pip install 'assay-lab[score]' where there is a C++ compiler"
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a tool says of a recording and of the ideal channel, on its own scale, and how far the first lies below.

    ``fall`` is under zero where the tool finds the recording better than the codec alone.
    """

    tool: str
    version: str
    mode: str
    scale: str
    value: float
    ideal: float
    fall: float


def estimate(tool: str, reference: Samples, received: Samples, ideal: Samples, rate_hz: int) -> Estimate:
    """Rate ``received`` and ``ideal`` against ``reference``: equal lengths, aligned within a few ms, 8 or 16 kHz.

    Raises Unavailable, in words, where the tool is not installed.
    """
    if tool not in TOOLS:
        raise BadInput(
            f"no tool is called {tool}", problems=(Problem(path="perceptual", wrong=tool, expected=" or ".join(TOOLS)),)
        )
    if rate_hz not in (8_000, WIDE_HZ):
        raise BadInput(f"a perceptual estimate takes 8000 or 16000 Hz, not {rate_hz}")
    return (_by_visqol if tool == "visqol" else _by_pesq)(reference, received, ideal, rate_hz)


def _by_visqol(reference: Samples, received: Samples, ideal: Samples, rate_hz: int) -> Estimate:
    """ViSQOL in speech mode with its lattice network, always at 16 kHz: narrow band is laid into it unchanged."""
    rate = _visqol()
    wide = [resampled(row, rate_hz, WIDE_HZ).tobytes() for row in (reference, received, ideal)]
    value, best = (round(rate(wide[0], row), 2) for row in wide[1:])
    return Estimate(
        tool="visqol-python",
        version=version("visqol-python"),
        mode=f"speech, lattice network, 16 kHz (sound of {rate_hz // 1000} kHz)",
        scale="estimate of MOS-LQO, 1 to 5",
        value=value,
        ideal=best,
        fall=round(best - value, 2),
    )


@cache
def _visqol() -> Callable[[bytes, bytes], float]:
    """The rating of one pair of recordings, which remembers the last pairs: an ideal channel is rated once."""
    try:
        from visqol import VisqolApi  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise Unavailable(_NO_VISQOL) from error
    if find_spec("ai_edge_litert") is None:  # without it ViSQOL takes a coarser mapping
        raise Unavailable(_NO_VISQOL)
    program = VisqolApi()
    program.create(mode="speech", use_lattice_model=True)

    @lru_cache(maxsize=16)
    def rate(reference: bytes, rated: bytes) -> float:
        own, other = np.frombuffer(reference), np.frombuffer(rated)
        return float(program.measure_from_arrays(own, other, sample_rate=WIDE_HZ).moslqo)

    return rate


def _by_pesq(reference: Samples, received: Samples, ideal: Samples, rate_hz: int) -> Estimate:
    try:
        from pesq import pesq  # noqa: PLC0415 - an extra that most do not have
    except ImportError as error:
        raise Unavailable(
            "PESQ is not installed here, and is never by itself: its source forbids commercial use. Where yours is "
            "none: pip install 'assay-lab[pesq]'"
        ) from error
    wide = rate_hz == WIDE_HZ
    mode = "wb" if wide else "nb"
    value, best = (round(float(pesq(rate_hz, reference, row, mode)), 2) for row in (received, ideal))
    return Estimate(
        tool="pesq",
        version=version("pesq"),
        mode="wide band, ITU-T P.862.2" if wide else "narrow band, ITU-T P.862 and P.862.1",
        scale="estimate of MOS-LQO, 1 to 4.64" if wide else "estimate of MOS-LQO, 1 to 4.55",
        value=value,
        ideal=best,
        fall=round(best - value, 2),
    )
