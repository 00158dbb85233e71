"""Transfer, seen from all three sides: the bench is whoever the phone talks to (RFC 3515, RFC 3891, RFC 5589)."""

from agents.instruments.conduct import Conduct
from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.referring import Replaces, progress_of, refer_to, refer_to_value, tell_progress
from agents.instruments.sip_message import MalformedMessage, Request
from agents.instruments.sip_transactions import ServerTransaction
from agents.instruments.sip_values import address
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import (
    INVITE_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    dialled_call,
    here,
    in_words,
)
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

REFER_TIMEOUT_S = 3.0
STAYS_S = 1.0
_TAKES_REFER = Conduct(refer=202)


@procedure("blind-transfer", measures={"blind_transfer": Unit.BOOL, "failed_transfer_returns": Unit.BOOL})
async def blind_transfer(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone sends its caller to another number: once with success, once where nobody takes the call."""
    if bench.declared_absent("transfer.blind"):
        bench.measure_rest(blind_transfer, "the ICS says that the phone has no blind transfer")
        return
    problems = await _transfers(bench)
    bench.measure("blind_transfer", not problems, "; ".join(problems))
    problems = await _fails_to_transfer(bench)
    bench.measure("failed_transfer_returns", not problems, "; ".join(problems))


async def _transfers(bench: PhoneBench) -> list[str]:
    call = await bench.established_call(conduct=_TAKES_REFER)
    if call is None:
        return ["the phone did not take the call"]
    await call.first_packet(0, 1.0)
    await bench.driver.transfer(here(bench, "target"))
    refer = await call.dialog.request("REFER", timeout_s=REFER_TIMEOUT_S)
    if refer is None:
        return ["no REFER came after the transfer key (RFC 3515, 2.1)"]
    problems = refer_problems(refer.request, here(bench, "target"))
    problems += await _told(call.dialog, 100)
    problems += await _told(call.dialog, 200)
    if await call.dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S) is None:
        problems.append("no BYE came after the NOTIFY with 200 (RFC 5589, 6.1)")
    return problems


async def _fails_to_transfer(bench: PhoneBench) -> list[str]:
    call = await bench.established_call(conduct=_TAKES_REFER)
    if call is None:
        return ["the phone did not take the call"]
    await call.first_packet(0, 1.0)
    await bench.driver.transfer(here(bench, "busy"))
    if await call.dialog.request("REFER", timeout_s=REFER_TIMEOUT_S) is None:
        return ["no REFER came after the transfer key (RFC 3515, 2.1)"]
    problems = [*await _told(call.dialog, 100), *await _told(call.dialog, 486)]
    return problems or await _is_there_again(bench, call)


async def _is_there_again(bench: PhoneBench, call: Call) -> list[str]:
    """Whether a call lives and is heard again, by itself or after the resume key, once its transfer has failed."""
    if await call.dialog.request("BYE", timeout_s=STAYS_S) is not None:
        return ["the phone ended the call after a NOTIFY with 486 (RFC 5589, 6.1: the call is there again)"]
    if await call.first_packet(boottime_ns(), 0.3) is None:
        await bench.try_key(bench.driver.resume)
        if await call.first_packet(boottime_ns(), ANSWER_TIMEOUT_S) is None:
            return ["no audio came after the failed transfer, by itself or by the resume key (RFC 5589, 6.1)"]
    return []


def refer_problems(refer: Request, *targets: str) -> list[str]:
    """What is wrong with a REFER to one of these targets (RFC 3515, 2.4.1)."""
    problems: list[str] = []
    try:
        found = refer_to(refer)
        if _bare(found.uri) not in map(_bare, targets):
            problems.append(f"Refer-To is {found.uri}, due is {' or '.join(targets)} (RFC 3515, 2.1)")
        address(refer, "Contact")
    except MalformedMessage as error:
        problems.append(f"{error.detail} (RFC 3515, 2.4.1)")
    return problems


def _bare(uri: str) -> str:
    """A SIP URI without its parameters."""
    return uri.split(";", maxsplit=1)[0]


async def _told(dialog: Dialog, status: int) -> list[str]:
    """Notify the phone of a status; what is wrong with its answer."""
    answer = await tell_progress(dialog, status).final(timeout_s=REQUEST_TIMEOUT_S)
    if answer is not None and answer.message.status == 200:
        return []
    return [f"{in_words(f'the NOTIFY with {status}', answer)}; 200 is due (RFC 3515, 2.4.4)"]


@procedure("attended-transfer", measures={"attended_transfer": Unit.BOOL, "replaces_honoured": Unit.BOOL})
async def attended_transfer(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone asks the target first and then joins both; and a call to the phone is taken over by another."""
    if bench.declared_absent("transfer.attended"):
        bench.measure("attended_transfer", False, "the ICS says that the phone has no attended transfer")
    else:
        problems = await _transfers_after_asking(bench)
        bench.measure("attended_transfer", not problems, "; ".join(problems))
    problems = await _is_replaced(bench)
    bench.measure("replaces_honoured", not problems, "; ".join(problems))


async def _transfers_after_asking(bench: PhoneBench) -> list[str]:
    call = await bench.established_call(conduct=_TAKES_REFER)
    if call is None:
        return ["the phone did not take the call"]
    await call.first_packet(0, 1.0)
    asked = await dialled_call(bench, "target", press=bench.driver.consult)
    if asked is None or asked.dialog.invitation is None:
        return ["no INVITE came after the consultation key (RFC 5589, 7)"]
    asked.dialog.ring()
    asked.dialog.accept()
    if await asked.dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S) is None:
        return ["the consultation call was not acknowledged (RFC 3261, 13.2.2.4)"]
    await asked.first_packet(0, 1.0)
    await bench.driver.complete_transfer()
    refer = await call.dialog.request("REFER", timeout_s=REFER_TIMEOUT_S)
    if refer is None:
        return ["no REFER came after the transfer key (RFC 5589, 7)"]
    # The target as it was dialled, or the Contact that it answered with (RFC 5589, 7.3).
    problems = refer_problems(refer.request, here(bench, "target"), here(bench))
    problems += replaces_problems(refer.request, asked.dialog)
    problems += await _told(call.dialog, 100)
    # The target takes the new call in place of the one that it had, and ends that (RFC 3891, 3).
    if not asked.dialog.ended:
        await asked.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
    problems += await _told(call.dialog, 200)
    if await call.dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S) is None:
        problems.append("no BYE came after the NOTIFY with 200 (RFC 5589, 7)")
    return problems


