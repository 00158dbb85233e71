"""Interoperability: two phones call each other through the bench (RFC 3261, 13 to 15; RFC 3264; RFC 3515; RFC 4733).

What is measured is what the device under test does. Where the companion fails in its own part, the case is an error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from agents.drivers import DriverRefused
from agents.instruments.dtmf import key_events
from agents.instruments.passed_call import PassedCall, Side
from agents.instruments.sdp import TELEPHONE_EVENT, MalformedSdp, MediaDirection, parse_sdp
from agents.instruments.sip_transactions import ClientTransaction, ServerTransaction
from agents.measure import LabError, Procedure, Recorder, procedure
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, RING_TIMEOUT_S
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.pair import AUDIO_WITHIN_S, THIRD, Failed, PairBench, Party
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit, Value

INVITE_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 3.0
KEYS_TIMEOUT_S = 3.0
KEY_S = 0.4
TRANSFER_TIMEOUT_S = 6.0
SETTLE_S = 0.4
_HOLDS = (MediaDirection.SENDONLY, MediaDirection.INACTIVE)
_HELD = (MediaDirection.RECVONLY, MediaDirection.INACTIVE)

Steps = Callable[[PairBench], Awaitable[None]]


async def _as_far_as_it_goes(bench: PairBench, of: Procedure, *parts: Steps) -> None:
    """Carry out the parts of a case; what the phone did not come to is measured as not seen, with the reason."""
    try:
        for part in parts:
            await part(bench)
    except Failed as failed:
        words = str(failed)
    else:
        return
    have = {found.quantity for found in bench.found}
    for quantity, unit in of.measures.items():
        if quantity not in have:
            bench.measure(quantity, False if unit is Unit.BOOL else None, words)


async def connected(bench: PairBench, caller: Party) -> PassedCall:
    """One phone dials the other, which rings and answers. Raises as :meth:`PairBench.fail`."""
    callee = bench.party_across(caller)
    if not callee.registrar.bindings(0):
        raise LabError(f"{callee.name} is not registered, so that it cannot be called")
    known = len(bench.passed)
    await caller.driver.dial(caller.uri(callee.registrar.account.username))
    call = await bench.passed.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S, skip=known)
    if call is None:
        bench.fail(caller, f"sent no INVITE within {INVITE_TIMEOUT_S:g} s after it dialled")
    ringing = await call.invite.response(180, timeout_s=RING_TIMEOUT_S)
    # One that does not say that it rings is answered all the same: how soon it rings is a quantity of its own.
    if ringing is None or ringing.message.status < 300:
        await callee.driver.answer()
    final = await call.invite.final(timeout_s=ANSWER_TIMEOUT_S)
    if final is None:
        bench.fail(callee, f"did not answer the call within {ANSWER_TIMEOUT_S:g} s after its key was pressed")
    elif final.message.status != 200:
        bench.fail(callee, f"answered the INVITE of the other with {final.message.status} {final.message.reason}")
    if await call.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S) is None:
        bench.fail(caller, "did not acknowledge the 200 of the other (RFC 3261, 13.2.2.4)")
    return call


async def _talk(bench: PairBench, call: PassedCall) -> str:
    """Both directions; in words what is wrong with the phone's, or nothing."""
    here, there = await asyncio.gather(bench.hears(call, bench.phone), bench.hears(call, bench.companion))
    # A phone that says in its description that it wants nothing is why the other sends nothing.
    if there and bench.side_of(call, bench.phone).port.destination is not None:
        raise LabError(there)
    return here or there


async def _hang_up(bench: PairBench, call: PassedCall, party: Party) -> str:
    """One phone hangs up; in words what is wrong with what the device under test did, or nothing."""
    across = bench.party_across(party)
    side, other = bench.side_of(call, party), bench.side_of(call, across)
    await party.driver.hang_up()
    bye = await side.requests.first(lambda one: one.request.method == "BYE", timeout_s=REQUEST_TIMEOUT_S)
    if bye is None:
        bench.fail(party, "sent no BYE after its hang-up key")
    sent = await other.asked.first(lambda one: one.request.method == "BYE", timeout_s=REQUEST_TIMEOUT_S)
    final = await sent.final(timeout_s=REQUEST_TIMEOUT_S) if sent is not None else None
    if final is None or final.message.status != 200:
        status = final.message.status if final else "not at all"
        bench.fail(across, f"answered the BYE of the other {status}")
    phone = bench.side_of(call, bench.phone)
    since_ns = boottime_ns() + 200_000_000
    await asyncio.sleep(0.6)
    still = phone.port.packets(since_ns=since_ns)
    return "the phone still sent audio 0.2 s after the end" if still else ""


