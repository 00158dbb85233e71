"""Codecs, DTMF events and the pace of RTP."""

import asyncio
from collections.abc import Sequence

from agents.instruments.audio import decode
from agents.instruments.dtmf import KeyEvent, event_faults, key_events
from agents.instruments.host_pace import HostPace, shares_this_host
from agents.instruments.key_tones import key_in_audio
from agents.instruments.reference_stream import ReferenceStream
from agents.instruments.rtp_analysis import missing, pace, payloads
from agents.instruments.sdp import G722, PCMA, PCMU, TELEPHONE_EVENT
from agents.measure import Recorder, procedure
from agents.punctual import processors_awake
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

KEYS_TIMEOUT_S = 3.0
KEY_S = 0.4
SETTLE_S = 0.5
_CODECS = {"codec_pcmu": PCMU, "codec_pcma": PCMA, "codec_g722": G722}


@procedure("codecs", measures=dict.fromkeys(_CODECS, Unit.BOOL))
async def codecs(bench: PhoneBench, recorder: Recorder) -> None:
    """One call for each codec, offered alone; what the microphone hears must come in it."""
    for quantity, offered in _CODECS.items():
        call = await bench.established_call((offered, TELEPHONE_EVENT))
        if call is None:
            bench.measure(quantity, False, f"the phone does not take a call that offers {offered.encoding} alone")
            continue
        if call.codec is None:
            bench.measure(quantity, False, f"the answer does not have {offered.encoding}")
        else:
            heard, words = await call.audio_heard(float(bench.ixit.get("tone", 1000)))
            bench.measure(quantity, heard, words)
        final = await call.dialog.bye().final(timeout_s=1.0)
        if final is None:
            await bench.driver.reset()
        call.port.close()


@procedure(
    "dtmf-events",
    measures={
        "digits_correct": Unit.BOOL,
        "timestamp_constant": Unit.BOOL,
        "event_fields_valid": Unit.BOOL,
        "audio_without_tones": Unit.BOOL,
        "end_packets_min": Unit.COUNT,
        "duration_error_ms": Unit.MILLISECOND,
    },
)
async def dtmf(bench: PhoneBench, recorder: Recorder) -> None:
    """Every key is pressed once in a call; each must come as one event, and not as tones in the audio as well."""
    digits = str(bench.parameter("digits"))
    call = await bench.established_call()
    event = call.event_format if call else None
    if call is None or event is None:
        for quantity in dtmf.measures:
            bench.measure(quantity, None, "no call with telephone events was agreed on")
        return
    await call.first_packet(boottime_ns(), 2.0)
    pressed_ns = boottime_ns()
    await bench.driver.press_keys(digits)
    until_ns = boottime_ns() + int((KEYS_TIMEOUT_S + KEY_S * len(digits)) * 1e9)
    keys = key_events(call.packets(pressed_ns), event.payload_type)
    while boottime_ns() < until_ns and len(keys) < len(digits):
        await asyncio.sleep(0.1)
        keys = key_events(call.packets(pressed_ns), event.payload_type)
    await asyncio.sleep(KEY_S)
    heard = call.packets(pressed_ns)
    keys = key_events(heard, event.payload_type)
    seen = "".join(key.digit for key in keys)
    bench.measure("digits_correct", seen == digits, f"pressed {digits}, seen {seen or 'nothing'}")
    changed = [key.digit for key in keys if not key.timestamp_constant]
    note = f"the time stamp changed within {', '.join(changed)}" if changed else ""
    bench.measure("timestamp_constant", not changed if keys else None, note if keys else "no events came")
    faults = event_faults(heard, event.payload_type)
    words = "; ".join(faults) if keys else "no events came"
    bench.measure("event_fields_valid", not faults if keys else None, words)
    _measure_tones(bench, call, pressed_ns)
    bench.measure("end_packets_min", min((key.end_packets for key in keys), default=0))
    _measure_durations(bench, keys, pressed_ns)


def _measure_tones(bench: PhoneBench, call: Call, since_ns: int) -> None:
    """Whether any packet of audio is most of all both tones of a key."""
    codec = call.codec
    heard = call.packets(since_ns) if codec else ()
    sent = payloads(heard, codec.payload_type) if codec else ()
    if codec is None or not sent:
        bench.measure("audio_without_tones", None, "no audio came")
        return
    keys = [key for key in (key_in_audio(decode(codec.encoding, (part,)), 8000) for part in sent) if key]
    note = f"{len(keys)} of {len(sent)} packets of audio" + (
        f" are tones of {''.join(sorted(set(keys)))}" if keys else ""
    )
    bench.measure("audio_without_tones", not keys, note)


def _measure_durations(bench: PhoneBench, keys: Sequence[KeyEvent], since_ns: int) -> None:
    """The worst error of a told duration; where no event has an end, there is none."""
    errors = {key.digit: key.duration_error_ms for key in keys if key.duration_error_ms is not None}
    if not errors:
        bench.measure("duration_error_ms", None, "no event with an end came")
        return
    worst = max(errors, key=errors.__getitem__)
    late_ms = bench.lateness_ms(since_ns, boottime_ns()) if shares_this_host(bench.registered().peer[0]) else 0.0
    bench.measure("duration_error_ms", errors[worst], f"the worst is of {worst}", bench_stall=late_ms)


@procedure(
    "rtp-pacing",
    measures={
        "interval_mean_deviation_percent": Unit.PERCENT,
        "interval_sd_ms": Unit.MILLISECOND,
        "packets_missing": Unit.COUNT,
    },
)
async def rtp_pacing(bench: PhoneBench, recorder: Recorder) -> None:
    """The intervals of the phone's audio in a quiet call, by the kernel's times of arrival."""
    call = await bench.established_call()
    codec = call.codec if call else None
    if call is None or codec is None:
        for quantity in rtp_pacing.measures:
            bench.measure(quantity, None, "the phone did not take the call")
        return
    await call.first_packet(boottime_ns(), 2.0)
    await asyncio.sleep(SETTLE_S)
    with processors_awake():
        async with HostPace() as host:
            since_ns = boottime_ns()
            with ReferenceStream() as reference:
                await asyncio.sleep(float(bench.parameter("window_s")))
            until_ns = boottime_ns()
    packets = call.packets(since_ns, until_ns)
    seen = pace(packets, codec.payload_type)
    ptime_ms = float(bench.ixit.get("ptime", 20))
    if seen is None:
        bench.measure("interval_mean_deviation_percent", None, "no audio packets came")
        bench.measure("interval_sd_ms", None, "no audio packets came")
        bench.measure("packets_missing", None, "no audio packets came")
        return
    note = f"{seen.intervals} intervals, longest {seen.gap_ms_max:.1f} ms"
    deviation = abs(seen.mean_ms - ptime_ms) / ptime_ms * 100
    on_this_host = shares_this_host(bench.registered().peer[0])
    still = 100 * host.standstill_share() if on_this_host else None
    bench.measure("interval_mean_deviation_percent", deviation, note, bench_stall=still)
    # The bench's share of the spread is what it adds to a stream of its own; twice that is the uncertainty (k = 2).
    own_ms = reference.spread_ms
    stall = max(own_ms, host.interval_sd_ms(ptime_ms)) if on_this_host else own_ms
    bench.measure("interval_sd_ms", seen.sd_ms, note, bench_stall=stall, uncertainty=2 * own_ms)
    bench.measure("packets_missing", missing(packets))
