"""The sound that a phone sends, on the wire: the steady tone before its microphone, and what it sends back of ours."""

import asyncio
from collections.abc import Sequence

import numpy as np

from agents.instruments.audio import decode, encode, sample_rate_hz
from agents.instruments.echo_path import Echo, echo_of, repeated_noise
from agents.instruments.rtp_analysis import payloads
from agents.instruments.sdp import G722, PCMU, TELEPHONE_EVENT
from agents.instruments.steady_tone import SteadyTone, steady_tone
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

OFFERED = (G722, PCMU, TELEPHONE_EVENT)
REPEAT_S = 1.0
SETTLE_S = 0.7
"""An adaptive codec, and the buffers of both sides, are settled by then."""
NOISE_LEVEL_DBFS = -20.0
NOISE_SEED = 20
LEVEL_UNCERTAINTY_DB = 0.3
"""A step of G.711 at the level of speech, against its neighbours."""
ECHO_UNCERTAINTY_DB = 1.0
INTERRUPTION_UNCERTAINTY_MS = 2.0


@procedure(
    "sent-sound",
    measures={
        "send_level_error_db": Unit.DECIBEL,
        "send_harmonics_percent": Unit.PERCENT,
        "send_noise_percent": Unit.PERCENT,
        "send_interruption_ms": Unit.MILLISECOND,
        "echo_loss_db": Unit.DECIBEL,
    },
)
async def sent_sound(bench: PhoneBench, recorder: Recorder) -> None:
    """One call, in wideband where the phone takes that, in which the bench sends noise and listens to the tone.

    Level, harmonics and what else there is by sine fitting; an interruption is where the tone falls by 20 dB; the echo
    is what comes back of the noise.
    """
    call = await bench.established_call(OFFERED)
    codec = call.codec if call else None
    if call is None or codec is None:
        bench.measure_rest(sent_sound, "the phone did not take the call")
        return
    rate_hz = sample_rate_hz(codec.encoding)
    noise = repeated_noise(rate_hz=rate_hz, seconds=REPEAT_S, level_dbfs=NOISE_LEVEL_DBFS, seed=NOISE_SEED)
    frames = await asyncio.to_thread(encode, codec.encoding, noise.tolist())
    if await call.first_packet(boottime_ns(), 2.0) is None:
        bench.measure_rest(sent_sound, "no audio packets came")
        return
    call.send(frames)
    await asyncio.sleep(SETTLE_S)
    since_ns = boottime_ns()
    await asyncio.sleep(float(bench.parameter("window_s")))
    came = await asyncio.to_thread(_sound_of, call, since_ns)
    tone_hz = float(bench.ixit.get("tone", 1000))
    _measure_tone(bench, steady_tone(came, rate_hz=rate_hz, frequency_hz=tone_hz), codec.encoding)
    # The coding of what is sent takes part in the way there and back, so it is left in what is compared with.
    sent = np.asarray(decode(codec.encoding, (*frames, *frames)), dtype=np.float64)[-len(noise) :]
    _measure_echo(bench, echo_of(sent, np.asarray(came, dtype=np.float64), rate_hz=rate_hz, without_hz=tone_hz))


def _sound_of(call: Call, since_ns: int) -> Sequence[int]:
    """All of the call decoded, because a decoder may adapt; what came since a moment is given."""
    codec = call.codec
    if codec is None:
        return ()
    everything = payloads(call.packets(), codec.payload_type)
    lately = len(payloads(call.packets(since_ns), codec.payload_type))
    pcm = decode(codec.encoding, everything)
    return pcm[len(pcm) * (len(everything) - lately) // max(1, len(everything)) :]


def _measure_tone(bench: PhoneBench, seen: SteadyTone | None, encoding: str) -> None:
    if seen is None:
        for quantity in list(sent_sound.measures)[:4]:
            bench.measure(quantity, None, "no tone came, or too little of it")
        return
    nominal = float(bench.ixit.get("tone_level", -20))
    words = f"{encoding}, {seen.seconds:.1f} s, {seen.frequency_hz:.1f} Hz at {seen.level_dbfs:.2f} dBFS"
    error = abs(seen.level_dbfs - nominal)
    bench.measure("send_level_error_db", error, words, uncertainty=LEVEL_UNCERTAINTY_DB)
    bench.measure("send_harmonics_percent", seen.harmonics_percent, words)
    bench.measure("send_noise_percent", seen.rest_percent, words)
    bench.measure("send_interruption_ms", seen.interruption_ms, words, uncertainty=INTERRUPTION_UNCERTAINTY_MS)


def _measure_echo(bench: PhoneBench, echo: Echo | None) -> None:
    if echo is None:
        bench.measure("echo_loss_db", None, f"not even {REPEAT_S:g} s of audio came")
        return
    note = f"without an echo {echo.floor_db:.0f} dB would be found"
    bench.measure("echo_loss_db", echo.loss_db, note, uncertainty=ECHO_UNCERTAINTY_DB)
