"""Changes of a call that stands: re-INVITE and UPDATE from either side (RFC 3261, 14; RFC 3311; RFC 3264, 8)."""

import asyncio
from typing import TYPE_CHECKING

from agents.simulated.reference_phone.equipment import SDP
from agents.simulated.reference_phone.message import Message, Unreadable
from agents.simulated.reference_phone.session_timer import SessionTimer
from agents.simulated.reference_phone.transactions import ServerTransaction

if TYPE_CHECKING:
    from agents.simulated.reference_phone.call import Call

GLARE_CALLER_S = (2.1, 4.0)
GLARE_CALLED_S = (0.0, 2.0)
RETRY_AFTER_S = 10


class Renegotiation:
    """Of one call: what the hold and resume keys want, and what the other side asks for."""

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._wanted = False
        self._agreeing: asyncio.Task[None] | None = None
        self._own_pending = False
        self._theirs: ServerTransaction | None = None
        self._answer_in_ack = False
        self.timer = SessionTimer(call)

    # The phone's own

    def hold(self, on: bool) -> asyncio.Task[None]:
        """Hold the call, or take it back; ends when that is agreed on or has failed."""
        self._wanted = on
        if self._agreeing is None or self._agreeing.done():
            self._agreeing = self._call.equipment.spawn(self._agree())
        return self._agreeing

    @property
    def wants_hold(self) -> bool:
        """What the keys want."""
        return self._wanted

    async def _agree(self) -> None:
        session, behaviour = self._call.session, self._call.behaviour
        while self._call.state == "talking" and self._wanted != session.holding:
            if not self._wanted and behaviour.resume_delay_s:
                await asyncio.sleep(behaviour.resume_delay_s)
            status = await self.reinvite(holding=self._wanted)
            if status == 491:
                if not behaviour.backs_off_after_491:
                    return
                await self.wait_after_glare()
            elif status != 200:
                self._wanted = session.holding
                return

    async def wait_after_glare(self) -> None:
        """Who began the call waits longer (14.1), in steps of 10 ms."""
        span = GLARE_CALLER_S if self._call.dialog.caller else GLARE_CALLED_S
        wait_s = round(self._call.equipment.clock.uniform(*span), 2)
        await asyncio.sleep(wait_s * self._call.behaviour.glare_wait_share)

    async def reinvite(self, *, holding: bool) -> int:
        """One re-INVITE: how it was answered; 0 not at all. After a failure all is as it was (14.1)."""
        call = self._call
        before = call.session.holding
        await self._until_theirs_is_done()
        if call.state != "talking":
            return 0
        call.session.holding = holding
        if holding:
            call.follow()
        self._own_pending = True
        try:
            hop = call.equipment.next_hop(call.dialog.next_uri)
            invite = call.dialog.request(
                "INVITE", *call.equipment.allow, *self.timer.offered(), SDP, body=call.session.offer()
            )
            transaction = call.equipment.endpoint.ask(invite, hop)
            final = await transaction.final()
            if final is not None and final.status < 300:
                call.dialog.refresh_target(final)
                call.acknowledge(transaction)
                call.session.take_answer(final.body)
                self.timer.agreed(final, caller=True)
        except (Unreadable, OSError):
            final = None
        finally:
            self._own_pending = False
        if final is None or final.status in (408, 481):
            call.end(bye=True)
            return 0
        if final.status >= 300:
            call.session.holding = before
        if before and not holding and not call.behaviour.sends_after_resume:
            call.media.follow(None, False)
        else:
            call.follow()
        return final.status

    async def _until_theirs_is_done(self) -> None:
        if self._theirs is not None and not self._theirs.acknowledged.is_set():
            try:
                await asyncio.wait_for(self._theirs.acknowledged.wait(), 64 * self._call.equipment.settings.t1_s)
            except TimeoutError:
                return

    # The other side's

    def take(self, server: ServerTransaction) -> None:
        """A re-INVITE or an UPDATE; raises Unreadable."""
        call, asked = self._call, server.request
        if self._own_pending and (asked.method == "INVITE" or asked.body):
            call.respond(server, 491)
            return
        if call.state != "talking" and (asked.method == "INVITE" or asked.body):
            wait_s = int(call.equipment.clock.uniform(0, RETRY_AFTER_S))
            call.respond(server, 500, ("Retry-After", str(wait_s)))
            return
        too_small = self.timer.too_small(asked)
        if too_small is not None:
            call.respond(server, 422, ("Min-SE", str(too_small)))
            return
        body: bytes | None = b""
        if asked.body:
            body = call.session.answer(asked.body)
        elif asked.method == "INVITE":
            body = call.session.offer()
            self._answer_in_ack = True
        if body is None:
            call.respond(server, 488)
            return
        call.dialog.refresh_target(asked)
        if asked.method == "INVITE":
            self._theirs = server
            server.on_unacknowledged = call.unacknowledged
        timer = self.timer.agreed(asked, caller=False)
        call.respond(server, 200, *call.equipment.allow, *timer, *((SDP,) if body else ()), body=body)
        call.follow()

    def offered_in_200(self) -> None:
        """The 200 to the first INVITE has an offer: the ACK is to have the answer."""
        self._answer_in_ack = True

    def acknowledged(self, ack: Message) -> None:
        """Take the answer in an ACK, where one is due."""
        if not self._answer_in_ack:
            return
        self._answer_in_ack = False
        try:
            self._call.session.take_answer(ack.body)
        except Unreadable:
            self._call.end(bye=True)
            return
        self._call.follow()

    def stop(self) -> None:
        """The call has ended."""
        self.timer.stop()
        if self._agreeing is not None and self._agreeing is not asyncio.current_task():
            self._agreeing.cancel()
