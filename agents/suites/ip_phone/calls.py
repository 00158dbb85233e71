"""Calls both ways, their end, cancelling, and OPTIONS."""

import asyncio

from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.sdp import MalformedSdp, answer_problems, parse_sdp
from agents.instruments.sip_endpoint import ALLOW
from agents.instruments.sip_message import MalformedMessage, Response
from agents.instruments.sip_rules import ack_problems, invite_problems
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import contacts, tag
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, RING_TIMEOUT_S, PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

INVITE_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 3.0


@procedure(
    "incoming-call",
    measures={
        "ringing_ms": Unit.MILLISECOND,
        "answer_valid": Unit.BOOL,
        "answer_delay_ms": Unit.MILLISECOND,
        "audio_from_phone": Unit.BOOL,
    },
)
async def incoming_call(bench: PhoneBench, recorder: Recorder) -> None:
    """INVITE, 180, the answer key, 200 with an answer that fits the offer, audio."""
    call, invite = bench.call_phone()
    ringing = await invite.response(180, timeout_s=RING_TIMEOUT_S)
    sent_ns = invite.sent_ns[0]
    if ringing is not None and ringing.message.status == 180:
        stall = bench.lateness_ms(sent_ns, ringing.at_ns)
        bench.measure("ringing_ms", (ringing.at_ns - sent_ns) / 1e6, bench_stall=stall)
    else:
        came = f"{ringing.message.status} came instead" if ringing else f"nothing came within {RING_TIMEOUT_S:g} s"
        bench.measure("ringing_ms", None, f"no 180: {came}")
    press = await bench.press(bench.press_answer(invite))
    final = await invite.final(timeout_s=ANSWER_TIMEOUT_S)
    answered_ns = final.at_ns if final is not None and final.message.status == 200 else None
    bench.measure_from_press("answer_delay_ms", press, answered_ns, "" if answered_ns else "no 200 came")
    problems = answer_faults(call.dialog, final)
    bench.measure("answer_valid", not problems, "; ".join(problems))
    heard, words = await call.audio_heard(_tone_hz(bench)) if call.dialog.established else (False, "no call")
    bench.measure("audio_from_phone", heard, words)


def answer_faults(dialog: Dialog, final: Received[Response] | None) -> list[str]:
    """What is wrong with the phone's answer to our INVITE, each with its clause; empty where nothing is."""
    if final is None:
        return ["no final response came"]
    response = final.message
    if response.status != 200:
        return [f"the INVITE was answered {response.status}"]
    problems: list[str] = []
    if response.get("From") != dialog.sent_from:
        problems.append("From is not the one that was sent (RFC 3261, 8.2.6.2)")
    if tag(response, "To") is None:
        problems.append("To has no tag (RFC 3261, 12.1.1)")
    try:
        if not contacts(response):
            problems.append("Contact is missing (RFC 3261, 12.1.1)")
    except MalformedMessage as error:
        problems.append(error.detail)
    try:
        answer = parse_sdp(response.body)
    except MalformedSdp as error:
        return [*problems, error.detail]
    if dialog.offer is not None:
        problems.extend(answer_problems(dialog.offer, answer))
    return problems


