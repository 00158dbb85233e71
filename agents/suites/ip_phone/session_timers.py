"""Session timers: what interval is agreed on, who refreshes, and what happens when nobody does (RFC 4028)."""

from agents.instruments.conduct import Conduct
from agents.instruments.session_timer import (
    INTERVAL_S_MIN,
    OPTION_TAG,
    acceptance_problems,
    bye_due_s,
    min_se_s,
    session_expires,
)
from agents.instruments.sip_message import Request
from agents.instruments.sip_transactions import ServerTransaction
from agents.instruments.sip_values import tokens
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import INVITE_TIMEOUT_S, REQUEST_TIMEOUT_S, dialled_call, in_words
from agents.suites.ip_phone.bench import RING_SOON_S, PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.measurement import Unit

TOO_SMALL_S = 60
LONGER_S = 7200
LATE_S = 5.0


def asking_for(interval_s: int, refresher: str) -> Conduct:
    """The bench asks for this interval and refresher in its INVITE; refreshes of the phone are accepted as it."""
    value = f"{interval_s};refresher={refresher}"
    ours = (("Supported", OPTION_TAG), ("Session-Expires", value))
    least = (("Min-SE", str(INTERVAL_S_MIN)),) if interval_s >= INTERVAL_S_MIN else ()
    # The refresher stays who it is: in a refresh of the phone it is the one that sends (RFC 4028, 7.4).
    accepted = (("Require", OPTION_TAG), ("Session-Expires", f"{interval_s};refresher=uac"))
    return Conduct(in_invite=(*ours, *least), in_ok=accepted)


@procedure(
    "session-timer",
    measures={"interval_accepted": Unit.BOOL, "too_small_refused": Unit.BOOL, "retries_after_422": Unit.BOOL},
)
async def session_timer(bench: PhoneBench, recorder: Recorder) -> None:
    """The shortest interval is accepted, a shorter one refused; a refusal of ours is followed by a longer one."""
    call, problems = await _agreed(bench, INTERVAL_S_MIN, "uas")
    bench.measure("interval_accepted", not problems, "; ".join(problems))
    if call is not None:
        await call.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)

    call, invite = bench.call_phone(conduct=asking_for(TOO_SMALL_S, "uas"))
    await invite.response(180, timeout_s=RING_SOON_S)
    refused = await invite.final(timeout_s=0)
    if refused is None:
        call.dialog.cancel()
    came = in_words(f"an INVITE with Session-Expires {TOO_SMALL_S}", refused) if refused else "it rang"
    words = f"{came}; 422 is due for an interval below 90 s (RFC 4028, 4 and 9)"
    right = refused is not None and refused.message.status == 422
    if refused is not None and right and (min_se_s(refused.message) or 0) < INTERVAL_S_MIN:
        right, words = False, "the 422 has no Min-SE of at least 90 (RFC 4028, 9)"
    bench.measure("too_small_refused", right, words)
    await invite.final(timeout_s=REQUEST_TIMEOUT_S)
    await _refused_by_bench(bench)


async def _agreed(bench: PhoneBench, interval_s: int, refresher: str) -> tuple[Call | None, tuple[str, ...]]:
    """A call for which this interval was asked: the call, and what is wrong with what the phone made of it."""
    call, invite = bench.call_phone(conduct=asking_for(interval_s, refresher))
    final = await bench.take_call(invite)
    if final is None or final.message.status != 200:
        return None, (in_words(f"an INVITE with Session-Expires {interval_s}", final),)
    return call, acceptance_problems(session_expires(final.message), asked_s=interval_s, refresher=refresher)


async def _refused_by_bench(bench: PhoneBench) -> None:
    call = await dialled_call(bench)
    if call is None or call.dialog.invitation is None:
        bench.measure("retries_after_422", None, "no INVITE came")
        return
    dialog, first = call.dialog, call.dialog.invitation.request
    asked = session_expires(first)
    if asked is None:
        dialog.refuse(480)
        timer = "has" if OPTION_TAG in tokens(first, "Supported") else "does not have"
        words = f"the phone's INVITE asks for no interval and {timer} timer in Supported, so that 422 does not apply"
        bench.measure("retries_after_422", None, f"{words} (RFC 4028, 7.1)")
        return
    least_s = max(LONGER_S, 2 * asked.interval_s)
    known = len(dialog.requests)
    dialog.refuse(422, (("Min-SE", str(least_s)),))
    again = await dialog.request("INVITE", timeout_s=INVITE_TIMEOUT_S, skip=known)
    problems = retry_problems(again.request if again else None, least_s=least_s)
    bench.measure("retries_after_422", not problems, "; ".join(problems))
    if again is not None:
        dialog.refuse(480)


