"""Hold and resume, by the phone's keys and by its peer."""

import asyncio

from agents.instruments.sdp import MalformedSdp, MediaDirection, parse_sdp
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

REINVITE_TIMEOUT_S = 3.0
RESUME_TIMEOUT_S = 3.0
_HELD = (MediaDirection.SENDONLY, MediaDirection.INACTIVE)


@procedure(
    "hold-and-resume",
    measures={
        "hold_offer_valid": Unit.BOOL,
        "resume_media_ms": Unit.MILLISECOND,
        "held_answer_valid": Unit.BOOL,
        "held_inactive_answer_valid": Unit.BOOL,
        "held_media_stops": Unit.BOOL,
    },
)
async def hold_and_resume(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone holds and resumes; then it is held by the bench, in both ways there are."""
    call = await bench.established_call()
    if call is None:
        for quantity in hold_and_resume.measures:
            bench.measure(quantity, None, "the phone did not take the call")
        return
    await call.first_packet(boottime_ns(), 2.0)
    await _hold_by_phone(bench, call)
    await _held_by_peer(bench, call)


async def _hold_by_phone(bench: PhoneBench, call: Call) -> None:
    known = len(call.dialog.requests)
    await bench.driver.hold()
    hold = await call.dialog.request("INVITE", timeout_s=REINVITE_TIMEOUT_S, skip=known)
    if hold is None:
        bench.measure("hold_offer_valid", False, "no re-INVITE came after the hold key")
    else:
        offered = _direction(hold.request.body)
        bench.measure("hold_offer_valid", offered in _HELD, f"hold was offered as {offered or 'nothing'}")
    await asyncio.sleep(0.5)
    press = await bench.press(bench.driver.resume())
    first = await call.first_packet(press.called_ns, RESUME_TIMEOUT_S) if bench.knows_the_press else None
    words = f"no audio came within {RESUME_TIMEOUT_S:g} s after the resume key"
    bench.measure_from_press("resume_media_ms", press, first.at_ns if first else None, words)
    await asyncio.sleep(0.3)


async def _held_by_peer(bench: PhoneBench, call: Call) -> None:
    answered = await reinvite(call, MediaDirection.SENDONLY)
    valid = answered in (MediaDirection.RECVONLY, MediaDirection.INACTIVE)
    bench.measure("held_answer_valid", valid, f"sendonly was answered {answered or 'with no direction'}")
    silent = await call.falls_silent(boottime_ns())
    bench.measure("held_media_stops", silent, "" if silent else "audio still came 0.2 s after the hold")
    answered = await reinvite(call, MediaDirection.INACTIVE)
    valid = answered is MediaDirection.INACTIVE
    bench.measure("held_inactive_answer_valid", valid, f"inactive was answered {answered or 'with no direction'}")
    await reinvite(call, MediaDirection.SENDRECV)


async def reinvite(call: Call, direction: MediaDirection) -> MediaDirection | None:
    """Offer a direction within the call; gives the one that is answered."""
    final = await call.dialog.invite(direction=direction).final(timeout_s=ANSWER_TIMEOUT_S)
    return _direction(final.message.body) if final is not None and final.message.status == 200 else None


def _direction(body: bytes) -> MediaDirection | None:
    try:
        audio = parse_sdp(body).audio
    except MalformedSdp:
        return None
    return audio.direction if audio else None