@procedure(
    "outgoing-call",
    measures={"invite_valid": Unit.BOOL, "post_dial_delay_ms": Unit.MILLISECOND, "audio_from_phone": Unit.BOOL},
)
async def outgoing_call(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone dials the bench: INVITE, 180, 200, ACK, audio."""
    port, audio = bench.open_call_audio()
    host, number = bench.endpoint.address
    with expecting_calls(bench.endpoint, audio=audio) as arrived:
        press = await bench.press(bench.driver.dial(f"sip:bench@{host}:{number}"))
        dialog = await arrived.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S)
        if dialog is None or dialog.invitation is None:
            port.close()
            for quantity in ("invite_valid", "audio_from_phone"):
                bench.measure(quantity, False, "no INVITE came")
            words = f"no INVITE came within {INVITE_TIMEOUT_S:g} s"
            bench.measure_from_press("post_dial_delay_ms", press, None, words)
            return
        call = Call(dialog, port, audio)
        bench.calls.append(call)
        bench.measure_from_press("post_dial_delay_ms", press, dialog.invitation.received.at_ns)
        problems = [*invite_problems(dialog.invitation.request)]
        dialog.ring()
        dialog.accept()
        ack = await dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S)
        if ack is None:
            problems.append("our 200 was not acknowledged (RFC 3261, 13.2.2.4)")
        else:
            problems += ack_problems(ack.message, dialog.invitation.request)
        bench.measure("invite_valid", not problems, "; ".join(problems))
        heard, words = await call.audio_heard(_tone_hz(bench))
        bench.measure("audio_from_phone", heard, words)


@procedure("session-end", measures={"bye_answered": Unit.BOOL, "bye_sent": Unit.BOOL, "media_stops": Unit.BOOL})
async def session_end(bench: PhoneBench, recorder: Recorder) -> None:
    """One call that the bench ends, one that the phone ends."""
    silent: list[bool] = []
    call = await bench.established_call()
    if call is None:
        bench.measure("bye_answered", None, "the phone did not take the call")
    else:
        await call.first_packet(0, 1.0)
        bye = call.dialog.bye()
        final = await bye.final(timeout_s=REQUEST_TIMEOUT_S)
        status = final.message.status if final else None
        bench.measure("bye_answered", status == 200, f"BYE was answered {status or 'not at all'}")
        silent.append(await call.falls_silent(bye.sent_ns[0]))
    call = await bench.established_call()
    if call is None:
        bench.measure("bye_sent", None, "the phone did not take the call")
    else:
        await call.first_packet(0, 1.0)
        await bench.driver.hang_up()
        bye_in = await call.dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S)
        bench.measure("bye_sent", bye_in is not None, "" if bye_in else "no BYE came after the hang-up key")
        silent.append(await call.falls_silent(bye_in.received.at_ns if bye_in else boottime_ns()))
    note = "" if silent and all(silent) else "audio still came 0.2 s after the end"
    bench.measure("media_stops", all(silent) if len(silent) == 2 else None, note)


@procedure("cancel", measures={"cancel_answered": Unit.BOOL, "invite_ended_487": Unit.BOOL})
async def cancel(bench: PhoneBench, recorder: Recorder) -> None:
    """A call that is given up while the phone rings."""
    call, invite = bench.call_phone()
    # A CANCEL may only follow a provisional response (RFC 3261, 9.1): any, because ringing is judged elsewhere.
    await invite.responses.first(lambda _: True, timeout_s=1.0)
    answered = await call.dialog.cancel().final(timeout_s=REQUEST_TIMEOUT_S)
    status = answered.message.status if answered else None
    bench.measure("cancel_answered", status == 200, f"CANCEL was answered {status or 'not at all'}")
    final = await invite.final(timeout_s=REQUEST_TIMEOUT_S)
    ended = final.message.status if final else None
    bench.measure("invite_ended_487", ended == 487, f"the INVITE was answered {ended or 'not at all'}")


@procedure(
    "options",
    measures={"options_answered": Unit.BOOL, "options_in_dialog_answered": Unit.BOOL, "allow_present": Unit.BOOL},
)
async def options(bench: PhoneBench, recorder: Recorder) -> None:
    """OPTIONS outside of a dialog, and within one."""
    binding = bench.registered()
    host, port = bench.endpoint.address
    headers = [
        ("Via", bench.endpoint.via()),
        ("Max-Forwards", "70"),
        ("From", f"<sip:bench@{host}:{port}>;tag={bench.clock.new_id('t')}"),
        ("To", f"<{binding.uri}>"),
        ("Call-ID", bench.clock.new_id("opt")),
        ("CSeq", "1 OPTIONS"),
        ("Contact", f"<sip:bench@{host}:{port}>"),
        ("Accept", "application/sdp"),
        ("Allow", ALLOW),
    ]
    asked = bench.endpoint.send_request("OPTIONS", binding.uri, headers, peer=binding.peer)
    final = await asked.final(timeout_s=REQUEST_TIMEOUT_S)
    status = final.message.status if final else None
    bench.measure("options_answered", status == 200, f"OPTIONS was answered {status or 'not at all'}")
    allow = final.message.get("Allow") if final and status == 200 else None
    call = await bench.established_call()
    if call is None:
        bench.measure("options_in_dialog_answered", None, "the phone did not take the call")
    else:
        await asyncio.sleep(0.1)
        inside = await call.dialog.send("OPTIONS", [("Accept", "application/sdp")]).final(timeout_s=REQUEST_TIMEOUT_S)
        status = inside.message.status if inside else None
        bench.measure("options_in_dialog_answered", status == 200, f"OPTIONS was answered {status or 'not at all'}")
    bench.measure("allow_present", bool(allow), allow or "no Allow in a 200 to OPTIONS")


def _tone_hz(bench: PhoneBench) -> float:
    return float(bench.ixit.get("tone", 1000))
