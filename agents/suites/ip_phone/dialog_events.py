"""Dialog events: the bench watches the phone's calls (RFC 4235), as a lamp on another desk does."""

import re

from agents.instruments.dialog import Dialog
from agents.instruments.sdp import LocalAudio
from agents.instruments.sip_message import Request
from agents.instruments.sip_transactions import ServerTransaction
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, in_words
from agents.suites.ip_phone.bench import RING_TIMEOUT_S, SPOKEN, PhoneBench
from lab_inventory.measurement import Unit

EXPIRES_S = 60
DISCARD_PORT = 9
_STATE = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?state(?:\s[^>]*)?>\s*([a-z]+)\s*<")


@procedure(
    "dialog-events",
    measures={"dialog_subscription_accepted": Unit.BOOL, "ringing_told": Unit.BOOL, "end_told": Unit.BOOL},
)
async def dialog_events(bench: PhoneBench, recorder: Recorder) -> None:
    """The bench subscribes to the phone's dialogs, calls it, and gives up; NOTIFYs must tell of both."""
    binding = bench.registered()
    nothing = LocalAudio(host=bench.endpoint.address[0], port=DISCARD_PORT, formats=SPOKEN)
    watch = Dialog.outgoing(bench.endpoint, audio=nothing, peer=binding.peer, target=binding.uri)
    headers = [("Event", "dialog"), ("Accept", "application/dialog-info+xml"), ("Contact", watch.contact)]
    asked = watch.send("SUBSCRIBE", [*headers, ("Expires", str(EXPIRES_S))])
    final = await asked.final(timeout_s=REQUEST_TIMEOUT_S)
    asked.stop()
    if final is None or final.message.status not in {200, 202}:
        words = f"{in_words('SUBSCRIBE to dialog', final)}; 200 is due (RFC 6665, 4.2.1)"
        for quantity in dialog_events.measures:
            bench.measure(quantity, False, words)
        return
    watch.adopt(final.message)
    first = await watch.request("NOTIFY", timeout_s=REQUEST_TIMEOUT_S)
    words = "" if first else "no NOTIFY followed the 200 to SUBSCRIBE (RFC 6665, 4.2.1.2)"
    bench.measure("dialog_subscription_accepted", first is not None, words)

    known = len(watch.requests)
    call, invite = bench.call_phone()
    early = await watch.requests.first(_tells_early, timeout_s=RING_TIMEOUT_S, skip=known)
    words = f"NOTIFYs told {_told(watch, known)} while it rang; early is due (RFC 4235, 3.7.1)"
    bench.measure("ringing_told", early is not None, words)
    known = len(watch.requests)
    call.dialog.cancel()
    await invite.final(timeout_s=REQUEST_TIMEOUT_S)
    over = await watch.requests.first(_tells_nothing_alive, timeout_s=REQUEST_TIMEOUT_S, skip=known)
    words = f"NOTIFYs told {_told(watch, known)} after the call; terminated, or no dialog, is due (RFC 4235, 3.7.1)"
    bench.measure("end_told", over is not None, words)
    await watch.send("SUBSCRIBE", [*headers, ("Expires", "0")]).final(timeout_s=REQUEST_TIMEOUT_S)


def states(notify: Request) -> tuple[str, ...]:
    """The states of the dialogs in a dialog-info document (RFC 4235, 4.1.6)."""
    return tuple(found.decode() for found in _STATE.findall(notify.body))


def _tells_early(one: ServerTransaction) -> bool:
    return one.request.method == "NOTIFY" and "early" in states(one.request)


def _tells_nothing_alive(one: ServerTransaction) -> bool:
    return one.request.method == "NOTIFY" and set(states(one.request)) <= {"terminated"}


def _told(watch: Dialog, known: int) -> list[tuple[str, ...]]:
    return [states(one.request) for one in watch.requests.all()[known:] if one.request.method == "NOTIFY"]
