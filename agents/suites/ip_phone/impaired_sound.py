"""What comes to the earpiece over a bad network: drop-outs, what is concealed, and how much worse the sound is."""

import asyncio
from dataclasses import dataclass

from agents.instruments.audio import sample_rate_hz
from agents.instruments.audio_port import LEAD_S, AudioPort
from agents.instruments.echo_path import repeated_noise
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sender.profiles import NETWORK_PROFILES, NetworkProfile
from agents.instruments.sound.samples import from_pcm
from agents.instruments.sound.score import SoundScore
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.handset_sound import (
    DROP_OUT_UNCERTAINTY_MS,
    SETTLE_S,
    TAIL_S,
    heard_from,
    keep_recording,
    plugged_in,
    scored,
    talking,
)
from lab_inventory.measurement import Unit

LEVEL_DBFS = -26.0
SILENT_MS_MIN = 10.0
"""A packet of 20 ms that was lost and left silent is silent for longer than this."""
SNR_UNCERTAINTY_DB = 1.0


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One signal over one network: what it came to, how many of its packets were lost, how late the bench was (ms)."""

    score: SoundScore
    lost: int
    late_ms: float


@procedure(
    "impaired-sound",
    measures={
        "impaired_interruption_ms": Unit.MILLISECOND,
        "impaired_concealed_percent": Unit.PERCENT,
        "impaired_snr_fall_db": Unit.DECIBEL,
    },
)
async def impaired_sound(bench: PhoneBench, recorder: Recorder) -> None:
    """One call; noise without pauses is sent once over a clean network, and with each seed over a bad one.

    The network and the number of seeds are parameters. Segmental SNR is against what was sent, after its codec; of the
    fall, that of the clean passage is taken off.
    """
    network, seeds = network_of(bench), int(bench.parameter("seeds"))
    async with plugged_in(bench) as port:
        found = await talking(bench, port, impaired_sound)
        if found is None:
            return
        call, _ = found
        await asyncio.sleep(SETTLE_S)
        seconds = float(bench.parameter("window_s"))
        clean = await _passage(call, port, CLEAN, 0, seconds)
        bad = [await _passage(call, port, network.impairment, seed, seconds) for seed in range(1, seeds + 1)]
        keep_recording(recorder, port)
    _measure(bench, clean, [one for one in bad if one is not None])


def network_of(bench: PhoneBench) -> NetworkProfile:
    """The network that the parameter ``network`` of the case names. Raises LabError where none is called so."""
    name = str(bench.parameter("network"))
    profile = NETWORK_PROFILES.get(name)
    if profile is None:
        raise LabError(f"the programme names no network that is known: {name}; known are {', '.join(NETWORK_PROFILES)}")
    return profile


async def _passage(call: Call, port: AudioPort, impairment: Impairment, seed: int, seconds: float) -> Passage | None:
    """Send the noise once, and score what comes to the earpiece; None where the phone wants no audio."""
    codec = call.codec
    if codec is None:
        return None
    rate_hz = sample_rate_hz(codec.encoding)
    noise = repeated_noise(rate_hz=rate_hz, seconds=seconds, level_dbfs=LEVEL_DBFS, seed=seed)
    sent = await call.send_speech(noise.tolist(), impairment=impairment, seed=seed)
    if sent is None:
        return None
    await asyncio.sleep(TAIL_S + LEAD_S)
    heard = heard_from(port, sent.started_ns, seconds + TAIL_S, rate_hz)
    score = await asyncio.to_thread(scored, from_pcm(noise), heard, rate_hz, codec.encoding)
    late_ms = call.port.lateness_ms(sent.started_ns, sent.ends_ns)
    return Passage(score=score, lost=len(sent.plan.lost), late_ms=late_ms)


def _measure(bench: PhoneBench, clean: Passage | None, bad: list[Passage]) -> None:
    heard = [one.score.heard for one in bad if one.score.heard is not None]
    if clean is None or clean.score.heard is None or not bad or len(heard) < len(bad):
        why = next((one.score.refused for one in (*([clean] if clean else []), *bad) if one.score.refused), None)
        bench.measure_rest(impaired_sound, f"what was sent was not heard: {why or 'the phone wants no audio'}")
        return
    stall = max(one.late_ms for one in bad)
    silent_ms = [1000 * drop.length_s for one in heard for drop in one.drop_outs]
    lost = sum(one.lost for one in bad)
    note = f"{lost} packets lost by {len(bad)} seeds, {len(silent_ms)} drop-outs"
    bench.measure(
        "impaired_interruption_ms",
        max(silent_ms, default=0.0),
        note,
        bench_stall=stall,
        uncertainty=DROP_OUT_UNCERTAINTY_MS,
    )
    silent = sum(length_ms >= SILENT_MS_MIN for length_ms in silent_ms)
    if lost:
        share = 100 * max(0.0, 1 - silent / lost)
        bench.measure("impaired_concealed_percent", share, note, uncertainty=100 / lost)
    else:
        bench.leave_unmeasured("impaired_concealed_percent", "the network lost no packet with these seeds")
    own = clean.score.heard.segmental_snr_db
    others = [one.segmental_snr_db for one in heard if one.segmental_snr_db is not None]
    if own is None or not others:
        bench.measure("impaired_snr_fall_db", None, "no segmental SNR could be reckoned")
        return
    mean_db = sum(others) / len(others)
    words = f"{own:.1f} dB over the clean network, {min(others):.1f} to {max(others):.1f} dB over the bad one"
    bench.measure("impaired_snr_fall_db", own - mean_db, words, uncertainty=SNR_UNCERTAINTY_DB)
