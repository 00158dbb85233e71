"""Both ways between the wire and the phone's handset socket: delay, level, noise, drop-outs, bandwidth, hold.

Asked of slots whose handset socket is wired to a sound interface (``audio`` in the lab file). The signals are noise in
syllables, another one for each direction, sent at the same time; everything is by ``instruments.sound``.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from agents.instruments.audio import TONE_HZ, sample_rate_hz
from agents.instruments.audio_port import LEAD_S, RATE_HZ, AudioPort
from agents.instruments.rtp_sound import rtp_sound, wav_of
from agents.instruments.sdp import G722, PCMU, TELEPHONE_EVENT, AudioFormat, MediaDirection
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sound.samples import Samples, level_dbov, resampled, to_pcm
from agents.instruments.sound.score import SoundScore, score_recording
from agents.instruments.steady_tone import steady_tone
from agents.instruments.syllables import syllables
from agents.measure import LabError, Procedure, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import TONE_LEVEL_DBFS, Call
from agents.suites.ip_phone.hold import reinvite
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import Unavailable
from lab_inventory.measurement import Unit
from lab_inventory.noun import host_and_port

OFFERED = (G722, PCMU, TELEPHONE_EVENT)
SPOKEN_SEED, SENT_SEED = 31, 32
SETTLE_S = 0.7
"""An adaptive codec, and the buffers of both sides, are settled by then."""
TAIL_S = 0.6
"""What comes later than this is not waited for."""
AFTER_HOLD_S = 1.2
HEARD_DBOV_MIN = -45.0
PLUGGED_WITHIN_S = 2.0
UPPER_BANDS_HZ = (3_900.0, 6_400.0)
NOTHING_COMES = "nothing comes from the sound interface at the handset socket"
NOTHING_CAME = "nothing came from the sound interface at the handset socket"
DELAY_UNCERTAINTY_MS = 3.0
"""Of each direction: the place of the interface's clock, and what a soonest packet may have been late by."""
GAIN_UNCERTAINTY_DB = 0.5
DROP_OUT_UNCERTAINTY_MS = 2.0
BAND_UNCERTAINTY_DB = 1.5


@dataclass(frozen=True, kw_only=True)
class Direction:
    """One direction of a call: its score, and by how much the bench was late in sending, in ms."""

    score: SoundScore
    late_ms: float


@dataclass(frozen=True, kw_only=True)
class Exchanged:
    """What was heard at the earpiece, and what came on the wire (None: no audio), each from the moment at which its
    signal began; by how much the bench was late in sending, in ms.
    """

    heard: Samples
    came: Samples | None
    late_ms: float


@asynccontextmanager
async def plugged_in(bench: PhoneBench) -> AsyncIterator[AudioPort]:
    """The slot's sound interface while it is used. Raises LabError where the slot has none, it was held up, or not all
    came that it heard: that would be taken for the phone's silence.
    """
    if bench.audio_port is None:
        raise LabError("the slot has no sound interface at the handset socket (audio in the lab file)")
    try:
        port = AudioPort(bench.endpoint.address[0], host_and_port(bench.audio_port), clock=bench.clock)
    except Unavailable as error:
        raise LabError(f"no port for the sound interface: {error.detail}") from error
    try:
        yield port
    finally:
        port.close()
    if port.late_ms > 0:
        raise LabError(f"what was to be spoken came {port.late_ms:.0f} ms too late to the sound interface")
    missing_ms = port.missing_ms()
    if missing_ms > 0:
        raise LabError(f"{missing_ms:.0f} ms of what the sound interface heard did not come")


async def talking(bench: PhoneBench, port: AudioPort, asking: Procedure) -> tuple[Call, AudioFormat] | None:
    """A call in wideband where the phone takes that, with audio from it, and its codec; the interface gives something.

    None where there is none: then the rest of ``asking`` is measured as not seen.
    """
    call = await bench.established_call(OFFERED)
    if call is None or call.codec is None or await call.first_packet(boottime_ns(), 2.0) is None:
        bench.measure_rest(asking, "the phone did not take the call, or no audio came")
        return None
    if not await port.heard_within(PLUGGED_WITHIN_S):
        raise LabError(NOTHING_COMES)
    return call, call.codec


@procedure(
    "handset-sound",
    measures={
        "send_delay_ms": Unit.MILLISECOND,
        "receive_delay_ms": Unit.MILLISECOND,
        "delay_sum_ms": Unit.MILLISECOND,
        "receive_level_error_db": Unit.DECIBEL,
        "receive_harmonics_percent": Unit.PERCENT,
        "receive_noise_percent": Unit.PERCENT,
        "receive_interruption_ms": Unit.MILLISECOND,
        "send_upper_band_loss_db": Unit.DECIBEL,
        "receive_upper_band_loss_db": Unit.DECIBEL,
        "heard_after_hold": Unit.BOOL,
        "sent_after_hold": Unit.BOOL,
    },
)
async def handset_sound(bench: PhoneBench, recorder: Recorder) -> None:
    """One call in wideband where the phone takes that: the bench's tone at the earpiece; then both directions at once,
    and once more after a hold.
    """
    async with plugged_in(bench) as port:
        found = await talking(bench, port, handset_sound)
        if found is None:
            return
        call, _ = found
        await _measure_received(bench, call, port, float(bench.parameter("tone_s")))
        both = await both_directions(call, port, float(bench.parameter("window_s")))
        if both is None:
            bench.measure_rest(handset_sound, "the phone wants no audio in this call")
            return
        sent, heard = both
        _measure_delay(bench, sent, heard)
        for way, direction in (("send", sent), ("receive", heard)):
            _measure_upper_band(bench, f"{way}_upper_band_loss_db", direction)
        await _measure_after_hold(bench, call, port)
        keep_recording(recorder, port)


