"""Opus (RFC 6716, RFC 7587), offered alone in one call: heard, and timed by its own clock."""

from agents.instruments.opus import opus_ticks
from agents.instruments.rtp_analysis import timestamp_faults
from agents.instruments.sdp import OPUS, answer_problems
from agents.libopus import OpusMissing
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import opus_tone
from lab_inventory.measurement import Unit


@procedure("opus", measures={"codec_opus": Unit.BOOL, "opus_timestamps_right": Unit.BOOL})
async def opus(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone is called with Opus alone; what the microphone hears must come in it, by the clock of 48 kHz."""
    if bench.declared_absent("codec.opus"):
        bench.measure_rest(opus, "Opus is declared absent")
        return
    try:
        opus_tone()  # before the call: encoding takes longer than a packet may be late
    except OpusMissing as error:
        raise LabError(error.detail) from error
    call = await bench.established_call((OPUS,))
    if call is None:
        bench.measure("codec_opus", False, "the phone does not take a call that offers opus/48000/2 alone")
        bench.measure_rest(opus, "there was no call with Opus")
        return
    offer, answer, codec = call.dialog.offer, call.dialog.remote, call.codec
    problems = answer_problems(offer, answer) if offer and answer else ("the 200 has no answer",)
    if codec is None:
        bench.measure("codec_opus", False, "; ".join(["the answer does not have opus/48000/2", *problems]))
        bench.measure_rest(opus, "there was no call with Opus")
        return
    heard, words = await call.audio_heard(float(bench.ixit.get("tone", 1000)))
    packets = call.packets()
    payloads = [packet.payload for packet in packets if packet.payload_type == codec.payload_type]
    unreadable = sum(opus_ticks(payload) is None for payload in payloads)
    if unreadable:
        problems = (*problems, f"{unreadable} of {len(payloads)} payloads are no Opus packets (RFC 6716, 3.4)")
    bench.measure("codec_opus", heard and not problems, "; ".join([words, *problems]))
    if len(payloads) < 2:
        bench.measure("opus_timestamps_right", None, f"{len(payloads)} packets with Opus came")
        return
    wrong = timestamp_faults(packets, codec.payload_type, ticks_of=lambda payload: opus_ticks(payload) or 0)
    first = f", the first: {wrong[0]}" if wrong else ""
    bench.measure("opus_timestamps_right", not wrong, f"{len(wrong)} wrong steps in {len(payloads)} packets{first}")
