"""Sounds that a procedure wants scored once its run does not send any more, and how they become evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.measure import Recorder, ToScore
from lab_inventory.evidence.wav import MEDIA_TYPE, write_wav
from lab_inventory.messages import SoundToScore


@dataclass(frozen=True, kw_only=True)
class SoundWanted:
    """What was ``received`` of a ``reference``, as signed 16-bit PCM at ``rate_hz``.

    ``into``: for each quantity the place of its value in the score (``agents.instruments.sound``), as
    ``{"noise": "heard.noise_dbov"}``. ``name``: what the recording is called among the evidence of the case, where
    there are several. ``uncertainty``: as :class:`ToScore` has it. ``through``, ``returned`` and ``perceptual``: as
    :class:`SoundToScore` has them; the fall of an estimate from the ideal channel is at ``heard.estimate.fall``.
    """

    reference: Sequence[int]
    received: Sequence[int]
    rate_hz: int
    codec: str
    into: Mapping[str, str]
    name: str = "scored sound"
    note: str = ""
    uncertainty: float | None = None
    through: Sequence[int] | None = None
    returned: Sequence[int] | None = None
    perceptual: Literal["visqol", "pesq"] | None = None


def have_scored(recorder: Recorder, case: str, wanted: SoundWanted) -> None:
    """Keep the recordings as evidence of the case, and have them scored. Raises LabError where they are not kept."""

    def keep(what: str, pcm: Sequence[int]) -> str:
        return recorder.attach(f"{case} {wanted.name}, {what}", MEDIA_TYPE, write_wav(wanted.rate_hz, pcm))

    sound = SoundToScore(
        reference=keep("reference", wanted.reference),
        received=keep("received", wanted.received),
        codec=wanted.codec,
        through=None if wanted.through is None else keep("through the codec alone", wanted.through),
        returned=None if wanted.returned is None else keep("returned", wanted.returned),
        perceptual=wanted.perceptual,
    )
    recorder.score_later(
        ToScore(
            sound=sound,
            into=wanted.into,
            note=wanted.note,
            uncertainty=wanted.uncertainty,
            evidence=sound.files,
        )
    )