@procedure(
    "interop-call-out",
    measures={"call_established": Unit.BOOL, "audio_both_ways": Unit.BOOL, "call_ended": Unit.BOOL},
)
async def call_out(bench: PairBench, recorder: Recorder) -> None:
    """The phone calls the companion, both are heard, the phone hangs up."""
    await _as_far_as_it_goes(bench, call_out, lambda bench: _whole_call(bench, bench.phone))


@procedure(
    "interop-call-in",
    measures={
        "ringing_ms": Unit.MILLISECOND,
        "call_established": Unit.BOOL,
        "audio_both_ways": Unit.BOOL,
        "call_ended": Unit.BOOL,
    },
)
async def call_in(bench: PairBench, recorder: Recorder) -> None:
    """The companion calls the phone, both are heard, the companion hangs up."""
    await _as_far_as_it_goes(bench, call_in, lambda bench: _whole_call(bench, bench.companion))


async def _whole_call(bench: PairBench, caller: Party) -> None:
    call = await connected(bench, caller)
    words = f"{caller.name} called, {bench.party_across(caller).name} answered"
    if caller.is_companion:
        ringing = call.invite.responses.find(lambda response: response.message.status == 180)
        sent_ns = call.invite.sent_ns[0]
        if ringing is None:
            bench.measure("ringing_ms", None, "no 180 came")
        else:
            stall = bench.lateness_ms(sent_ns, ringing.at_ns)
            bench.measure("ringing_ms", (ringing.at_ns - sent_ns) / 1e6, bench_stall=stall)
    bench.measure("call_established", True, words)
    wrong = await _talk(bench, call)
    bench.measure("audio_both_ways", not wrong, wrong or "the audio of each came on its way to the other")
    wrong = await _hang_up(bench, call, caller)
    bench.measure("call_ended", not wrong, wrong or f"{caller.name} hung up")


@procedure(
    "interop-hold",
    measures={
        "hold_by_phone": Unit.BOOL,
        "resume_by_phone_ms": Unit.MILLISECOND,
        "hold_by_companion": Unit.BOOL,
        "resume_by_companion_ms": Unit.MILLISECOND,
    },
)
async def hold(bench: PairBench, recorder: Recorder) -> None:
    """In one call the phone holds and resumes, then the companion does."""
    await _as_far_as_it_goes(bench, hold, _holds_both)


async def _holds_both(bench: PairBench) -> None:
    call = await connected(bench, bench.phone)
    wrong = await _talk(bench, call)
    if wrong:
        raise Failed(wrong)
    for party, name in ((bench.phone, "phone"), (bench.companion, "companion")):
        wrong = await _hold(bench, call, party)
        bench.measure(f"hold_by_{name}", not wrong, wrong)
        await asyncio.sleep(SETTLE_S)
        took_ms, stall, words = await _resume(bench, call, party)
        bench.measure(f"resume_by_{name}_ms", took_ms, words, bench_stall=stall)
        await asyncio.sleep(SETTLE_S)


