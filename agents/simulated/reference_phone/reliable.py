"""Reliable provisional responses of one call (RFC 3262): sent until acknowledged, and acknowledged by PRACK.

Where an INVITE has no offer, the reliable 180 has it, and the answer comes in PRACK (RFC 3261, 13.2.1).
"""

import asyncio
from typing import TYPE_CHECKING

from agents.simulated.reference_phone.addresses import cseq
from agents.simulated.reference_phone.equipment import SDP
from agents.simulated.reference_phone.message import Message, Unreadable
from agents.simulated.reference_phone.transactions import ServerTransaction

if TYPE_CHECKING:
    from agents.simulated.reference_phone.call import Call

_OPTION = "100rel"
_FIRST_NUMBER_MAX = 1 << 20


class Reliable:
    """Of one call. As called side: one reliable 180 at a time. As caller: PRACK in order, once for each number."""

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._number = 0
        self._unacknowledged = False
        self._taken = 0
        self.offered = False
        """The 180 has the offer."""
        self.answered = False
        """The answer to the phone's offer came in a reliable provisional response, or in PRACK."""

    # Called

    def ring(self, server: ServerTransaction) -> bool:
        """Send 180 reliably, where the caller can take that; whether it was sent."""
        call, invite = self._call, server.request
        able = _OPTION in invite.tokens("Supported") | invite.tokens("Require")
        if not able or not call.behaviour.rings_reliably:
            return False
        self._number = int(call.equipment.clock.uniform(1, _FIRST_NUMBER_MAX))
        self._unacknowledged = True
        self.offered = not invite.body
        body = call.session.offer() if self.offered else b""
        headers = [("Require", _OPTION), ("RSeq", str(self._number)), *call.equipment.allow]
        call.respond(server, 180, *headers, *((SDP,) if body else ()), body=body)
        call.equipment.spawn(self._repeat(server))
        return True

    async def _repeat(self, server: ServerTransaction) -> None:
        """Again after T1, doubled each time; after 64 T1 the INVITE is refused (3)."""
        wait_s, t1_s, waited_s = self._call.equipment.settings.t1_s, self._call.equipment.settings.t1_s, 0.0
        while True:
            await asyncio.sleep(wait_s)
            waited_s += wait_s
            if not self._unacknowledged or server.final is not None:
                return
            if waited_s >= 64 * t1_s:
                self._call.refuse(504)
                return
            server.repeat()
            wait_s *= 2

    @property
    def waits(self) -> bool:
        """Whether the answer to the offer in 180 is still to come: then the call cannot be taken yet."""
        return self.offered and not self.answered

    def take_prack(self, server: ServerTransaction) -> None:
        """A PRACK: 200 where it fits, with the answer to an offer in it; else 481 (3). Raises Unreadable."""
        call, invitation = self._call, self._call.invitation
        words = server.request.get("RAck").split()
        due = [str(self._number), str(cseq(invitation.request)[0]), "INVITE"] if invitation and self._number else []
        if words != due or not due:
            call.respond(server, 481)
            return
        self._unacknowledged = False
        body: bytes | None = b""
        if server.request.body and self.waits:
            call.session.take_answer(server.request.body)
            self.answered = True
        elif server.request.body:
            body = call.session.answer(server.request.body)
        if body is None:
            call.respond(server, 488)
            return
        call.respond(server, 200, *((SDP,) if body else ()), body=body)
        call.take_late_answer()

    # Caller

    def provisional(self, response: Message, invite: Message) -> None:
        """Acknowledge a reliable provisional response: the first, or the next in order (4). Raises Unreadable."""
        call = self._call
        number = response.get("RSeq")
        if _OPTION not in response.tokens("Require") or not number.isdecimal() or len(number) > 10:
            return
        if self._taken and int(number) != self._taken + 1:
            return
        self._taken = int(number)
        call.dialog.learn(response)
        if response.body and not self.answered:
            call.session.take_answer(response.body)
            self.answered = True
            call.follow()
        if call.behaviour.acknowledges_provisionals:
            wanted = f"{int(number) + call.behaviour.rack_step} {cseq(invite)[0]} INVITE"
            call.equipment.spawn(self._prack(wanted))

    async def _prack(self, wanted: str) -> None:
        try:
            await self._call.ask("PRACK", ("RAck", wanted))
        except Unreadable:
            return
