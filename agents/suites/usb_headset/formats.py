"""Rates and delay of the headset's sound, counted in samples and so in the time of the bus."""

import numpy as np

from agents.instruments.loop_follow import noise, resampled
from agents.instruments.usb.audio import AudioFunction, read_audio
from agents.instruments.usb.raw import UnreadableDescriptor
from agents.instruments.usb.standard import read_configuration
from agents.measure import Recorder, procedure
from agents.suites.usb_headset.bench import PAD_S, HeadsetBench, Loop, or_refused
from lab_inventory.measurement import Unit

NOISE_S = 0.35
RATE_MIN = 16_000
BOTH_AT = 48_000
IN_USE = (8_000, 16_000, 32_000, 48_000)
UAC2 = 0x0200
NOT_ASKED = "a headset of USB Audio 2.0 has its rates in clocks, which this suite does not ask"
WORKS_MIN = 0.5
"""A rate works where the sound correlates at least so well with what was played."""

RATE_U_PERCENT = 0.002
"""Expanded: noises of known rate error are measured to within 15 ppm."""

LOOP_U_MS = 1.0
"""On top of how far the host's own reports of its positions lie apart."""

FAR_MS = 500.0
"""A sound that comes later than this is no longer one loop."""


@procedure(
    "rates",
    measures={"declared_rates_work": Unit.BOOL, "rate_error_percent": Unit.PERCENT, "both_ways_at_48_khz": Unit.BOOL},
)
async def rates(bench: HeadsetBench, recorder: Recorder) -> None:
    """Every rate that both directions declare, both ways at once. What comes back is fitted with a line: the samples
    recorded over those played, both counted in frames of the bus, so no clock of a host is in it.
    """
    audio = await _audio(bench)
    if audio.version >= UAC2:
        bench.leave_rest(rates, NOT_ASKED)
        return
    declared = sorted(rates_of(audio, is_in=True) & rates_of(audio, is_in=False))
    works: dict[int, str] = {}
    errors: list[float] = []
    for rate in declared:
        one = await or_refused(
            bench.loop(noise(round(NOISE_S * rate), seed=rate, rate=rate), rate=rate, name=f"{rate} Hz")
        )
        why_not = _why_not(one)
        if not why_not and isinstance(one, Loop) and one.followed is not None:
            errors.append(abs(one.followed.rate_error_ppm) / 1e4)
        works[rate] = why_not
    wrong = "; ".join(f"{rate} Hz: {why}" for rate, why in works.items() if why)
    enough = bool(declared) and max(declared) >= RATE_MIN
    note = wrong or f"both ways declared: {', '.join(f'{rate} Hz' for rate in declared) or 'no rate'}"
    bench.measure("declared_rates_work", enough and not wrong, note)
    bench.measure("both_ways_at_48_khz", works.get(BOTH_AT, "not declared") == "", note)
    if errors:
        bench.measure("rate_error_percent", max(errors), note, uncertainty=RATE_U_PERCENT)
    else:
        bench.measure("rate_error_percent", None, f"at no rate was the sound found again; {note}")


@procedure("rate-pairs", measures={"pairs_work": Unit.BOOL})
async def rate_pairs(bench: HeadsetBench, recorder: Recorder) -> None:
    """Every pair of different declared rates, played at one and recorded at the other at once."""
    audio = await _audio(bench)
    if audio.version >= UAC2:
        bench.leave_rest(rate_pairs, NOT_ASKED)
        return
    pairs = [
        (played, recorded)
        for played in sorted(rates_of(audio, is_in=False))
        for recorded in sorted(rates_of(audio, is_in=True))
        if played != recorded
    ]
    wrong = []
    for played, recorded in pairs:
        up_to = 0.35 * min(played, recorded)
        sound = noise(round(NOISE_S * played), seed=played, rate=played, up_to_hz=up_to)
        one = await or_refused(
            bench.loop(
                sound, rate=played, record_rate=recorded, at_record_rate=resampled(sound, played, recorded),
                name=f"{played} Hz played, {recorded} Hz recorded",
            )
        )  # fmt: skip
        why_not = _why_not(one)
        if why_not:
            wrong.append(f"{played} Hz played and {recorded} Hz recorded: {why_not}")
    bench.measure("pairs_work", bool(pairs) and not wrong, "; ".join(wrong) or f"{len(pairs)} pairs")