async def _hold(bench: PairBench, call: PassedCall, party: Party) -> str:
    """One phone holds the call; in words what is wrong with what the device under test did, or nothing."""
    across = bench.party_across(party)
    side, other = bench.side_of(call, party), bench.side_of(call, across)
    known, asked = len(side.requests), len(other.asked)
    await party.driver.hold()
    offer = await side.requests.first(_is_reinvite, timeout_s=REQUEST_TIMEOUT_S, skip=known)
    if offer is None:
        bench.fail(party, "sent no re-INVITE after its hold key")
    offered = _direction(offer.request.body)
    if offered not in _HOLDS:
        if party.is_companion:
            raise LabError(f"{party.name} offered hold as {offered or 'nothing'}")
        return f"hold was offered as {offered or 'nothing'}; sendonly or inactive is due (RFC 3264, 8.4)"
    answered = await _answered(other, asked)
    if answered not in _HELD:
        words = f"answered {offered} with {answered or 'no description'}; recvonly or inactive is due (RFC 3264, 6.1)"
        if across.is_companion:
            raise LabError(f"{across.name} {words}")
        return words
    # A recvonly or an inactive side sends nothing (RFC 3264, 5.1); the companion is not judged.
    since_ns = boottime_ns() + 200_000_000
    await asyncio.sleep(0.6)
    silent = party if offered is MediaDirection.INACTIVE else across
    if not silent.is_companion and bench.side_of(call, silent).port.packets(since_ns=since_ns):
        return "the phone still sent audio 0.2 s after it was held"
    return ""


async def _answered(side: Side, skip: int) -> MediaDirection | None:
    """The direction with which a phone answered the first re-INVITE it was asked after ``skip`` requests."""
    sent = await side.asked.first(lambda one: one.request.method == "INVITE", timeout_s=REQUEST_TIMEOUT_S, skip=skip)
    final = await sent.final(timeout_s=ANSWER_TIMEOUT_S) if sent is not None else None
    return _direction(final.message.body) if final is not None and final.message.status == 200 else None


async def _resume(bench: PairBench, call: PassedCall, party: Party) -> tuple[Value | None, float | None, str]:
    """One phone resumes; ms until the device under test is heard again, how late the bench was, and words."""
    phone = bench.side_of(call, bench.phone)
    companion = bench.side_of(call, bench.companion)
    pressed_ns = boottime_ns()
    await party.driver.resume()
    reinvite = await bench.side_of(call, party).requests.first(
        lambda one: _is_reinvite(one) and one.received.at_ns >= pressed_ns, timeout_s=REQUEST_TIMEOUT_S
    )
    if reinvite is None:
        bench.fail(party, "sent no re-INVITE after its resume key")
    from_ns = reinvite.received.at_ns
    first = await phone.port.heard.first(lambda one: one.at_ns >= from_ns, timeout_s=REQUEST_TIMEOUT_S)
    if first is None:
        return None, None, f"no audio came from the phone within {REQUEST_TIMEOUT_S:g} s after {party.name} resumed"
    back = await companion.port.heard.first(lambda one: one.at_ns >= from_ns, timeout_s=REQUEST_TIMEOUT_S)
    if back is None and phone.port.destination is not None:
        raise LabError(f"no audio came from {bench.companion.name} after {party.name} resumed")
    if back is None:
        return None, None, "the phone wants no audio after the call was resumed"
    stall = bench.lateness_ms(pressed_ns, first.at_ns)
    return (first.at_ns - pressed_ns) / 1e6, stall, f"{party.name} resumed"


@procedure("interop-dtmf", measures={"digits_to_companion": Unit.BOOL, "digits_from_companion": Unit.BOOL})
async def dtmf(bench: PairBench, recorder: Recorder) -> None:
    """In one call the phone's keys are pressed, then the companion's: each digit must come as one event."""
    await _as_far_as_it_goes(bench, dtmf, _digits_both_ways)


async def _digits_both_ways(bench: PairBench) -> None:
    digits = str(bench.parameter("digits"))
    call = await connected(bench, bench.companion)
    wrong = await _talk(bench, call)
    if wrong:
        raise Failed(wrong)
    phone, companion = (bench.side_of(call, one) for one in (bench.phone, bench.companion))
    if _event_number(companion) is None:
        raise LabError(f"{bench.companion.name} does not name telephone events")
    if _event_number(phone) is None:
        raise Failed("the phone does not name telephone events (RFC 4733, 2.5.1)")
    seen = await _pressed(bench.phone, phone, companion, digits)
    bench.measure("digits_to_companion", seen == digits, f"pressed {digits}, seen {seen or 'nothing'}")
    seen = await _pressed(bench.companion, companion, phone, digits)
    if seen != digits:
        raise LabError(f"of {digits}, pressed at {bench.companion.name}, {seen or 'nothing'} came")
    # Their payload type is the one that the phone asked for; that it goes on talking shows that it took them.
    wrong = await bench.hears(call, bench.phone)
    bench.measure("digits_from_companion", not wrong and not call.ended, wrong or f"{seen} went to the phone")


