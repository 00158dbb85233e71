"""Many calls in a row: what leaks, and what wears out, shows in one of them."""

import asyncio

from agents.instruments.audio import decode, level_dbfs
from agents.instruments.rtp_analysis import payloads
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, RING_SOON_S, PhoneBench
from agents.suites.ip_phone.call import LEVEL_DBFS_MIN, Call
from agents.suites.ip_phone.calls import answer_faults
from agents.suites.ip_phone.torture_watch import restarts
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

AUDIO_WITHIN_S = 1.0
LISTEN_S = 0.12
END_WITHIN_S = 3.0
BACK_WITHIN_S = 60.0
NOTES_MAX = 5
FAULTS_MAX = 10


@procedure(
    "many-calls",
    measures={"calls_answered": Unit.COUNT, "calls_with_audio": Unit.COUNT, "restarts": Unit.COUNT},
)
async def many_calls(bench: PhoneBench, recorder: Recorder) -> None:
    """The bench calls the phone again and again; each call is answered, heard and ended.

    After ten calls that went wrong no more are made: what was not made counts as not answered. A phone that is gone on
    the wire and at its keys is waited for: one that registers as after a restart has restarted; one that does not come
    back at all is an error of the lab's, who must look whether it is still plugged in.
    """
    calls = int(bench.parameter("calls"))
    answered = heard = begun_anew = 0
    faults: list[str] = []
    seen = len(bench.registrar.records)
    for number in range(1, calls + 1):
        try:
            call, wrong = await one_call(bench)
        except LabError:
            await until_back(bench, seen)
            call, wrong = None, ["the phone was gone"]
        records = bench.registrar.records.all()
        begun_anew += restarts(records, seen)
        seen = len(records)
        answered += not wrong
        loud = call is not None and not wrong and await is_heard(call)
        heard += loud
        if wrong or not loud:
            faults.append(f"call {number}: {'; '.join(wrong) or 'no audio came'}")
        if call is not None:
            await end_call(bench, call)
        if len(faults) >= FAULTS_MAX:  # no level is met any more: the rest would only take time
            break
    more = f"; and {len(faults) - NOTES_MAX} more" if len(faults) > NOTES_MAX else ""
    note = f"{number} of {calls} calls were made{': ' if faults else ''}{'; '.join(faults[:NOTES_MAX])}{more}"
    bench.measure("calls_answered", answered, note)
    bench.measure("calls_with_audio", heard, note)
    bench.measure("restarts", begun_anew, f"{begun_anew} times the phone registered as after a restart")


async def one_call(bench: PhoneBench) -> tuple[Call, list[str]]:
    """One call as far as its answer, and what is wrong with that. Raises LabError where the keys cannot be pressed."""
    call, invite = bench.call_phone()
    await invite.response(180, timeout_s=RING_SOON_S)
    if await invite.final(timeout_s=0) is None:
        await bench.press_answer(invite)
    return call, answer_faults(call.dialog, await invite.final(timeout_s=ANSWER_TIMEOUT_S))


async def is_heard(call: Call) -> bool:
    """Whether audio above the silence of a line comes in the codec agreed on."""
    since_ns = boottime_ns()
    if await call.first_packet(since_ns, AUDIO_WITHIN_S) is None or call.codec is None:
        return False
    await asyncio.sleep(LISTEN_S)
    pcm = decode(call.codec.encoding, payloads(call.packets(since_ns), call.codec.payload_type))
    return level_dbfs(pcm) >= LEVEL_DBFS_MIN


async def end_call(bench: PhoneBench, call: Call) -> None:
    """End one call, so that the next finds the phone idle, and keep no port of it."""
    if call.dialog.established and not call.dialog.ended:
        if await call.dialog.bye().final(timeout_s=END_WITHIN_S) is None:
            await bench.driver.reset()
    elif not call.dialog.ended:
        await call.dialog.cancel().final(timeout_s=END_WITHIN_S)
    call.port.close()


async def until_back(bench: PhoneBench, seen: int) -> None:
    """Wait until a phone that was gone registers again. Raises LabError where it does not."""
    back = await bench.registrar.records.first(lambda record: record.binds, timeout_s=BACK_WITHIN_S, skip=seen)
    if back is None:
        raise LabError(f"the phone is gone, on the wire and at its keys, and not back within {BACK_WITHIN_S:g} s")
    await bench.driver.reset()
