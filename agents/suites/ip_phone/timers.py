"""Requests that nobody answers: when they are repeated, and when they are given up (RFC 3261, 17.1.1.2, 17.1.2.2)."""

import asyncio
from itertools import pairwise

from agents.instruments.arrivals import Arrivals
from agents.instruments.conduct import Conduct
from agents.instruments.dialog import ignoring_calls
from agents.instruments.sip_message import Request
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import branch
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.measurement import Unit

INVITE_TIMEOUT_S = 5.0
REGISTER_WITHIN_S = 15.0
T1_MS = 500.0
REPEATS_DUE_S = 15 * T1_MS / 1000
"""Until Timer E has doubled up to T2: repeats after 0.5, 1.5, 3.5 and 7.5 s."""
GIVE_UP_S = 64 * T1_MS / 1000
TOLERANCE_S = 1.0
LATE_ACK_S = 1.0
WATCH_S = GIVE_UP_S + 2 * TOLERANCE_S


@procedure(
    "invite-give-up",
    measures={
        "interval_deviation_percent": Unit.PERCENT,
        "retransmissions": Unit.COUNT,
        "silent_after_give_up": Unit.BOOL,
    },
)
async def invite_give_up(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone dials; the bench says nothing for 34 s and notes when the INVITE comes."""
    host, port = bench.endpoint.address
    with ignoring_calls(bench.endpoint) as arrived:
        await bench.driver.dial(f"sip:nobody@{host}:{port}")
        first = await arrived.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S)
        if first is None:
            for quantity in invite_give_up.measures:
                bench.measure(quantity, None, "no INVITE came")
            return
        await asyncio.sleep(WATCH_S)
        arrivals = list(first.arrivals_ns)
    # Told now that nobody is there, a phone that has given up has nothing left that could acknowledge it (17.1.1.3).
    late = await first.acknowledged(timeout_s=LATE_ACK_S)
    bench.measure("retransmissions", len(arrivals) - 1)
    worst, stall = deviation(arrivals), stall_percent(bench, arrivals)
    note = " ".join(f"{(at - arrivals[0]) / 1e9:.3f}" for at in arrivals) + " s"
    bench.measure("interval_deviation_percent", worst, note if worst is not None else "no repeats", bench_stall=stall)
    last_s = (arrivals[-1] - arrivals[0]) / 1e9
    others = len(arrived.all()) - 1
    silent = last_s <= GIVE_UP_S + TOLERANCE_S and others == 0 and late is None
    waited = "" if late is None else f"; it still acknowledged a failure sent after {WATCH_S:g} s"
    bench.measure("silent_after_give_up", silent, f"last INVITE after {last_s:.1f} s, {others} other call(s){waited}")


@procedure(
    "non-invite-repeats",
    measures={
        "register_deviation_percent": Unit.PERCENT,
        "register_repeats": Unit.COUNT,
        "bye_deviation_percent": Unit.PERCENT,
        "bye_repeats": Unit.COUNT,
    },
)
async def non_invite_repeats(bench: PhoneBench, recorder: Recorder) -> None:
    """A BYE and a REGISTER get no answer at first; both are watched until Timer E has reached T2."""
    call = await bench.established_call(conduct=Conduct(bye=None))
    with bench.registrar.silence():
        known = len(bench.registrar.unanswered)
        watching = asyncio.create_task(_watch_register(bench.registrar.unanswered, known))
        try:
            if call is None:
                bench.measure("bye_deviation_percent", None, "the phone did not take the call")
                bench.measure("bye_repeats", None, "the phone did not take the call")
            else:
                await _watch_bye(bench, call)
            arrivals = await watching
        finally:
            watching.cancel()
    _measure_repeats(bench, "register", arrivals, f"no REGISTER came within {REGISTER_WITHIN_S:g} s")


async def _watch_bye(bench: PhoneBench, call: Call) -> None:
    await bench.try_key(bench.driver.hang_up)
    bye = await call.dialog.request("BYE", timeout_s=INVITE_TIMEOUT_S)
    if bye is None:
        _measure_repeats(bench, "bye", [], "no BYE came after the hang-up key")
        return
    await asyncio.sleep(REPEATS_DUE_S + TOLERANCE_S)
    arrivals = list(bye.arrivals_ns)
    call.dialog.respond(bye, 200)
    _measure_repeats(bench, "bye", arrivals, "")


async def _watch_register(unanswered: Arrivals[Received[Request]], known: int) -> list[int]:
    """The arrivals of the first REGISTER that nobody answers; empty where none came.

    One that an earlier silence left unanswered may still be repeated: only its end would be seen.
    """
    begun = {branch(one.message) for one in unanswered.all()[:known]}
    first = await unanswered.first(
        lambda one: branch(one.message) not in begun, timeout_s=REGISTER_WITHIN_S, skip=known
    )
    if first is None:
        return []
    await asyncio.sleep(REPEATS_DUE_S + TOLERANCE_S)
    wanted = branch(first.message)
    return [one.at_ns for one in unanswered.all()[known:] if branch(one.message) == wanted]


def _measure_repeats(bench: PhoneBench, what: str, arrivals_ns: list[int], nothing: str) -> None:
    """``what``_repeats, and how far their intervals are from Timer E."""
    if not arrivals_ns:
        bench.measure(f"{what}_deviation_percent", None, nothing)
        bench.measure(f"{what}_repeats", None, nothing)
        return
    note = " ".join(f"{(at - arrivals_ns[0]) / 1e9:.3f}" for at in arrivals_ns) + " s"
    worst, stall = deviation(arrivals_ns), stall_percent(bench, arrivals_ns)
    bench.measure(f"{what}_deviation_percent", worst, note if worst is not None else "no repeats", bench_stall=stall)
    bench.measure(f"{what}_repeats", len(arrivals_ns) - 1, note)


def deviation(arrivals_ns: list[int]) -> float | None:
    """The worst deviation of an interval from T1 doubled each time, in percent; None without a repeat."""
    intervals = [(later - earlier) / 1e6 for earlier, later in pairwise(arrivals_ns)]
    nominal = [T1_MS * 2**place for place in range(len(intervals))]
    return max(
        (abs(seen - due) / due * 100 for seen, due in zip(intervals, nominal, strict=True)),
        default=None,
    )


def stall_percent(bench: PhoneBench, arrivals_ns: list[int]) -> float:
    """How late the bench was around each arrival, in percent of the interval before it. Times are the kernel's."""
    late = [
        bench.lateness_ms(at - 50_000_000, at + 50_000_000) / (T1_MS * 2**place) * 100
        for place, at in enumerate(arrivals_ns[1:])
    ]
    return max(late, default=0.0)