async def _pressed(party: Party, side: Side, other: Side, digits: str) -> str:
    """Press keys; the digits that came, in the payload type that the other phone asked for."""
    number = _event_number(other)
    assert number is not None  # noqa: S101 - both were asked before
    since_ns = boottime_ns()
    await party.driver.press_keys(digits)
    until_ns = since_ns + int((KEYS_TIMEOUT_S + KEY_S * len(digits)) * 1e9)
    keys = key_events(side.port.packets(since_ns=since_ns), number)
    while boottime_ns() < until_ns and len(keys) < len(digits):
        await asyncio.sleep(0.1)
        keys = key_events(side.port.packets(since_ns=since_ns), number)
    await asyncio.sleep(KEY_S)
    return "".join(key.digit for key in key_events(side.port.packets(since_ns=since_ns), number))


@procedure("interop-transfer", measures={"transfers_companion": Unit.BOOL})
async def transfer(bench: PairBench, recorder: Recorder) -> None:
    """The companion calls the phone, which sends it on to a third party without asking there (RFC 5589, 6.1)."""
    await _as_far_as_it_goes(bench, transfer, lambda bench: _blind(bench, bench.phone, "transfers_companion"))


@procedure("interop-transferred", measures={"is_transferred": Unit.BOOL})
async def transferred(bench: PairBench, recorder: Recorder) -> None:
    """The phone calls the companion, which sends it on to a third party without asking there (RFC 5589, 6.1)."""
    await _as_far_as_it_goes(bench, transferred, lambda bench: _blind(bench, bench.companion, "is_transferred"))


async def _blind(bench: PairBench, by: Party, quantity: str) -> None:
    sent_on = bench.party_across(by)
    call = await connected(bench, sent_on)
    wrong = await _talk(bench, call)
    if wrong:
        raise Failed(wrong)
    side, other = bench.side_of(call, by), bench.side_of(call, sent_on)
    await _press(by, "transfer", by.driver.transfer(by.uri(THIRD)))
    await _refer_passed(bench, by, sent_on, side, other)
    third = await _third_answers(bench, sent_on)
    heard, words = await third.audio_heard(float(bench.ixit.get("tone", 1000)))
    if not sent_on.is_companion and not heard:
        raise Failed(f"the phone called the third party, and there {words}")
    notified = await other.requests.first(_tells_success, timeout_s=TRANSFER_TIMEOUT_S)
    if notified is None:
        bench.fail(sent_on, "did not tell by NOTIFY that the third party answered (RFC 3515, 2.4.4)")
    bye = await _bye(side, other)
    if bye is None:
        bench.fail(by, "did not end its call after the transfer (RFC 5589, 6.1)")
    bench.measure(quantity, True, f"{by.name} sent {sent_on.name} to a third party, which answered")


@procedure("interop-attended-transfer", measures={"transfers_after_asking": Unit.BOOL})
async def attended_transfer(bench: PairBench, recorder: Recorder) -> None:
    """The companion calls the phone, which asks a third party and then joins both (RFC 5589, 7; RFC 3891)."""
    await _as_far_as_it_goes(bench, attended_transfer, _attended)


