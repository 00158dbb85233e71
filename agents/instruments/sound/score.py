"""Everything the sound of one direction of a call says, in one deterministic function. Pure.

The same two recordings give the same score on any machine: every figure is rounded far above the rounding of floating
point, and far below its uncertainty.
"""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from agents.instruments.sound.channel import ideal
from agents.instruments.sound.clipping import flat_tops, limited_share
from agents.instruments.sound.delay import NotInRecording, find_delay
from agents.instruments.sound.dropouts import DropOut, drop_outs, noise_dbov, pauses, silent, without
from agents.instruments.sound.echo import DIRECT_S, Echo, find_echo
from agents.instruments.sound.expected import fitted_gain, places, rough_gain
from agents.instruments.sound.level import speech_level
from agents.instruments.sound.ratio import segmental_snr_db
from agents.instruments.sound.response import Band, response
from agents.instruments.sound.samples import Samples, checked, level_dbov

METHOD = "sound 1"
"""Raised whenever the same recording would give another figure."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the recording says where the sent speech was found in it; delays in ms, levels in dBov, gains in dB.

    ``delay_ms`` is from the start of the recording to the start of the reference, the codec's own ``codec_delay_ms``
    included; ``delays`` are pairs of a time in the recording (s) and the delay there (ms). ``covered`` is the share of
    the reference that lies within the recording, ``limited`` the share of samples held down by clipping. Times of
    drop-outs are in s of the recording. ``echo`` is one that follows the direct sound in the same recording.
    """

    delay_ms: float
    delay_ms_min: float
    delay_ms_max: float
    codec_delay_ms: float
    confidence: float
    drift_ppm: float | None
    inverted: bool
    delays: tuple[tuple[float, float], ...]
    covered: float
    gain_db: float
    limited: float
    noise_dbov: float | None
    drop_outs: tuple[DropOut, ...]
    segmental_snr_db: float | None
    echo: Echo | None
    response: tuple[Band, ...]


@dataclass(frozen=True, kw_only=True)
class SoundScore:
    """One direction of a call. ``heard`` is None where the speech was not found, and ``refused`` says why.

    Levels in dBov; active levels None where there is no speech. ``flat_tops`` is the share of samples in clipped peaks
    as the recording alone shows them, 0 to 1. ``returned`` is the echo that came back to the sender, None where that
    was not recorded.
    """

    method: str
    codec: str
    rate_hz: int
    length_s: float
    silent: bool
    level_dbov: float
    active_dbov: float | None
    activity: float | None
    reference_active_dbov: float | None
    flat_tops: float
    peak_dbfs: float
    refused: str | None
    heard: Heard | None
    returned: Echo | None

    def to_json(self) -> str:
        """One line of JSON with its keys in order; the same score is the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)


def score_recording(
    reference: Samples,
    received: Samples,
    *,
    rate_hz: int,
    codec: str,
    through: Samples | None = None,
    returned: Samples | None = None,
) -> SoundScore:
    """Measure what was ``received`` of the ``reference`` that was sent, both at ``rate_hz`` with full scale 1.0.

    ``codec`` is PCMU, PCMA or G722; for any other give ``through``, the reference after that codec alone, of the same
    length. ``returned`` is what came back to the sender from the moment the reference began, at the same rate: the echo
    of the far end is looked for in it. The recording may begin up to a second after the reference began, and be longer.
    Raises UnfitSound for arrays that are no sound, BadInput for a codec without an ideal channel.
    """
    reference, received = checked(reference, "reference"), checked(received, "received")
    sent = ideal(reference, codec, rate_hz) if through is None else checked(through, "through")
    level, own = speech_level(received, rate_hz), speech_level(reference, rate_hz)
    tops = flat_tops(received)
    heard, refused = None, None
    try:
        heard = _heard(reference, sent, received, rate_hz)
    except NotInRecording as error:
        refused = str(error)
    return SoundScore(
        method=METHOD,
        codec=codec,
        rate_hz=rate_hz,
        length_s=round(received.size / rate_hz, 6),
        silent=silent(received),
        level_dbov=round(level_dbov(received), 3),
        active_dbov=None if level is None else round(level.active_dbov, 3),
        activity=None if level is None else round(level.activity, 4),
        reference_active_dbov=None if own is None else round(own.active_dbov, 3),
        flat_tops=round(tops.share, 6),
        peak_dbfs=round(tops.peak_dbfs, 3),
        refused=refused,
        heard=heard,
        returned=None if returned is None else _rounded(find_echo(reference, checked(returned, "returned"), rate_hz)),
    )


def _heard(reference: Samples, sent: Samples, received: Samples, rate_hz: int) -> Heard:
    codec_delay_ms = find_delay(reference, sent, rate_hz, latest_s=0.1).delay_ms
    delay = find_delay(sent, received, rate_hz)
    where = places(delay, sent.size, received.size, rate_hz)
    inside = where.inside
    laid_out = where.heard(sent)
    missing = drop_outs(received, rough_gain(delay) * laid_out, rate_hz)
    counted = inside & without(missing, received.size, rate_hz)
    gain = fitted_gain(received, laid_out, counted)
    if gain == 0:
        raise NotInRecording("of what was sent only drop-outs were received")
    expected = gain * laid_out
    snr = segmental_snr_db(received[inside], expected[inside], rate_hz)
    clean = where.heard(reference, -codec_delay_ms * rate_hz / 1000)  # without the noise of the codec
    noise = noise_dbov(received, pauses(gain * clean, inside, rate_hz))
    behind = find_echo(gain * clean, np.where(counted, received - expected, 0.0), rate_hz, earliest_s=DIRECT_S)
    bands = response(clean[inside], received[inside], rate_hz)
    return Heard(
        delay_ms=round(delay.delay_ms + codec_delay_ms, 3),
        delay_ms_min=round(delay.delay_ms_min + codec_delay_ms, 3),
        delay_ms_max=round(delay.delay_ms_max + codec_delay_ms, 3),
        codec_delay_ms=round(codec_delay_ms, 3),
        confidence=round(delay.confidence, 3),
        drift_ppm=None if delay.drift_ppm is None else round(delay.drift_ppm, 1),
        inverted=delay.inverted,
        delays=tuple(
            (round(segment.at_s, 3), round(segment.delay_ms + codec_delay_ms, 3)) for segment in delay.segments
        ),
        covered=round(min(1.0, float(inside.sum()) / sent.size), 4),
        gain_db=round(20 * math.log10(abs(gain)), 3),
        limited=round(limited_share(received[counted], expected[counted]), 5),
        noise_dbov=None if noise is None else round(noise, 2),
        drop_outs=tuple(
            DropOut(start_s=round(found.start_s, 6), length_s=round(found.length_s, 6)) for found in missing
        ),
        segmental_snr_db=None if snr is None else round(snr, 2),
        echo=_rounded(behind),
        response=tuple(
            Band(centre_hz=round(band.centre_hz, 1), gain_db=round(band.gain_db, 2), coherence=round(band.coherence, 3))
            for band in bands
        ),
    )


def _rounded(echo: Echo | None) -> Echo | None:
    if echo is None:
        return None
    level_db, delay_ms = echo.level_db, echo.delay_ms
    return Echo(
        level_db=None if level_db is None else round(level_db, 2),
        delay_ms=None if delay_ms is None else round(delay_ms, 3),
        floor_db=round(echo.floor_db, 1),
    )
