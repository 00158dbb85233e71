"""An INVITE that replaces a call (RFC 3891): which one is meant, and whether it may be. Pure."""

from collections.abc import Iterable

from agents.simulated.reference_phone.addresses import parameters_of
from agents.simulated.reference_phone.call import Call, CallState
from agents.simulated.reference_phone.message import Message


def replaced_call(asked: Message, calls: Iterable[Call]) -> Call | int:
    """The call, or the status that refuses the INVITE (3)."""
    if len(asked.all("Replaces")) != 1:
        return 400
    call_id, parameters = parameters_of(asked.get("Replaces"))
    wanted = (call_id, parameters.get("to-tag", ""), parameters.get("from-tag", ""))
    for call in calls:
        if (call.dialog.call_id, call.dialog.local_tag, call.dialog.remote_tag) != wanted:
            continue
        if call.state is CallState.TALKING:
            return 486 if "early-only" in parameters else call
        # An early call may be replaced only by the side that began it.
        return call if call.state is CallState.CALLING else 481
    return 481
