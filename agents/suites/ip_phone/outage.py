"""A registrar that falls silent for minutes: when the phone is back, and whether its waiting is randomised."""

import asyncio
from dataclasses import dataclass, replace
from itertools import pairwise

from agents.instruments.sip_message import Request
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import call_id, cseq
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

WAITS_MIN = 2
SAME_S = 0.25
"""Two waits follow a rule where one is the other, or twice it, within this time: chance alone seldom comes so near."""
TIMER_F_S = 32.0


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
    attempts = attempts_of(registrar.unanswered.all()[before:])
    if bound is None:
        words = f"no registration within {watch_s:g} s after {outage_s:g} s of silence with {len(attempts)} attempts"
        bench.measure("reregistration_s", None, words)
    else:
        stall = bench.lateness_ms(bound.at_ns - 50_000_000, bound.at_ns + 50_000_000) / 1000
        words = f"after {outage_s:g} s of silence with {len(attempts)} attempts"
        bench.measure("reregistration_s", (bound.at_ns - back_ns) / 1e9, words, bench_stall=stall)
    after = registrar.records.find(lambda _: True, skip=known)
    if after is not None and (after.call_id, after.cseq) not in {(one.call_id, one.number) for one in attempts}:
        attempts.append(Attempt(call_id=after.call_id, number=after.cseq, began_ns=after.at_ns, last_ns=after.at_ns))
    found = waits_s(attempts)
    words = f"it waited {', '.join(f'{wait:.2f}' for wait in found) or 'never'} s between attempts (RFC 5626, 4.5)"
    bench.measure("backoff_randomised", randomised(found), words)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One REGISTER with its repeats: when the first and the last of them came."""

    call_id: str
    number: int
    began_ns: int
    last_ns: int


def attempts_of(unanswered: tuple[Received[Request], ...]) -> list[Attempt]:
    """The attempts in the order of their begin; what has the same Call-ID and CSeq is one."""
    found: dict[tuple[str, int], Attempt] = {}
    for one in unanswered:
        name = (call_id(one.message), cseq(one.message).sequence)
        attempt = Attempt(call_id=name[0], number=name[1], began_ns=one.at_ns, last_ns=one.at_ns)
        found[name] = replace(found.get(name, attempt), last_ns=one.at_ns)
    return sorted(found.values(), key=lambda attempt: attempt.began_ns)


def waits_s(attempts: list[Attempt]) -> list[float]:
    """How long the phone waited between attempts, each counted to its end: Timer F, or its last repeat if later."""
    return [
        (later.began_ns - max(earlier.last_ns, min(later.began_ns, earlier.began_ns + int(TIMER_F_S * 1e9)))) / 1e9
        for earlier, later in pairwise(attempts)
    ]


def randomised(waits: list[float]) -> bool | None:
    """Whether waits follow no fixed rule: neither the same each time nor doubled, with a cap.

    None where there are fewer than two, of which nothing can be said.
    """
    if len(waits) < WAITS_MIN:
        return None
    by_rule = (any(abs(later - times * earlier) <= SAME_S for times in (1, 2)) for earlier, later in pairwise(waits))
    return not all(by_rule)