async def both_directions(call: Call, port: AudioPort, seconds: float) -> tuple[Direction, Direction] | None:
    """Speak into the handset and send to it at the same time: what was sent by the phone, and what was heard from it.

    None where the phone wants no audio.
    """
    codec = call.codec
    if codec is None:
        return None
    rate_hz = sample_rate_hz(codec.encoding)
    spoken = syllables(rate_hz=RATE_HZ, seconds=seconds, seed=SPOKEN_SEED)
    played = syllables(rate_hz=rate_hz, seconds=seconds, seed=SENT_SEED)
    exchanged = await exchange(call, codec, port, spoken, played)
    if exchanged is None:
        return None
    came = np.zeros(1) if exchanged.came is None else exchanged.came
    said = resampled(spoken, RATE_HZ, rate_hz)
    of_sent = await asyncio.to_thread(scored, said, came, rate_hz, codec.encoding)
    of_heard = await asyncio.to_thread(scored, played, exchanged.heard, rate_hz, codec.encoding)
    return Direction(score=of_sent, late_ms=0.0), Direction(score=of_heard, late_ms=exchanged.late_ms)


async def exchange(
    call: Call,
    codec: AudioFormat,
    port: AudioPort,
    spoken: Samples,
    played: Samples,
    *,
    impairment: Impairment = CLEAN,
    seed: int = 0,
) -> Exchanged | None:
    """Speak into the handset (16 kHz) and send to it (at the rate of the codec) at the same time; equally long.

    None where the phone wants no audio.
    """
    rate_hz = sample_rate_hz(codec.encoding)
    seconds = played.size / rate_hz + TAIL_S
    place = port.speak(to_pcm(spoken).tolist())
    signal = await call.send_speech(to_pcm(played).tolist(), impairment=impairment, seed=seed)
    if signal is None:
        return None
    await asyncio.sleep(TAIL_S + LEAD_S)
    heard, spoken_ns = heard_from(port, signal.started_ns, seconds, rate_hz), port.moment_ns(place)
    stream = await asyncio.to_thread(rtp_sound, call.packets(), codec.payload_type, codec.encoding)
    if spoken_ns is None:
        raise LabError(NOTHING_CAME)
    return Exchanged(
        heard=heard,
        came=None if stream is None else stream.cut(spoken_ns, seconds),
        late_ms=call.port.lateness_ms(signal.started_ns, signal.ends_ns),
    )


def heard_from(port: AudioPort, since_ns: int, seconds: float, rate_hz: int) -> Samples:
    """What came from the earpiece from a moment on (boot time), at that rate. Raises LabError where nothing did."""
    recording = port.recording()
    if recording is None:
        raise LabError(NOTHING_CAME)
    return resampled(recording.cut(since_ns, seconds), RATE_HZ, rate_hz)


def keep_recording(recorder: Recorder, port: AudioPort) -> None:
    """Keep what came from the earpiece as evidence."""
    recording = port.recording()
    if recording is not None:
        recorder.attach("earpiece.wav", "audio/wav", wav_of(recording))


def scored(reference: Samples, received: Samples, rate_hz: int, encoding: str) -> SoundScore:
    """``score_recording`` with its arguments in a row, as a thread takes them."""
    return score_recording(reference, received, rate_hz=rate_hz, codec=encoding)


def _measure_delay(bench: PhoneBench, sent: Direction, heard: Direction) -> None:
    """3GPP TS 26.131, 6.11: from the microphone to the packet's arrival, and from the packet's leaving to the earpiece.

    The first sample of a packet stands for it, so that the time for which a packet is filled counts for the phone.
    """
    of_sent, of_heard = sent.score.heard, heard.score.heard
    for quantity, direction, found in (("send_delay_ms", sent, of_sent), ("receive_delay_ms", heard, of_heard)):
        if found is None:
            bench.measure(quantity, None, direction.score.refused or "")
            continue
        note = f"{found.delay_ms_min:.1f} to {found.delay_ms_max:.1f} ms; {found.codec_delay_ms:.1f} ms are the codec's"
        stall = direction.late_ms
        bench.measure(quantity, found.delay_ms, note, bench_stall=stall, uncertainty=DELAY_UNCERTAINTY_MS)
    if of_sent is None or of_heard is None:
        bench.measure("delay_sum_ms", None, "one direction was not heard")
        return
    total_ms = of_sent.delay_ms + of_heard.delay_ms
    note = f"{of_sent.delay_ms:.1f} ms in sending, {of_heard.delay_ms:.1f} ms in receiving"
    bench.measure("delay_sum_ms", total_ms, note, bench_stall=heard.late_ms, uncertainty=2 * DELAY_UNCERTAINTY_MS)


