"""Mute and loudness by the headset's own controls: muted is silent and stays so, a decibel is a decibel."""

import numpy as np

from agents.instruments.loop_follow import Signal, noise
from agents.instruments.loop_quality import gain_db, level_dbfs
from agents.instruments.usb.port import StreamRefused
from agents.measure import LabError, Recorder, procedure
from agents.suites.usb_headset.bench import HeadsetBench, Loop, or_refused
from lab_inventory.measurement import Unit

TALKER_HZ, TALKER_PEAK = 1000.0, 8000.0
LISTEN_S = 0.45
HEARD_DBFS_MIN = -40.0
"""The talker is at -15 dBFS: a microphone that gives less than this without mute proves nothing with it."""

LEVEL_U_DB = 0.1
"""Expanded uncertainty of a level from 14 000 samples of a tone or a noise."""

_PRINTED_SPAN = 0.0028 * 32_768 / 100
"""What "0.0028 dBFS" of the source may mean at most: a share of full scale in percent, in LSB."""


@procedure("mute-silence", measures={"muted_dbfs": Unit.DBFS, "digital_silence": Unit.BOOL})
async def mute_silence(bench: HeadsetBench, recorder: Recorder) -> None:
    """Somebody talks, heard and then muted by the host's control."""
    why_not = await _talk_into(bench)
    if why_not or not await bench.port.set_mute(True):
        bench.measure_rest(mute_silence, why_not or "the headset has no mute control")
        return
    sound = await bench.silence(LISTEN_S, name="muted")
    bench.measure("muted_dbfs", level_dbfs(sound), f"{len(sound)} samples", uncertainty=LEVEL_U_DB)
    span = float(np.ptp(sound)) if len(sound) else 0.0
    bench.measure("digital_silence", len(sound) > 0 and span <= _PRINTED_SPAN, f"a span of {span:g} LSB")


@procedure("mute-survives", measures={"kept_over_reopen": Unit.BOOL, "kept_over_replug": Unit.BOOL})
async def mute_survives(bench: HeadsetBench, recorder: Recorder) -> None:
    """Muted by the host, then the stream is closed and opened again, and the headset unplugged and plugged in again."""
    why_not = await _talk_into(bench)
    if why_not or not await bench.port.set_mute(True):
        bench.measure_rest(mute_survives, why_not or "the headset has no mute control")
        return
    levels = [level_dbfs(await bench.silence(LISTEN_S, name=f"reopened-{number}")) for number in (1, 2)]
    silent = all(level <= HEARD_DBFS_MIN for level in levels)
    bench.measure("kept_over_reopen", silent, f"levels after opening: {levels[0]:.1f} and {levels[1]:.1f} dBFS")
    if bench.port.host_sets_mixers:
        why = "this host sets the mixer of every card that appears (alsactl); mask udev's rule 90-alsa-restore.rules"
        bench.leave_unmeasured("kept_over_replug", why)
        return
    if await bench.replug() is None:
        raise LabError("the headset did not come back after it was plugged in")
    told = await bench.port.muted()
    level = level_dbfs(await bench.silence(LISTEN_S, name="plugged-in-again"))
    kept = bool(told) and level <= HEARD_DBFS_MIN
    bench.measure("kept_over_replug", kept, f"the control says {'muted' if told else 'open'}, level {level:.1f} dBFS")


@procedure("loudness-controls", measures={"volume_error_db": Unit.DECIBEL, "gain_error_db": Unit.DECIBEL})
async def loudness_controls(bench: HeadsetBench, recorder: Recorder) -> None:
    """The ears' volume and the microphone's gain, set to other values: the sound changes by what was set."""
    sound = noise(14_400, seed=5)
    bench.controls_at_rest = False
    at_rest = await _gain(bench, sound, "at 0 dB")
    if isinstance(at_rest, str):
        bench.measure_rest(loudness_controls, at_rest)
        return
    for quantity, turn, steps in (
        ("volume_error_db", bench.port.set_volume, (-6.0, -18.0)),
        ("gain_error_db", bench.port.set_gain, (-6.0,)),
    ):
        errors: list[float] = []
        told: list[str] = []
        for wanted in steps:
            loudness = await turn(wanted)
            if loudness is None:
                break
            found = await _gain(bench, sound, f"{quantity} at {wanted:g} dB")
            if isinstance(found, str):
                told.append(found)
                break
            errors.append(abs(found - at_rest - loudness.set_db))
            told.append(f"set to {loudness.set_db:g} dB it changed by {found - at_rest:.2f} dB")
        await turn(0.0)
        if len(errors) < len(steps):
            bench.measure(quantity, None, "; ".join(told) or "the headset has no such control")
        else:
            bench.measure(quantity, max(errors), "; ".join(told), uncertainty=LEVEL_U_DB)


async def _gain(bench: HeadsetBench, sound: Signal, name: str) -> float | str:
    """The loop's gain, or why there is none."""
    one = await or_refused(bench.loop(sound, name=name))
    if not isinstance(one, Loop):
        return one
    return "the sound was not found again" if one.followed is None else gain_db(one.sent, one.heard, one.followed)


async def _talk_into(bench: HeadsetBench) -> str:
    """Let the talker sound; gives why the microphone does not hear it, or nothing."""
    bench.controls_at_rest = False
    await bench.eye.couple(left=0.0, right=0.0)
    await bench.eye.talk(hertz=TALKER_HZ, peak=TALKER_PEAK)
    try:
        level = level_dbfs(await bench.silence(LISTEN_S, name="talker"))
    except StreamRefused as error:
        return str(error)
    return "" if level >= HEARD_DBFS_MIN else f"not muted, the talker is heard at {level:.1f} dBFS only"
