"""A registrar that falls silent for minutes: when the phone is back, and whether its waiting is randomised."""

import asyncio
from itertools import pairwise

from agents.instruments.sip_message import Request
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import call_id, cseq
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

WAITS_MIN = 3
RULE_TOLERANCE = 0.03
"""Two waits follow a rule where one is the other, or twice it, within this share: a clock is far more exact."""


@procedure("registration-after-outage", measures={"reregistration_s": Unit.SECOND, "backoff_randomised": Unit.BOOL})
async def registration_after_outage(bench: PhoneBench, recorder: Recorder) -> None:
    """Nothing is answered for ``outage_s``; then the phone is waited for up to ``watch_s``."""
    outage_s, watch_s = float(bench.parameter("outage_s")), float(bench.parameter("watch_s"))
    registrar = bench.registrar
    known, before = len(registrar.records), len(registrar.unanswered)
    with registrar.silence():
        await asyncio.sleep(outage_s)
    back_ns = boottime_ns()
    bound = await registrar.records.first(lambda record: record.binds, timeout_s=watch_s, skip=known)
    attempts = attempts_ns(registrar.unanswered.all()[before:])
    if bound is None:
        words = f"no registration within {watch_s:g} s after {outage_s:g} s of silence with {len(attempts)} attempts"
        bench.measure("reregistration_s", None, words)
    else:
        stall = bench.lateness_ms(bound.at_ns - 50_000_000, bound.at_ns + 50_000_000) / 1000
        words = f"after {outage_s:g} s of silence with {len(attempts)} attempts"
        bench.measure("reregistration_s", (bound.at_ns - back_ns) / 1e9, words, bench_stall=stall)
    waits_s = [(later - earlier) / 1e9 for earlier, later in pairwise(attempts)]
    words = f"attempts came {' '.join(f'{wait:.1f}' for wait in waits_s)} s after one another (RFC 5626, 4.5)"
    bench.measure("backoff_randomised", randomised(waits_s), words)


def attempts_ns(unanswered: tuple[Received[Request], ...]) -> list[int]:
    """When each attempt began; repeats of the same request (Call-ID and CSeq) belong to it."""
    began: dict[tuple[str, int], int] = {}
    for one in unanswered:
        began.setdefault((call_id(one.message), cseq(one.message).sequence), one.at_ns)
    return sorted(began.values())


def randomised(waits_s: list[float]) -> bool | None:
    """Whether the times between attempts follow no fixed rule: neither the same each time nor doubled, with a cap.

    None where there are fewer than three, of which nothing can be said.
    """
    if len(waits_s) < WAITS_MIN:
        return None
    ratios = [later / earlier for earlier, later in pairwise(waits_s)]
    return not all(any(abs(ratio - rule) <= RULE_TOLERANCE * rule for rule in (1.0, 2.0)) for ratio in ratios)