def retry_problems(again: Request | None, *, least_s: int) -> tuple[str, ...]:
    """What is wrong with the INVITE that follows a 422 with this Min-SE (RFC 4028, 7.3)."""
    if again is None:
        return ("no INVITE came again after a 422 with Min-SE (RFC 4028, 7.3)",)
    problems: list[str] = []
    asked = session_expires(again)
    if asked is None or asked.interval_s < least_s:
        came = asked.interval_s if asked else "none"
        problems.append(f"Session-Expires after the 422 is {came}, at least {least_s} is due (RFC 4028, 7.3)")
    if (min_se_s(again) or 0) < least_s:
        problems.append(f"Min-SE after the 422 is {min_se_s(again)}, {least_s} is due (RFC 4028, 7.3)")
    return tuple(problems)


@procedure(
    "session-timer-refresh", measures={"refresh_s": Unit.SECOND, "refresh_valid": Unit.BOOL, "bye_s": Unit.SECOND}
)
async def session_timer_refresh(bench: PhoneBench, recorder: Recorder) -> None:
    """With ``interval_s`` agreed on, the phone refreshes one call, and ends another that the bench does not refresh."""
    interval_s = int(bench.parameter("interval_s"))
    call, problems = await _agreed(bench, interval_s, "uas")
    if call is None or problems:
        words = "; ".join(problems)
        bench.measure("refresh_s", None, words)
        bench.measure("refresh_valid", None, words)
    else:
        await _refreshed(bench, call, interval_s)
        await call.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
    call, problems = await _agreed(bench, interval_s, "uac")
    if call is None or problems:
        bench.measure("bye_s", None, "; ".join(problems))
    else:
        await _ended(bench, call, interval_s)


async def _refreshed(bench: PhoneBench, call: Call, interval_s: int) -> None:
    began_ns = call.dialog.established_ns
    within_s = interval_s + LATE_S
    found = await call.dialog.requests.first(_refreshes, timeout_s=within_s)
    if found is None:
        words = f"neither re-INVITE nor UPDATE came within {within_s:g} s (RFC 4028, 7.4)"
        bench.measure("refresh_s", None, words)
        bench.measure("refresh_valid", None, words)
        return
    came_ns = found.received.at_ns
    note = f"{found.request.method}; half of {interval_s} s is recommended (RFC 4028, 10)"
    bench.measure("refresh_s", (came_ns - began_ns) / 1e9, note, bench_stall=_stall_s(bench, came_ns))
    asked = session_expires(found.request)
    right = asked is not None and asked.interval_s >= interval_s and asked.refresher in {"uac", None}
    value = found.request.get("Session-Expires") or "none"
    bench.measure("refresh_valid", right, f"Session-Expires of the refresh is {value} (RFC 4028, 7.4)")


async def _ended(bench: PhoneBench, call: Call, interval_s: int) -> None:
    within_s = interval_s + LATE_S
    bye = await call.dialog.request("BYE", timeout_s=within_s)
    if bye is None:
        bench.measure("bye_s", None, f"no BYE came within {within_s:g} s without a refresh (RFC 4028, 10)")
        return
    came_ns = bye.received.at_ns
    note = f"due {bye_due_s(interval_s):g} s after the 200 (RFC 4028, 10)"
    took_s = (came_ns - call.dialog.established_ns) / 1e9
    bench.measure("bye_s", took_s, note, bench_stall=_stall_s(bench, came_ns))


def _refreshes(one: ServerTransaction) -> bool:
    return one.request.method in {"INVITE", "UPDATE"}


def _stall_s(bench: PhoneBench, at_ns: int) -> float:
    """How late the bench was around one arrival. Times are the kernel's."""
    return bench.lateness_ms(at_ns - 50_000_000, at_ns + 50_000_000) / 1000
