"""Reliable provisional responses, both ways (RFC 3262)."""

from agents.instruments.conduct import Conduct
from agents.instruments.reliability import OPTION_TAG, prack_problems, rack, reliable_problems, rseq
from agents.instruments.sip_values import tokens
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, dialled_call, in_words
from agents.suites.ip_phone.bench import RING_TIMEOUT_S, PhoneBench
from lab_inventory.measurement import Unit

REPEAT_WITHIN_S = 1.5
RESPONSE_NUMBER = 4711
_REQUIRES = (("Require", OPTION_TAG), ("Supported", OPTION_TAG))


@procedure(
    "reliable-provisional",
    measures={
        "ringing_reliable": Unit.BOOL,
        "ringing_repeated": Unit.BOOL,
        "prack_answered": Unit.BOOL,
        "prack_matched": Unit.BOOL,
    },
)
async def reliable_provisional(bench: PhoneBench, recorder: Recorder) -> None:
    """Called with Require: 100rel, the phone rings reliably; calling, it acknowledges our ringing with PRACK."""
    if bench.declared_absent("rel100"):
        for quantity in reliable_provisional.measures:
            bench.measure(quantity, False, "the ICS says that the phone has no reliable provisional responses")
        return
    await _phone_rings(bench)
    await _phone_acknowledges(bench)


async def _phone_rings(bench: PhoneBench) -> None:
    call, invite = bench.call_phone(conduct=Conduct(in_invite=_REQUIRES))
    ringing = await invite.responses.first(lambda found: found.message.status > 100, timeout_s=RING_TIMEOUT_S)
    if ringing is None or ringing.message.status >= 200:
        words = f"{in_words('the INVITE with Require: 100rel', ringing)} (RFC 3262, 3)"
        for quantity in ("ringing_reliable", "ringing_repeated", "prack_answered"):
            bench.measure(quantity, False, words)
        return
    problems = reliable_problems(ringing.message)
    bench.measure("ringing_reliable", not problems, "; ".join(problems))
    number = rseq(ringing.message)
    if number is None:
        for quantity in ("ringing_repeated", "prack_answered"):
            bench.measure(quantity, False, "; ".join(problems))
        call.dialog.cancel()
        return
    # The PRACK is withheld until the response has come again, which is due after T1.
    again = await invite.responses.first(
        lambda found: rseq(found.message) == number and found is not ringing, timeout_s=REPEAT_WITHIN_S
    )
    words = "" if again else f"it came once within {REPEAT_WITHIN_S:g} s without a PRACK (RFC 3262, 3)"
    bench.measure("ringing_repeated", again is not None, words)
    call.dialog.adopt(ringing.message)
    answer = await call.dialog.send("PRACK", [("RAck", rack(number, invite.request))]).final(
        timeout_s=REQUEST_TIMEOUT_S
    )
    words = f"{in_words('a PRACK that matches', answer)}; 200 is due (RFC 3262, 3)"
    bench.measure("prack_answered", answer is not None and answer.message.status == 200, words)
    if await bench.take_call(invite) is None:
        call.dialog.cancel()
    elif call.dialog.established:
        await call.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)


async def _phone_acknowledges(bench: PhoneBench) -> None:
    call = await dialled_call(bench)
    if call is None or call.dialog.invitation is None:
        bench.measure("prack_matched", None, "no INVITE came")
        return
    dialog, invite = call.dialog, call.dialog.invitation.request
    if OPTION_TAG not in tokens(invite, "Supported") | tokens(invite, "Require"):
        dialog.refuse(480)
        bench.measure("prack_matched", False, "the phone's INVITE does not have 100rel in Supported (RFC 3262, 4)")
        return
    dialog.ring((("Require", OPTION_TAG), ("RSeq", str(RESPONSE_NUMBER))))
    prack = await dialog.request("PRACK", timeout_s=REQUEST_TIMEOUT_S)
    if prack is None:
        problems: tuple[str, ...] = ("no PRACK came for a 180 with Require: 100rel and RSeq (RFC 3262, 4)",)
    else:
        problems = prack_problems(prack.request, response_number=RESPONSE_NUMBER, invite=invite)
    bench.measure("prack_matched", not problems, "; ".join(problems))
    dialog.accept()
    await call.dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S)