async def _attended(bench: PairBench) -> None:
    by, sent_on = bench.phone, bench.companion
    call = await connected(bench, sent_on)
    wrong = await _talk(bench, call)
    if wrong:
        raise Failed(wrong)
    side, other = bench.side_of(call, by), bench.side_of(call, sent_on)
    await _press(by, "consultation", by.driver.consult(by.uri(THIRD)))
    asked = await _third_answers(bench, by)
    await asked.first_packet(0, AUDIO_WITHIN_S)
    await _press(by, "transfer", by.driver.complete_transfer())
    await _refer_passed(bench, by, sent_on, side, other)
    refer = next(one.request for one in side.requests.all() if one.request.method == "REFER")
    if f"Replaces={asked.dialog.call_id}" not in unquote(refer.get("Refer-To") or ""):
        raise Failed("the Refer-To of the phone does not name the call with the third party (RFC 5589, 7)")
    joined = await _third_answers(bench, sent_on, skip=1)
    invitation = joined.dialog.invitation
    replaces = (invitation.request.get("Replaces") if invitation else None) or "nothing"
    if not replaces.startswith(asked.dialog.call_id):
        bench.fail(sent_on, f"called the third party in place of {replaces}, which is not the call that was named")
    # The third party takes the new call in place of the one that it had, and ends that (RFC 3891, 3).
    if not asked.dialog.ended:
        await asked.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
    if await other.requests.first(_tells_success, timeout_s=TRANSFER_TIMEOUT_S) is None:
        bench.fail(sent_on, "did not tell by NOTIFY that the third party answered (RFC 3515, 2.4.4)")
    if await _bye(side, other) is None:
        bench.fail(by, "did not end its call after the transfer (RFC 5589, 7)")
    bench.measure("transfers_after_asking", True, f"{by.name} joined {sent_on.name} with a third party")


async def _press(party: Party, key: str, pressing: Awaitable[None]) -> None:
    """Press a key that not every driver has."""
    try:
        await pressing
    except DriverRefused as error:
        raise LabError(f"the {key} key of {party.name} cannot be pressed: {error}") from error


async def _refer_passed(bench: PairBench, by: Party, sent_on: Party, side: Side, other: Side) -> None:
    refer = await side.requests.first(lambda one: one.request.method == "REFER", timeout_s=REQUEST_TIMEOUT_S)
    if refer is None:
        bench.fail(by, "sent no REFER after its transfer key (RFC 3515, 2.1)")
    asked = await other.asked.first(lambda one: one.request.method == "REFER", timeout_s=REQUEST_TIMEOUT_S)
    final = await asked.final(timeout_s=REQUEST_TIMEOUT_S) if asked is not None else None
    if final is None or final.message.status not in (200, 202):
        status = f"with {final.message.status}" if final else "not at all"
        bench.fail(sent_on, f"answered the REFER {status} (RFC 3515, 2.4.2)")


async def _third_answers(bench: PairBench, caller: Party, *, skip: int = 0) -> Call:
    """The next call to the third party, after ``skip`` others, which is answered."""
    third = await bench.third.first(lambda _: True, timeout_s=TRANSFER_TIMEOUT_S, skip=skip)
    if third is None or third.dialog.invitation is None:
        bench.fail(caller, "did not call the third party")
    third.dialog.ring()
    third.dialog.accept()
    # Only the ACK says that the caller has the call: a key pressed before finds it still ringing.
    if await third.dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S) is None:
        bench.fail(caller, "did not acknowledge the answer of the third party (RFC 3261, 13.2.2.4)")
    return third


async def _bye(side: Side, other: Side) -> ServerTransaction | ClientTransaction | None:
    """The BYE of a call that was transferred: it may come from either phone."""
    for _ in range(round(TRANSFER_TIMEOUT_S / 0.1)):
        found = side.requests.find(lambda one: one.request.method == "BYE")
        found = found or other.requests.find(lambda one: one.request.method == "BYE")
        if found is not None:
            return found
        await asyncio.sleep(0.1)
    return None


def _tells_success(one: ServerTransaction) -> bool:
    return one.request.method == "NOTIFY" and one.request.body.startswith(b"SIP/2.0 200")


def _is_reinvite(one: ServerTransaction) -> bool:
    return one.request.method == "INVITE" and ";tag=" in (one.request.get("To") or "")


def _event_number(side: Side) -> int | None:
    """The payload type under which a phone wants telephone events."""
    return next((one.payload_type for one in side.formats if one.codec == TELEPHONE_EVENT.codec), None)


def _direction(body: bytes) -> MediaDirection | None:
    try:
        audio = parse_sdp(body).audio
    except MalformedSdp:
        return None
    return audio.direction if audio else None


PROCEDURES = (call_out, call_in, hold, dtmf, transfer, transferred, attended_transfer)
