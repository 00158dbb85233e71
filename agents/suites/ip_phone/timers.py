"""An INVITE that nobody answers: when it is repeated, and when it is given up (RFC 3261, 17.1.1.2)."""

import asyncio
from itertools import pairwise

from agents.instruments.dialog import ignoring_calls
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.measurement import Unit

INVITE_TIMEOUT_S = 5.0
T1_MS = 500.0
GIVE_UP_S = 64 * T1_MS / 1000
TOLERANCE_S = 1.0
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
    bench.measure("retransmissions", len(arrivals) - 1)
    worst, stall = deviation(arrivals), _stall_percent(bench, arrivals)
    note = " ".join(f"{(at - arrivals[0]) / 1e9:.3f}" for at in arrivals) + " s"
    bench.measure("interval_deviation_percent", worst, note if worst is not None else "no repeats", bench_stall=stall)
    last_s = (arrivals[-1] - arrivals[0]) / 1e9
    others = len(arrived.all()) - 1
    silent = last_s <= GIVE_UP_S + TOLERANCE_S and others == 0
    bench.measure("silent_after_give_up", silent, f"last INVITE after {last_s:.1f} s, {others} other call(s)")


def deviation(arrivals_ns: list[int]) -> float | None:
    """The worst deviation of an interval from T1 doubled each time, in percent; None without a repeat."""
    intervals = [(later - earlier) / 1e6 for earlier, later in pairwise(arrivals_ns)]
    nominal = [T1_MS * 2**place for place in range(len(intervals))]
    return max(
        (abs(seen - due) / due * 100 for seen, due in zip(intervals, nominal, strict=True)),
        default=None,
    )


def _stall_percent(bench: PhoneBench, arrivals_ns: list[int]) -> float:
    """How late the bench was around each arrival, in percent of the interval before it. Times are the kernel's."""
    late = [
        bench.lateness_ms(at - 50_000_000, at + 50_000_000) / (T1_MS * 2**place) * 100
        for place, at in enumerate(arrivals_ns[1:])
    ]
    return max(late, default=0.0)