@procedure(
    "latency",
    measures={
        "first_sound_ms": Unit.MILLISECOND,
        "loop_ms": Unit.MILLISECOND,
        "loop_spread_ms": Unit.MILLISECOND,
        "report_error_ms": Unit.MILLISECOND,
    },
)
async def latency(bench: HeadsetBench, recorder: Recorder) -> None:
    """From ear to mouth over several openings: the host's own share is taken off as the host itself reports it.

    Delays are differences of sample positions, in frames of the bus. Only the time to the first sound is by the
    host's clock: where an emulated bus stood still meanwhile, that window proves nothing.
    """
    sound = noise(12_000, seed=11)
    found: list[float] = []
    spread = first = stretch = 0.0
    for number in range(int(bench.parameter("openings"))):
        one = await or_refused(bench.loop(sound, name=f"opening {number + 1}", tail_s=0.6))
        if not isinstance(one, Loop) or one.followed is None or one.latency_ms is None:
            bench.measure_rest(latency, one if isinstance(one, str) else "the sound was not found again")
            return
        found.append(one.latency_ms)
        spread = max(spread, one.recording.ahead_spread * 1000 / one.rate)
        arrived_ns = one.recording.arrived_ns(round(one.followed.lag))
        if arrived_ns is not None:
            since_ms = (arrived_ns - one.recording.opened_ns) / 1e6 - PAD_S * 1000
            first, stretch = (since_ms, one.stretch_ms) if since_ms > first else (first, stretch)
    told = ", ".join(f"{one:.1f}" for one in found)
    u_ms = LOOP_U_MS + spread
    value = float(np.percentile(found, 95))
    bench.measure("loop_ms", value, f"95th percentile of {told} ms", uncertainty=u_ms)
    bench.measure("loop_spread_ms", max(found) - min(found), f"openings: {told} ms", uncertainty=u_ms)
    off = f"the loop takes {value:.1f} ms more than the host was told"
    bench.measure("report_error_ms", abs(value), off, uncertainty=u_ms)
    bench.measure("first_sound_ms", first, "the slowest opening", uncertainty=u_ms, bench_stall=stretch)


def rates_of(audio: AudioFunction, *, is_in: bool) -> set[int]:
    """The rates that a direction declares for 16-bit sound, in hertz; of a continuous range those in common use."""
    found: set[int] = set()
    for one in audio.streams:
        if one.endpoint.is_in is is_in and one.bits == 16:
            low, high = one.rate_range or (1, 0)
            found |= {*one.rates, *(rate for rate in IN_USE if low <= rate <= high)}
    return found


def _why_not(one: Loop | str) -> str:
    """Why a rate does not work, or nothing."""
    if isinstance(one, str):
        return one
    if one.followed is None:
        return f"the sound was not found again in {len(one.heard)} samples"
    if one.followed.coefficient < WORKS_MIN:
        return f"what came correlates by {one.followed.coefficient:.2f} only with what was played"
    late = one.latency_ms
    return "" if late is not None and abs(late) < FAR_MS else f"the sound came after {late:.0f} ms"


async def _audio(bench: HeadsetBench) -> AudioFunction:
    """What the headset declares of its sound."""
    raw = await bench.port.descriptors()
    try:
        return read_audio(read_configuration(raw.configuration).found).found
    except UnreadableDescriptor:
        return AudioFunction(version=0, terminals=(), units=(), streams=())
