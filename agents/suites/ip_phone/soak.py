"""What only shows in time: calls by the thousand in both directions, and the pace of audio over an hour."""

import asyncio
from dataclasses import dataclass

from agents.drivers import DriverRefused
from agents.instruments.dialog import expecting_calls
from agents.instruments.host_pace import HostPace, shares_this_host
from agents.instruments.rtp_analysis import longest_gap_ms, missing
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.many_calls import end_call, is_heard, one_call, until_back
from agents.suites.ip_phone.torture_watch import restarts
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

INVITE_WITHIN_S = 5.0
ACK_WITHIN_S = 3.0
FAILED_MAX = 20
NOTES_MAX = 5
SETTLE_S = 0.5
CALL_S_MAX = 600.0
"""A bench keeps the packets of a call; of a longer one it had no room for all."""
STALL_MS_MAX = 10.0
"""A call in which the host held a perfect sender up by more than this is made again: of the limit of 40 ms a third is
what a verdict bears.
"""
AGAIN_MAX = 3


@procedure("soak", measures={"failed_calls_per_thousand": Unit.COUNT, "restarts": Unit.COUNT})
async def soak(bench: PhoneBench, recorder: Recorder) -> None:
    """Calls by turns in both directions, evenly spread over a time: each is to be set up, heard and ended.

    ``calls`` and ``spread_s`` are parameters. After twenty calls that failed no more are made, and what was made
    counts. A phone that registers as after a restart has restarted.
    """
    calls, spread_s = int(bench.parameter("calls")), float(bench.parameter("spread_s"))
    failed: list[str] = []
    begun_anew, seen, made = 0, len(bench.registrar.records), 0
    begins_s = bench.clock.boottime_s()
    for number in range(calls):
        await asyncio.sleep(max(0.0, begins_s + spread_s * number / calls - bench.clock.boottime_s()))
        made += 1
        way = "to" if number % 2 == 0 else "from"
        try:
            wrong = await (_call_to_phone(bench) if way == "to" else _call_from_phone(bench))
        except LabError:
            await until_back(bench, seen)
            wrong = "the phone was gone"
        records = bench.registrar.records.all()
        begun_anew += restarts(records, seen)
        seen = len(records)
        if wrong:
            failed.append(f"call {made} {way} the phone: {wrong}")
        if len(failed) >= FAILED_MAX:
            break
    note = f"{len(failed)} of {made} calls failed" + "".join(f"; {words}" for words in failed[:NOTES_MAX])
    bench.measure("failed_calls_per_thousand", 1000 * len(failed) / made, note, uncertainty=0.0)
    hours = (bench.clock.boottime_s() - begins_s) / 3600
    bench.measure("restarts", begun_anew, f"watched for {hours:.2f} hours, {made} calls")


async def _call_to_phone(bench: PhoneBench) -> str:
    """What went wrong, or nothing. Raises LabError where the keys cannot be pressed."""
    call, wrong = await one_call(bench)
    if not wrong and not await is_heard(call):
        wrong = ["no audio came"]
    await _end(bench, call)
    return "; ".join(wrong)


async def _call_from_phone(bench: PhoneBench) -> str:
    port, audio = bench.open_call_audio()
    host, number = bench.endpoint.address
    with expecting_calls(bench.endpoint, audio=audio) as arrived:
        try:
            await bench.driver.dial(f"sip:bench@{host}:{number}")
        except DriverRefused as error:
            port.close()
            return f"the phone does not dial: {error.detail}"
        dialog = await arrived.first(lambda _: True, timeout_s=INVITE_WITHIN_S)
        if dialog is None or dialog.invitation is None:
            port.close()
            await bench.driver.reset()
            return "no INVITE came"
        call = Call(dialog, port, audio)
        bench.calls.append(call)
        dialog.ring()
        dialog.accept()
        acknowledged = await dialog.invitation.acknowledged(timeout_s=ACK_WITHIN_S)
        heard = await is_heard(call)
    await _end(bench, call)
    return "our 200 was not acknowledged" if acknowledged is None else "" if heard else "no audio came"


async def _end(bench: PhoneBench, call: Call) -> None:
    """End it, and keep nothing of one in which the bench lost nothing: a thousand would fill any memory."""
    await end_call(bench, call)
    if not call.port.kernel_dropped and not call.port.heard.dropped and not call.port.unsendable:
        bench.calls.remove(call)


@dataclass(frozen=True, kw_only=True)
class _Paced:
    """What one call came to."""

    gap_ms: float
    stall_ms: float
    missing: int
    packets: int
    seconds: float


@procedure("long-pacing", measures={"interval_max_ms": Unit.MILLISECOND, "packets_missing": Unit.COUNT})
async def long_pacing(bench: PhoneBench, recorder: Recorder) -> None:
    """The longest interval of the phone's audio in calls of ten minutes, one after the other, for a time (parameters).

    By the kernel's times of arrival; what the bench's host would have done to a perfect sender meanwhile is its stall.
    A call in which that was too much is made again, at most three in all: one stall does not cost the hour.
    """
    left_s, call_s = float(bench.parameter("window_s")), float(bench.parameter("call_s"))
    if not 0 < call_s <= CALL_S_MAX:
        raise LabError(f"the programme asks for calls of {call_s:g} s; expected more than 0 and at most {CALL_S_MAX:g}")
    if left_s <= 0:
        raise LabError(f"the programme asks for {left_s:g} s of audio; expected more than 0")
    watched: list[_Paced] = []
    thrown_away = 0
    while left_s > 0:
        call = await bench.established_call()
        if call is None or await call.first_packet(boottime_ns(), 2.0) is None:
            after = f"after {sum(one.seconds for one in watched):.0f} s the phone did not take a call, or sent no audio"
            bench.measure_rest(long_pacing, after)
            return
        await asyncio.sleep(SETTLE_S)
        found = await _watch(bench, call, min(left_s, call_s))
        if found.stall_ms > STALL_MS_MAX and thrown_away < AGAIN_MAX:
            thrown_away += 1
        else:
            watched.append(found)
            left_s -= call_s
        if left_s > 0:
            await _end(bench, call)
    note = f"{sum(one.packets for one in watched)} packets in {sum(one.seconds for one in watched):.0f} s"
    if thrown_away:
        note += f"; calls made again because the bench's host stalled: {thrown_away}"
    stall_ms = max(one.stall_ms for one in watched)
    bench.measure("interval_max_ms", max(one.gap_ms for one in watched), note, bench_stall=stall_ms)
    bench.measure("packets_missing", sum(one.missing for one in watched), note)


async def _watch(bench: PhoneBench, call: Call, seconds: float) -> _Paced:
    async with HostPace() as host:
        since_ns = boottime_ns()
        await asyncio.sleep(seconds)
        until_ns = boottime_ns()
    packets = call.packets(since_ns, until_ns)
    return _Paced(
        gap_ms=longest_gap_ms(packets, since_ns, until_ns),
        stall_ms=host.latest_ms() if shares_this_host(bench.registered().peer[0]) else 0.0,
        missing=missing(packets),
        packets=len(packets),
        seconds=(until_ns - since_ns) / 1e9,
    )