def replaces_problems(refer: Request, asked: Dialog) -> list[str]:
    """What is wrong with Replaces in Refer-To: it names the consultation call as the target has it (RFC 3891, 3)."""
    try:
        found = refer_to(refer).replaces
    except MalformedMessage as error:
        return [error.detail]
    if found is None:
        return ["Refer-To has no Replaces (RFC 5589, 7)"]
    due = Replaces(call_id=asked.call_id, to_tag=asked.local_tag, from_tag=asked.remote_tag or "")
    return [] if found == due else [f"Replaces is {found.value()}, due is {due.value()} (RFC 3891, 3)"]


async def _is_replaced(bench: PhoneBench) -> list[str]:
    """A call comes that takes over the one that is there: it is taken without a key, and the old one is ended."""
    call = await bench.established_call()
    if call is None:
        return ["the phone did not take the call"]
    old = call.dialog
    named = Replaces(call_id=old.call_id, to_tag=old.remote_tag or "", from_tag=old.local_tag)
    headers = (("Require", "replaces"), ("Replaces", named.value()))
    _, invite = bench.call_phone(conduct=Conduct(in_invite=headers))
    final = await invite.final(timeout_s=REQUEST_TIMEOUT_S)
    problems: list[str] = []
    if final is None or final.message.status != 200:
        problems.append(f"{in_words('an INVITE with Replaces', final)}; 200 is due (RFC 3891, 3)")
        if final is None:
            bench.calls[-1].dialog.cancel()
    elif await old.request("BYE", timeout_s=REQUEST_TIMEOUT_S) is None:
        problems.append("the call that was replaced was not ended with BYE (RFC 3891, 3)")
    return problems


@procedure("transferred-by-peer", measures={"refer_followed": Unit.BOOL, "refer_progress_told": Unit.BOOL})
async def transferred_by_peer(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone's caller sends it to another number: it calls there and tells how that went."""
    call = await bench.established_call()
    if call is None:
        bench.measure_rest(transferred_by_peer, "the phone did not take the call")
        return
    target = here(bench, "elsewhere")
    port, audio = bench.open_call_audio()
    headers = [
        ("Contact", call.dialog.contact),
        ("Refer-To", refer_to_value(target)),
        ("Referred-By", f"<{here(bench)}>"),
    ]
    with expecting_calls(bench.endpoint, audio=audio) as arrived:
        answer = await call.dialog.send("REFER", headers).final(timeout_s=REQUEST_TIMEOUT_S)
        accepted = answer is not None and answer.message.status in {200, 202}
        dialog = await arrived.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S) if accepted else None
    if dialog is None or dialog.invitation is None:
        port.close()
        words = f"{in_words('REFER', answer)}, and {'no' if accepted else 'so no'} INVITE came (RFC 3515, 2.4.2)"
        bench.measure_rest(transferred_by_peer, words)
        return
    bench.calls.append(Call(dialog, port, audio))
    dialog.ring()
    dialog.accept()
    acknowledged = await dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S)
    reached = _bare(dialog.invitation.request.uri)
    words = "" if acknowledged else "the 200 of the new call was not acknowledged (RFC 3261, 13.2.2.4)"
    if reached != target:
        words = f"the phone called {reached}, Refer-To was {target} (RFC 3515, 2.4.2)"
    bench.measure("refer_followed", acknowledged is not None and reached == target, words)
    told = await call.dialog.requests.first(_tells_success, timeout_s=REQUEST_TIMEOUT_S)
    found = [progress_of(one.request) for one in call.dialog.requests.all() if one.request.method == "NOTIFY"]
    note = f"NOTIFYs told {found}; the last must tell 200 and end the subscription (RFC 3515, 2.4.4, 2.4.5 and 2.4.7)"
    bench.measure("refer_progress_told", told is not None, note)


def _tells_success(one: ServerTransaction) -> bool:
    ended = (one.request.get("Subscription-State") or "").lower().startswith("terminated")
    return one.request.method == "NOTIFY" and ended and progress_of(one.request) == 200
