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
from agents.instruments.audio_port import LEAD_S, RATE_HZ, AudioPort
from agents.instruments.rtp_sound import rtp_sound
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sender.profiles import NETWORK_PROFILES
from agents.instruments.sound.delay import NotInRecording, find_delay
from agents.instruments.sound.samples import Samples, resampled, to_pcm
from agents.instruments.sound.speech import sentences
from agents.measure import LabError, Procedure, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.handset_sound import (
    OFFERED,
    PLUGGED_WITHIN_S,
    SETTLE_S,
    TAIL_S,
    keep_recording,
    plugged_in,
)
from agents.suites.ip_phone.to_score import SoundWanted
from lab_inventory.clock import boottime_ns
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
    network = str(bench.parameter("network"))
    profile = NETWORK_PROFILES.get(network)
    if profile is None:
        raise LabError(
            f"the programme names no network that is known: {network}; known are {', '.join(NETWORK_PROFILES)}"
        )
    await _through(bench, recorder, speech_over_bad_network, profile.impairment, f"over the network {network}")


async def _through(
    bench: PhoneBench, recorder: Recorder, asking: Procedure, impairment: Impairment, words: str
) -> None:
    per_voice = int(bench.parameter("sentences"))
    try:
        spoken = await asyncio.to_thread(sentences, RATE_HZ, per_voice)
    except Unavailable as error:
        raise LabError(error.detail) from error
    async with plugged_in(bench) as port:
        call = await bench.established_call(OFFERED)
        if call is None or call.codec is None or await call.first_packet(boottime_ns(), 2.0) is None:
            bench.measure_rest(asking, "the phone did not take the call, or no audio came")
            return
        if not await port.heard_within(PLUGGED_WITHIN_S):
            raise LabError("nothing comes from the sound interface at the handset socket")
        await asyncio.sleep(SETTLE_S)
        passages = [
            await _passage(call, port, sentence, impairment, seed) for seed, sentence in enumerate(spoken, start=1)
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
    for quantity in asking.measures:
        name, received = both[quantity]
        bench.score_later(
            SoundWanted(
                reference=_one_after_the_other([one.sent for one in whole]),
                received=_one_after_the_other(received),
                rate_hz=sample_rate_hz(call.codec.encoding),
                codec=call.codec.encoding,
                into={quantity: FALL},
                name=f"speech {name}",
                note=note,
                uncertainty=FALL_UNCERTAINTY,
                perceptual="visqol",
            )
        )


async def _passage(call: Call, port: AudioPort, sentence: Samples, impairment: Impairment, seed: int) -> Passage | None:
    """One sentence both ways; None where the phone wants no audio."""
    codec = call.codec
    if codec is None:
        return None
    rate_hz = sample_rate_hz(codec.encoding)
    played = resampled(sentence, RATE_HZ, rate_hz)
    seconds = sentence.size / RATE_HZ + TAIL_S
    place = port.speak(to_pcm(sentence).tolist())
    signal = await call.send_speech(to_pcm(played).tolist(), impairment=impairment, seed=seed)
    if signal is None:
        return None
    await asyncio.sleep(TAIL_S + LEAD_S)
    late_ms = call.port.lateness_ms(signal.started_ns, signal.ends_ns)
    if late_ms > LATE_MS_MAX:
        raise LabError(f"the bench sent a packet {late_ms:.0f} ms late; more than {LATE_MS_MAX:g} ms it may not")
    recording, spoken_ns = port.recording(), port.moment_ns(place)
    stream = await asyncio.to_thread(rtp_sound, call.packets(), codec.payload_type, codec.encoding)
    if recording is None or spoken_ns is None:
        raise LabError("nothing came from the sound interface at the handset socket")
    heard = resampled(recording.cut(signal.started_ns, seconds), RATE_HZ, rate_hz)
    said = np.zeros(played.size) if stream is None else stream.cut(spoken_ns, seconds)
    in_step = await asyncio.to_thread(lambda: [_in_step(played, came, rate_hz) for came in (heard, said)])
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
