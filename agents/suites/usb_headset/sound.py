"""What the sound is like that went from ear to mouth: whole, as loud, undistorted, without noise or echo."""

from agents.instruments.loop_follow import Signal, follow, noise
from agents.instruments.loop_quality import (
    SILENCE_DB,
    distortion_db,
    echo_loss_db,
    gain_db,
    level_dbfs,
    offset_dbfs,
    response,
    sine,
)
from agents.instruments.usb.port import StreamRefused
from agents.measure import Recorder, procedure
from agents.suites.usb_headset.bench import PAD_S, HeadsetBench, Loop, or_refused
from lab_inventory.errors import BadInput
from lab_inventory.measurement import Unit

RATE = 48_000
TONE_HZ, TONE_PEAK = 997.0, 16_384.0
SAME_EAR_DB_MIN, OTHER_EAR_DB_MAX = -12.0, -30.0
"""An ear that the coupler holds is heard, the other one is not."""

LEVEL_U_DB = 0.1
RESPONSE_U_DB = 0.3
DISTORTION_U_DB = 0.5
ECHO_U_DB = 0.5
ECHO_S = 0.4


@procedure(
    "loop-sound",
    measures={
        "glitches": Unit.COUNT,
        "lost_samples": Unit.COUNT,
        "repeated_samples": Unit.COUNT,
        "level_deviation_db": Unit.DECIBEL,
        "response_deviation_db": Unit.DECIBEL,
        "ears_right": Unit.BOOL,
    },
)
async def loop_sound(bench: HeadsetBench, recorder: Recorder) -> None:
    """A different noise in each ear; the coupler holds the left one and then the right one to the microphone."""
    left = noise(round(bench.parameter("sound_s") * RATE), seed=21)
    right = noise(len(left), seed=22)
    one = await or_refused(bench.loop(left, right=right, name="left ear"))
    if not isinstance(one, Loop) or one.followed is None:
        bench.measure_rest(loop_sound, one if isinstance(one, str) else "the sound of the left ear was not found again")
        return
    followed = one.followed
    where = ", ".join(f"{step.samples:+d} at {step.at / RATE:.2f} s" for step in followed.steps[:8])
    note = f"{followed.unfound} of {followed.blocks} blocks of 512 samples not found; steps: {where or 'none'}"
    bench.measure("glitches", followed.glitches, note)
    bench.measure("lost_samples", followed.lost, note)
    bench.measure("repeated_samples", followed.repeated, note)
    _measure_response(bench, one)
    await _measure_ears(bench, left[: RATE // 2], right[: RATE // 2])


def _measure_response(bench: HeadsetBench, one: Loop) -> None:
    if one.followed is None:
        return
    try:
        found = response(one.sent, one.heard, one.followed, one.rate)
    except BadInput as error:
        bench.measure("level_deviation_db", None, error.detail)
        bench.measure("response_deviation_db", None, error.detail)
        return
    worst, hertz = found.worst
    loud = f"the loop's gain at 1 kHz is {found.gain_db:.2f} dB, where 0 dB is expected"
    bench.measure("level_deviation_db", abs(found.gain_db), loud, uncertainty=LEVEL_U_DB)
    note = f"from the gain at 1 kHz, in the third octave around {hertz:.0f} Hz"
    bench.measure("response_deviation_db", worst, note, uncertainty=RESPONSE_U_DB)


async def _measure_ears(bench: HeadsetBench, left: Signal, right: Signal) -> None:
    """The coupler at the right ear: it gives its own channel and not the left one."""
    await bench.eye.couple(left=0.0, right=1.0)
    one = await or_refused(bench.loop(left, right=right, name="right ear"))
    if not isinstance(one, Loop):
        bench.measure("ears_right", None, one)
        return
    own = follow(right, one.heard) if len(one.heard) > len(right) else None
    own_db = gain_db(right, one.heard, own) if own is not None else SILENCE_DB
    crossed_db = gain_db(left, one.heard, one.followed) if one.followed is not None else SILENCE_DB
    note = f"at the right ear: its own channel at {own_db:.1f} dB, the left one at {crossed_db:.1f} dB"
    bench.measure("ears_right", own_db >= SAME_EAR_DB_MIN and crossed_db <= OTHER_EAR_DB_MAX, note)


@procedure("distortion", measures={"distortion_db": Unit.DECIBEL})
async def distortion(bench: HeadsetBench, recorder: Recorder) -> None:
    """A sine at half of full scale: all that comes back beside it."""
    tone = sine(RATE // 2, RATE, TONE_HZ, TONE_PEAK)
    one = await or_refused(bench.loop(tone, name="tone"))
    if not isinstance(one, Loop):
        bench.measure_rest(distortion, one)
        return
    begin = one.began + max(0, round(one.recording.ahead)) + RATE // 8
    try:
        value = distortion_db(one.heard[begin : begin + RATE // 4], RATE, TONE_HZ)
    except BadInput as error:
        bench.measure("distortion_db", None, error.detail)
        return
    bench.measure("distortion_db", value, f"of {TONE_HZ:g} Hz at -9 dBFS, from 0.25 s", uncertainty=DISTORTION_U_DB)


@procedure("idle-noise", measures={"noise_dbfs": Unit.DBFS, "offset_dbfs": Unit.DBFS})
async def idle_noise(bench: HeadsetBench, recorder: Recorder) -> None:
    """Nothing is played and nobody talks."""
    await bench.eye.couple(left=0.0, right=0.0)
    try:
        sound = await bench.silence(PAD_S + 0.6, name="idle")
    except StreamRefused as error:
        bench.measure_rest(idle_noise, str(error))
        return
    if not len(sound):
        bench.measure_rest(idle_noise, "the microphone gave no samples")
        return
    bench.measure("noise_dbfs", level_dbfs(sound, without_offset=True), "", uncertainty=LEVEL_U_DB)
    bench.measure("offset_dbfs", offset_dbfs(sound), "", uncertainty=LEVEL_U_DB)


@procedure("echo", measures={"echo_loss_db": Unit.DECIBEL})
async def echo(bench: HeadsetBench, recorder: Recorder) -> None:
    """The coupler is taken away: what still comes from the ears to the microphone is the headset's own echo."""
    await bench.eye.couple(left=0.0, right=0.0)
    sound = noise(RATE, seed=31)
    one = await or_refused(bench.loop(sound, name="echo", tail_s=ECHO_S + 0.3))
    if not isinstance(one, Loop):
        bench.measure_rest(echo, one)
        return
    begin = max(0, one.began + round(one.recording.ahead) - RATE // 20)
    try:
        loss, at = echo_loss_db(one.sent, one.heard[begin:], up_to=round(ECHO_S * RATE))
    except BadInput as error:
        bench.measure("echo_loss_db", None, error.detail)
        return
    note = f"after about {(at - RATE // 20) * 1000 / RATE:.0f} ms" if loss < 120 else "nothing came back"
    bench.measure("echo_loss_db", loss, note, uncertainty=ECHO_U_DB)
