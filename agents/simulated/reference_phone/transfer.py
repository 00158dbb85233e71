"""Transfers (RFC 3515, RFC 3891, RFC 3892): the phone sends a REFER, and follows one.

As transferor it holds the call first, and returns to it where the transfer fails. As transferee it dials the Refer-To
and tells how that went by NOTIFY with message/sipfrag.
"""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from agents.simulated.reference_phone.addresses import address, addresses, sip_uri
from agents.simulated.reference_phone.call import Call, CallState
from agents.simulated.reference_phone.message import REASONS, Message
from agents.simulated.reference_phone.transactions import ServerTransaction

RESULT_TIMEOUT_S = 60.0
SUBSCRIBED_S = 60
_FRAGMENT = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})")
Dial = Callable[..., Call]


async def transfer(call: Call, refer_to: str, *, other: Call | None = None) -> None:
    """Hold, REFER, wait for the result: then BYE, or the held call again. ``other``: the call that was consulted."""
    await call.renegotiation.hold(True)
    results: asyncio.Queue[int] = asyncio.Queue()
    call.on_notify = lambda notify: _note(notify, results)
    who = f"<{call.equipment.address_of_record}>"
    accepted = await call.ask("REFER", ("Refer-To", refer_to), ("Referred-By", who), *call.equipment.allow)
    status = 0
    if accepted is not None and accepted.status in (200, 202):
        try:
            status = await asyncio.wait_for(_final(results), RESULT_TIMEOUT_S)
        except TimeoutError:
            status = 0
    if 200 <= status < 300:
        for leg in (call, other):
            if leg is not None and leg.state is CallState.TALKING:
                leg.end(bye=True)
    elif not call.behaviour.returns_to_held_call:
        call.end(bye=True)
    elif call.state is CallState.TALKING:
        if other is not None and other.state is CallState.TALKING:
            await other.renegotiation.hold(True)
        await call.renegotiation.hold(False)


def refer_to_call(other: Call) -> str:
    """Refer-To that replaces the consulted call: its tags as the other side has them (RFC 3891, 3; RFC 5589, 7).

    Its Contact is named where that can be reached from anywhere (a GRUU), else the address that was dialled.
    """
    dialog = other.dialog
    contact = sip_uri(dialog.target)
    reached = contact if ";gr" in contact.parameters else sip_uri(addresses((dialog.remote,))[0].uri)
    replaces = quote(f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}", safe="")
    return f"<{reached.bare()}?Replaces={replaces}>"


async def _final(results: "asyncio.Queue[int]") -> int:
    while True:
        status = await results.get()
        if status >= 200:
            return status


def _note(notify: Message, results: "asyncio.Queue[int]") -> None:
    found = _FRAGMENT.match(notify.body)
    if found and notify.get("Event").partition(";")[0].strip().lower() == "refer":
        results.put_nowait(int(found[1]))


def follow_refer(call: Call, server: ServerTransaction, dial: Dial) -> None:
    """Take a REFER within a call: 202, then dial, telling how it goes. Raises Unreadable where it cannot be read."""
    refer = server.request
    if len(refer.all("Refer-To")) != 1:
        call.respond(server, 400)
        return
    wanted = sip_uri(address(refer, "Refer-To").uri)
    headers = [("Referred-By", value) for value in refer.all("Referred-By")[:1]]
    headers += [("Replaces", value) for value in _uri_headers(wanted.headers, "replaces")]
    call.respond(server, 202)
    notices: asyncio.Queue[int] = asyncio.Queue()
    if call.behaviour.notifies_transfer:
        call.equipment.spawn(_notify(call, notices))
    notices.put_nowait(100)
    leg = dial(wanted.bare(), *headers)
    told = call.behaviour.notifies_transfer_result

    def changed(status: int) -> None:
        if told and status > 100:
            notices.put_nowait(status)

    leg.on_response = lambda response: changed(response.status) if _tells(response) else None
    leg.on_failed = lambda: changed(408)


def _tells(response: Message) -> bool:
    """Whether a response says how the call goes: a challenge does not."""
    return response.status not in (401, 407, 422)


def _uri_headers(text: str, name: str) -> list[str]:
    pairs = (pair.partition("=") for pair in text.split("&"))
    return [unquote(value) for key, _, value in pairs if key.lower() == name]


async def _notify(call: Call, notices: "asyncio.Queue[int]") -> None:
    """A NOTIFY for each step; the last ends the subscription (RFC 3515, 2.4.5 to 2.4.7)."""
    while True:
        status = await notices.get()
        ended = status >= 200
        state = "terminated;reason=noresource" if ended else f"active;expires={SUBSCRIBED_S}"
        reason = REASONS.get(status, "")
        body = f"SIP/2.0 {status} {reason}\r\n".encode()
        kind = ("Content-Type", "message/sipfrag;version=2.0")
        final = await call.ask("NOTIFY", ("Event", "refer"), ("Subscription-State", state), kind, body=body)
        if ended or final is None or final.status >= 300:
            return
