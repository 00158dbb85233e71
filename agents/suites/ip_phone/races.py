"""Races: a CANCEL that meets the 200, and two re-INVITEs that meet (RFC 3261, 9, 14 and 15).

What meets by chance in a network is brought about here in the order in which the phone would see it.
"""

from agents.instruments.conduct import ORDINARY, Conduct
from agents.instruments.sip_transactions import ServerTransaction
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, dialled_call, in_words, talking_call
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.measurement import Unit

BACKOFF_SEEN_S = 6.0


@procedure("cancel-race", measures={"cancel_after_ok_survived": Unit.BOOL, "crossed_cancel_ended": Unit.BOOL})
async def cancel_race(bench: PhoneBench, recorder: Recorder) -> None:
    """The bench cancels what the phone has just answered; then the phone cancels what the bench has just answered."""
    call, invite = bench.call_phone(conduct=Conduct(acknowledges=False))
    final = await bench.take_call(invite)
    if final is None or final.message.status != 200:
        bench.measure("cancel_after_ok_survived", None, in_words("the INVITE", final))
    else:
        dialog = call.dialog
        cancelled = await dialog.cancel().final(timeout_s=REQUEST_TIMEOUT_S)
        dialog.ended = False
        dialog.acknowledge()
        problems: list[str] = []
        # 481 as well: the transaction of an INVITE ends with its 2xx (RFC 3261, 17.2.1).
        if cancelled is None or cancelled.message.status not in {200, 481}:
            problems.append(f"{in_words('a CANCEL after the 200', cancelled)}; 200 or 481 is due (RFC 3261, 9.2)")
        if any(response.message.status == 487 for response in invite.responses.all()):
            problems.append("the INVITE was answered 200 and then 487 (RFC 3261, 9.2: a CANCEL has no effect any more)")
        if await dialog.request("BYE", timeout_s=0.5) is not None:
            problems.append("the phone ended the call (RFC 3261, 9.2: a CANCEL has no effect after the final response)")
        else:
            bye = await dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
            if bye is None or bye.message.status != 200:
                problems.append(f"{in_words('the BYE that ends the call', bye)}; 200 is due (RFC 3261, 15.1.2)")
        bench.measure("cancel_after_ok_survived", not problems, "; ".join(problems))
    await _phone_cancels(bench)


async def _phone_cancels(bench: PhoneBench) -> None:
    call = await dialled_call(bench)
    if call is None or call.dialog.invitation is None:
        bench.measure("crossed_cancel_ended", None, "no INVITE came")
        return
    dialog = call.dialog
    dialog.conduct = Conduct(crosses_cancel=True)
    dialog.ring()
    await bench.try_key(bench.driver.hang_up)
    if await dialog.request("CANCEL", timeout_s=REQUEST_TIMEOUT_S) is None:
        bench.measure("crossed_cancel_ended", None, "no CANCEL came after the hang-up key")
        return
    problems: list[str] = []
    if await call.dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S) is None:
        problems.append("the 200 that met the CANCEL was not acknowledged (RFC 3261, 13.2.2.4)")
    if await dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S) is None:
        problems.append("no BYE ended the call whose 200 met the CANCEL (RFC 3261, 9.1 and 15)")
    bench.measure("crossed_cancel_ended", not problems, "; ".join(problems))


@procedure(
    "reinvite-glare",
    measures={
        "glare_answered_491": Unit.BOOL,
        "backoff_called_ms": Unit.MILLISECOND,
        "backoff_calling_ms": Unit.MILLISECOND,
    },
)
async def reinvite_glare(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone's hold key starts a re-INVITE that meets ours, in a call of the bench and in one of the phone."""
    if bench.declared_absent("hold"):
        bench.measure_rest(reinvite_glare, "the ICS says that the phone cannot hold, so that no key starts a re-INVITE")
        return
    call = await bench.established_call()
    if call is None:
        bench.measure("glare_answered_491", None, "the phone did not take the call")
        bench.measure("backoff_called_ms", None, "the phone did not take the call")
    else:
        await call.first_packet(0, 1.0)
        await _glare(bench, call)
        await call.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
    call = await talking_call(bench)
    if call is None:
        bench.measure("backoff_calling_ms", None, "no call of the phone was established")
        return
    await call.first_packet(0, 1.0)
    call.dialog.conduct = Conduct(reinvite=491)
    known = len(call.dialog.requests)
    await bench.try_key(bench.driver.hold)
    held = await call.dialog.request("INVITE", timeout_s=REQUEST_TIMEOUT_S, skip=known)
    await _backoff(bench, call, held, "backoff_calling_ms")


async def _glare(bench: PhoneBench, call: Call) -> None:
    """The phone's re-INVITE lies open while ours comes; then it gets 491 and is waited for."""
    call.dialog.conduct = Conduct(reinvite=None)
    known = len(call.dialog.requests)
    await bench.try_key(bench.driver.hold)
    held = await call.dialog.request("INVITE", timeout_s=REQUEST_TIMEOUT_S, skip=known)
    if held is None:
        bench.measure("glare_answered_491", None, "no re-INVITE came after the hold key")
    else:
        ours = await call.dialog.invite().final(timeout_s=REQUEST_TIMEOUT_S)
        words = f"{in_words('a re-INVITE while one of the phone was open', ours)}; 491 is due (RFC 3261, 14.2)"
        bench.measure("glare_answered_491", ours is not None and ours.message.status == 491, words)
        call.dialog.respond(held, 491)
    await _backoff(bench, call, held, "backoff_called_ms")


async def _backoff(bench: PhoneBench, call: Call, held: ServerTransaction | None, quantity: str) -> None:
    """From our 491 to the re-INVITE that comes again, which is answered as usual."""
    if held is None:
        bench.measure(quantity, None, "no re-INVITE came after the hold key")
        return
    call.dialog.conduct = ORDINARY
    known = next(place for place, one in enumerate(call.dialog.requests.all()) if one is held) + 1
    again = await call.dialog.request("INVITE", timeout_s=BACKOFF_SEEN_S, skip=known)
    if again is None:
        bench.measure(quantity, None, f"no re-INVITE came within {BACKOFF_SEEN_S:g} s of a 491 (RFC 3261, 14.1)")
        return
    refused_ns, came_ns = held.answered_ns[0], again.received.at_ns
    stall = bench.lateness_ms(refused_ns, min(came_ns, refused_ns + 100_000_000))
    note = f"CSeq {held.request.get('CSeq')} was refused, {again.request.get('CSeq')} came"
    bench.measure(quantity, (came_ns - refused_ns) / 1e6, note, bench_stall=stall)