async def _measure_received(bench: PhoneBench, call: Call, port: AudioPort, seconds: float) -> None:
    """The tone that the bench sends in every call, at the earpiece: as ``sent-sound`` measures the one it is sent."""
    await asyncio.sleep(SETTLE_S)
    since_ns = boottime_ns()
    await asyncio.sleep(seconds)
    until_ns = boottime_ns()
    late_ms = call.port.lateness_ms(since_ns, until_ns)
    recording = port.recording()
    came = np.zeros(0) if recording is None else 32768 * recording.cut(since_ns, seconds)
    seen = steady_tone(came.tolist(), rate_hz=RATE_HZ, frequency_hz=TONE_HZ)
    if seen is None:
        for quantity in ("level_error_db", "harmonics_percent", "noise_percent", "interruption_ms"):
            bench.measure(f"receive_{quantity}", None, "no tone came to the earpiece, or too little of it")
        return
    gain_db = seen.level_dbfs - TONE_LEVEL_DBFS
    words = f"{seen.seconds:.1f} s, {seen.frequency_hz:.1f} Hz, gain {gain_db:+.2f} dB"
    error_db = abs(gain_db - float(bench.ixit.get("earpiece_gain", 0)))
    bench.measure("receive_level_error_db", error_db, words, uncertainty=GAIN_UNCERTAINTY_DB)
    bench.measure("receive_harmonics_percent", seen.harmonics_percent, words)
    bench.measure("receive_noise_percent", seen.rest_percent, words)
    bench.measure(
        "receive_interruption_ms",
        seen.interruption_ms,
        words,
        bench_stall=late_ms,
        uncertainty=DROP_OUT_UNCERTAINTY_MS,
    )


def _measure_upper_band(bench: PhoneBench, quantity: str, direction: Direction) -> None:
    """How much weaker 4 to 6.3 kHz are than 1 kHz, in the mean of the bands of a third of an octave."""
    found = direction.score.heard
    if found is None:
        bench.measure(quantity, None, direction.score.refused or "")
        return
    upper = [band.gain_db for band in found.response if UPPER_BANDS_HZ[0] <= band.centre_hz <= UPPER_BANDS_HZ[1]]
    middle = [band.gain_db for band in found.response if 900 <= band.centre_hz <= 1100]
    if not upper or not middle:
        bench.measure(quantity, None, f"over {direction.score.codec} nothing came that is like 4 kHz and more as sent")
        return
    loss_db = middle[0] - sum(upper) / len(upper)
    note = ", ".join(f"{band.centre_hz:.0f} Hz {band.gain_db:+.1f} dB" for band in found.response[::2])
    bench.measure(quantity, loss_db, note, uncertainty=BAND_UNCERTAINTY_DB)


async def _measure_after_hold(bench: PhoneBench, call: Call, port: AudioPort) -> None:
    """Hold the phone and take it back; then both directions must be there as before."""
    await reinvite(call, MediaDirection.SENDONLY)
    await asyncio.sleep(0.2)
    answered = await reinvite(call, MediaDirection.SENDRECV)
    codec = call.codec
    if answered is not MediaDirection.SENDRECV or codec is None:
        words = f"sendrecv was answered {answered or 'not at all'}"
        bench.measure("heard_after_hold", False, words)
        bench.measure("sent_after_hold", False, words)
        return
    rate_hz = sample_rate_hz(codec.encoding)
    place = port.speak(to_pcm(syllables(rate_hz=RATE_HZ, seconds=AFTER_HOLD_S, seed=SPOKEN_SEED)).tolist())
    signal = await call.send_speech(to_pcm(syllables(rate_hz=rate_hz, seconds=AFTER_HOLD_S, seed=SENT_SEED)).tolist())
    await asyncio.sleep(TAIL_S + LEAD_S)
    recording, spoken_ns = port.recording(), port.moment_ns(place)
    stream = await asyncio.to_thread(rtp_sound, call.packets(), codec.payload_type, codec.encoding)
    heard_dbov = sent_dbov = -120.0
    if recording is not None and signal is not None:
        heard_dbov = level_dbov(recording.cut(signal.started_ns, AFTER_HOLD_S + TAIL_S))
    if stream is not None and spoken_ns is not None:
        sent_dbov = level_dbov(stream.cut(spoken_ns, AFTER_HOLD_S + TAIL_S))
    bench.measure("heard_after_hold", heard_dbov >= HEARD_DBOV_MIN, f"{heard_dbov:.0f} dBov at the earpiece")
    bench.measure("sent_after_hold", sent_dbov >= HEARD_DBOV_MIN, f"{sent_dbov:.0f} dBov on the wire")
