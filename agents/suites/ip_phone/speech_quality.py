"""A perceptual estimate of speech between the wire and the handset socket: both ways, and over a bad network.

Sentences of both voices go one after the other through one call; what came of them is one recording for each direction,
which is scored once the run does not send any more. Only how far the estimate lies below the same sentences through
the codec alone is judged: the value itself depends on the material.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.instruments.audio import sample_rate_hz
from agents.instruments.audio_port import RATE_HZ, AudioPort
from agents.instruments.sdp import AudioFormat
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sound.delay import NotInRecording, find_delay
from agents.instruments.sound.samples import Samples, resampled, to_pcm
from agents.instruments.sound.speech import sentences
from agents.measure import LabError, Procedure, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.handset_sound import (
    SETTLE_S,
    exchange,
    keep_recording,
    plugged_in,
    talking,
)
from agents.suites.ip_phone.impaired_sound import network_of
from agents.suites.ip_phone.to_score import SoundWanted
from lab_inventory.errors import Unavailable
from lab_inventory.measurement import Unit

FALL = "heard.estimate.fall"
FALL_UNCERTAINTY = 0.2
"""Which packets are lost moves the fall of a few sentences by so much, at two standard deviations
(docs/how-to/sound-measurements.md).
"""
LATE_MS_MAX = 20.0
"""By more than a packet late, the bench would be what the phone is judged by."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One sentence at the rate of the codec: as it was sent, what came to the earpiece, and what the phone sent of it.

    All of one length and in step, so that in no pause there is anything but the sentence's own noise.
    """

    sent: Samples
    heard: Samples
    said: Samples


@procedure("speech-quality", measures={"send_speech_fall": Unit.MOS, "receive_speech_fall": Unit.MOS})
async def speech_quality(bench: PhoneBench, recorder: Recorder) -> None:
    """One call in wideband where the phone takes that; each sentence is spoken and played at the same time."""
    await _through(bench, recorder, speech_quality, CLEAN, "both ways, over a clean network")


@procedure("speech-over-bad-network", measures={"impaired_speech_fall": Unit.MOS})
async def speech_over_bad_network(bench: PhoneBench, recorder: Recorder) -> None:
    """One call; each sentence is played over the bad network, with a seed of its own."""
    network = network_of(bench)
    await _through(bench, recorder, speech_over_bad_network, network.impairment, f"over the network {network.name}")


async def _through(
    bench: PhoneBench, recorder: Recorder, asking: Procedure, impairment: Impairment, words: str
) -> None:
    per_voice = int(bench.parameter("sentences"))
    try:
        spoken = await asyncio.to_thread(sentences, RATE_HZ, per_voice)
    except Unavailable as error:
        raise LabError(error.detail) from error
    async with plugged_in(bench) as port:
        found = await talking(bench, port, asking)
        if found is None:
            return
        call, codec = found
        await asyncio.sleep(SETTLE_S)
        passages = [
            await _passage(call, codec, port, sentence, impairment, seed)
            for seed, sentence in enumerate(spoken, start=1)
        ]
        keep_recording(recorder, port)
    whole = [one for one in passages if one is not None]
    if len(whole) < len(passages):
        bench.measure_rest(asking, "the phone wants no audio in this call")
        return
    note = f"{len(whole)} sentences of two voices {words}"
    both = {
        "receive_speech_fall": ("at the earpiece", [one.heard for one in whole]),
        "impaired_speech_fall": ("at the earpiece", [one.heard for one in whole]),
        "send_speech_fall": ("on the wire", [one.said for one in whole]),
    }
    reference = _one_after_the_other([one.sent for one in whole])
    for quantity in asking.measures:
        name, received = both[quantity]
        bench.score_later(
            SoundWanted(
                reference=reference,
                received=_one_after_the_other(received),
                rate_hz=sample_rate_hz(codec.encoding),
                codec=codec.encoding,
                into={quantity: FALL},
                name=f"speech {name}",
                note=note,
                uncertainty=FALL_UNCERTAINTY,
                perceptual="visqol",
            )
        )


async def _passage(
    call: Call, codec: AudioFormat, port: AudioPort, sentence: Samples, impairment: Impairment, seed: int
) -> Passage | None:
    """One sentence both ways; None where the phone wants no audio."""
    rate_hz = sample_rate_hz(codec.encoding)
    played = resampled(sentence, RATE_HZ, rate_hz)
    exchanged = await exchange(call, codec, port, sentence, played, impairment=impairment, seed=seed)
    if exchanged is None:
        return None
    if exchanged.late_ms > LATE_MS_MAX:
        raise LabError(
            f"the bench sent a packet {exchanged.late_ms:.0f} ms late; more than {LATE_MS_MAX:g} ms it may not"
        )
    came = np.zeros(played.size) if exchanged.came is None else exchanged.came
    in_step = await asyncio.to_thread(lambda: [_in_step(played, one, rate_hz) for one in (exchanged.heard, came)])
    return Passage(sent=played, heard=in_step[0], said=in_step[1])


def _in_step(sent: Samples, came: Samples, rate_hz: int) -> Samples:
    """What came of a sentence, from its beginning on and as long as it is; what is not recognised stays as it came."""
    try:
        late_ms = find_delay(sent, came, rate_hz).delay_ms
    except NotInRecording:
        late_ms = 0.0
    first = max(0, round(late_ms * rate_hz / 1000))
    return np.pad(came[first:], (0, max(0, first + sent.size - came.size)))[: sent.size]


def _one_after_the_other(sounds: Sequence[Samples]) -> list[int]:
    return [int(sample) for sample in to_pcm(np.concatenate(sounds))]
