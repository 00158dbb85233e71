"""One call, from INVITE to BYE, in either direction (RFC 3261, 13 to 15). Holding is in ``renegotiation``.

A call owns its dialog, its description and its audio. Keys and messages come in by plain methods; what takes time runs
as a task that ends with the phone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from agents.simulated.reference_phone.addresses import address, cseq, sip_uri, tag
from agents.simulated.reference_phone.dialog import Dialog
from agents.simulated.reference_phone.equipment import SDP, USER_AGENT, Equipment
from agents.simulated.reference_phone.media import MediaStream
from agents.simulated.reference_phone.message import Message, Unreadable
from agents.simulated.reference_phone.reliable import Reliable
from agents.simulated.reference_phone.renegotiation import Renegotiation
from agents.simulated.reference_phone.session import Session
from agents.simulated.reference_phone.transactions import ClientTransaction, ServerTransaction

TRIES = 4


class CallState(StrEnum):
    """How far a call has come."""

    CALLING = "calling"
    RINGING = "ringing"
    TALKING = "talking"
    ENDED = "ended"


class Call:
    """One leg. ``on_change`` is called whenever ``state`` has changed."""

    def __init__(self, equipment: Equipment, dialog: Dialog, on_change: Callable[["Call"], None]) -> None:
        self.equipment = equipment
        self.dialog = dialog
        self.behaviour = equipment.behaviour
        self.state = CallState.CALLING if dialog.caller else CallState.RINGING
        self.on_change = on_change
        self.on_response: Callable[[Message], None] = lambda _: None
        self.on_failed: Callable[[], None] = lambda: None
        """Called when the phone's own INVITE came to nothing without an answer."""
        self.on_notify: Callable[[Message], None] | None = None
        self.final_status = 0
        """How the phone's own INVITE was answered."""
        settings = equipment.settings
        self.media = MediaStream(
            behaviour=self.behaviour, clock=equipment.clock, tone_hz=settings.tone_hz, jack=settings.jack
        )
        equipment.streams.append(self.media)
        host = equipment.endpoint.address[0]
        identity = int(equipment.clock.uniform(1, 1 << 30))
        port = self.media.open(host)
        self.session = Session(
            host=host,
            port=port,
            identity=identity,
            behaviour=self.behaviour,
            master=equipment.new_master(),
            secures=equipment.settings.secures_audio,
            by_dtls=equipment.settings.secures_by_dtls,
            fingerprint=equipment.certificate.told(truly=self.behaviour.tells_own_fingerprint),
        )
        self.renegotiation = Renegotiation(self)
        self.reliable = Reliable(self)
        self.invitation: ServerTransaction | None = None
        self._invite: ClientTransaction | None = None
        self._given_up = False
        self._cancelled = False
        self._answers_later = False

    # Out

    @classmethod
    def outgoing(cls, equipment: Equipment, uri: str, on_change: Callable[["Call"], None]) -> "Call":
        """A call to a URI; raises Unreadable where it is none."""
        target = sip_uri(uri).bare()
        local_tag = equipment.clock.new_id("t")
        dialog = Dialog(
            call_id=equipment.clock.new_id("call"),
            local=f"<{equipment.address_of_record}>;tag={local_tag}",
            remote=f"<{target}>",
            local_tag=local_tag,
            remote_tag="",
            target=target,
            behaviour=equipment.behaviour,
            user_agent=USER_AGENT,
            contact=f"<{equipment.contact_uri}>",
            caller=True,
        )
        return cls(equipment, dialog, on_change)

    def start(self, *headers: tuple[str, str]) -> None:
        """Send the INVITE."""
        self.equipment.spawn(self._call(headers))

    async def _call(self, headers: tuple[tuple[str, str], ...]) -> None:
        if self.behaviour.dial_delay_s:
            await asyncio.sleep(self.behaviour.dial_delay_s)
        final: Message | None = None
        try:
            for _ in range(TRIES):
                final = await self._try_invite(headers)
                if final is None or self._given_up or not self._may_try_again(final):
                    break
            self.final_status = final.status if final else 408
        except (Unreadable, OSError):
            self.final_status, final = 500, None
        if final is None:
            self.on_failed()
        if self.state is CallState.CALLING:
            self.end()

    async def _try_invite(self, headers: tuple[tuple[str, str], ...]) -> Message | None:
        equipment = self.equipment
        own = (*headers, *equipment.allow, *self.renegotiation.timer.offered(), SDP)
        own = (*equipment.credentials.headers("INVITE", self.dialog.target), *own)
        invite = self.dialog.request("INVITE", *own, body=self.session.offer())
        transaction = equipment.endpoint.ask(invite, equipment.next_hop(self.dialog.next_uri, first=True))
        self._invite = transaction
        while True:
            response = await transaction.next()
            if response is None:
                return None
            self.on_response(response)
            if response.status < 200:
                self._provisional(response, transaction)
            elif response.status < 300:
                self._confirmed(response, transaction)
                return response
            else:
                return response

    def _may_try_again(self, final: Message) -> bool:
        if final.status in (401, 407):
            return self.equipment.credentials.take(final) is not None
        return final.status == 422 and self.renegotiation.timer.raise_to(final)

    def _provisional(self, response: Message, transaction: ClientTransaction) -> None:
        self.reliable.provisional(response, transaction.request)
        if self._given_up:
            self._cancel(transaction)

    def _confirmed(self, response: Message, transaction: ClientTransaction) -> None:
        """A 200 to the INVITE: ACK, then audio; or BYE, where the call was given up meanwhile (9.1, 15)."""
        self.final_status = response.status
        self.dialog.learn(response)
        self.acknowledge(transaction)
        self.state = CallState.TALKING
        try:
            if response.body or not self.reliable.answered:
                self.session.take_answer(response.body)
        except Unreadable:
            self.end(bye=True)
            return
        if self._given_up and self.behaviour.ends_call_answered_after_cancel:
            self.end(bye=True)
            return
        self.renegotiation.timer.agreed(response, caller=True)
        self.follow()
        self.on_change(self)

    def acknowledge(self, transaction: ClientTransaction) -> None:
        """The ACK for a 200, in a transaction of its own (13.2.2.4), kept to be repeated."""
        if not self.behaviour.acknowledges:
            return
        endpoint = self.equipment.endpoint
        ack = self.dialog.request("ACK", number=cseq(transaction.request)[0])
        via = endpoint.via() if self.behaviour.ack_has_own_branch else ("Via", transaction.request.get("Via"))
        transaction.ack = Message(start=ack.start, method="ACK", uri=ack.uri, headers=(via, *ack.headers))
        with suppress(Unreadable, OSError):
            endpoint.send(transaction.ack, self.equipment.next_hop(self.dialog.next_uri))

    def _cancel(self, transaction: ClientTransaction) -> None:
        """CANCEL, once, and only after a provisional response (9.1)."""
        if self._cancelled:
            return
        self._cancelled = True
        sent = transaction.request
        names = ("Max-Forwards", "Route", "From", "To", "Call-ID")
        headers = [(name, value) for name, value in sent.headers if name in names]
        headers.append(("CSeq", f"{cseq(sent)[0]} CANCEL"))
        cancel = Message(start=f"CANCEL {sent.uri} SIP/2.0", method="CANCEL", uri=sent.uri, headers=tuple(headers))
        self.equipment.endpoint.ask(cancel, transaction.hop, via=("Via", sent.get("Via")))

    # In

    @classmethod
    def incoming(cls, equipment: Equipment, server: ServerTransaction, on_change: Callable[["Call"], None]) -> "Call":
        """A call that comes; raises Unreadable where its INVITE lacks what a dialog needs."""
        invite = server.request
        local_tag = equipment.clock.new_id("t")
        contact = address(invite, "Contact").uri
        sip_uri(contact)
        dialog = Dialog(
            call_id=invite.get("Call-ID"),
            local=f"{invite.get('To')};tag={local_tag}",
            remote=invite.get("From"),
            local_tag=local_tag,
            remote_tag=tag(invite, "From"),
            target=contact,
            behaviour=equipment.behaviour,
            user_agent=USER_AGENT,
            contact=f"<{equipment.contact_uri}>",
            caller=False,
            routes=invite.all("Record-Route"),
            remote_number=cseq(invite)[0],
        )
        call = cls(equipment, dialog, on_change)
        call.invitation = server
        server.on_unacknowledged = call.unacknowledged
        return call

    def can_take(self, offer: bytes) -> bool:
        """Whether the phone can answer this offer; the call is let go where it cannot even be read."""
        try:
            return self.session.could_answer(offer)
        except Unreadable:
            self.release()
            raise

    def ring(self) -> None:
        """180, at once."""
        if self.behaviour.rings:
            if self.behaviour.ringing_delay_s:
                asyncio.get_running_loop().call_later(self.behaviour.ringing_delay_s, self._ring_now)
            else:
                self._ring_now()

    def _ring_now(self) -> None:
        server = self.invitation
        if server is not None and self.state is CallState.RINGING and not self.reliable.ring(server):
            self.respond(server, 180)

    def press_answer(self) -> None:
        """The key."""
        if self.behaviour.answer_delay_s:
            asyncio.get_running_loop().call_later(self.behaviour.answer_delay_s, self.answer)
        else:
            self.answer()

    def answer(self) -> bool:
        """Take the call: 200 with the answer, or with an offer where the INVITE had none (13.2.1)."""
        server = self.invitation
        if server is None or self.state is not CallState.RINGING:
            return False
        if self.reliable.waits:
            self._answers_later = True
            return True
        try:
            ours = self._described(server.request.body)
        except Unreadable:
            ours = None
        if ours is None:
            self.refuse(488)
            return False
        self.state = CallState.TALKING
        timer = self.renegotiation.timer.agreed(server.request, caller=False)
        self.respond(server, 200, *self.equipment.allow, *timer, *((SDP,) if ours else ()), body=ours)
        self.follow()
        self.on_change(self)
        return True

    def _described(self, offer: bytes) -> bytes | None:
        """The body of the 200; empty where all was said before it. Raises Unreadable."""
        if offer:
            return self.session.answer(offer)
        if self.reliable.offered:
            return b""
        self.renegotiation.offered_in_200()
        return self.session.offer()

    def take_late_answer(self) -> None:
        """The key was pressed before the call could be taken; now it can."""
        if self._answers_later:
            self._answers_later = False
            self.answer()

    def refuse(self, status: int) -> None:
        """Answer the INVITE with a failure."""
        if self.invitation is not None:
            self.respond(self.invitation, status)
        self.end()

    def respond(self, server: ServerTransaction, status: int, *headers: tuple[str, str], body: bytes = b"") -> None:
        """Answer a request of this call, with its tag, and with Contact where a dialog is made (12.1.1)."""
        method = server.request.method
        makes = method in {"INVITE", "UPDATE", "SUBSCRIBE", "REFER"} and 100 < status < 300
        contact = (("Contact", self.dialog.contact),) if makes and self.behaviour.contact_in_200 else ()
        to_tag = self.dialog.local_tag if self.behaviour.to_tag_in_answers else ""
        server.respond(status, *contact, *headers, to_tag=to_tag, body=body)

    def cancelled(self) -> None:
        """A CANCEL came for the INVITE (9.2)."""
        if self.state is CallState.RINGING and self.invitation is not None:
            if self.behaviour.ends_cancelled_invite:
                self.respond(self.invitation, 487)
            self.end()

    def acknowledged(self, ack: Message) -> None:
        """An ACK came: it has the answer where the 200 had the offer."""
        self.renegotiation.acknowledged(ack)

    def unacknowledged(self) -> None:
        """No ACK came for the 200: the call is ended (13.3.1.4)."""
        if self.state is CallState.TALKING:
            self.end(bye=True)

    # Both

    def take(self, server: ServerTransaction) -> None:
        """A request within the call; raises Unreadable."""
        if not self.dialog.is_in_order(server.request):
            self.respond(server, 500)
            return
        match server.request.method:
            case "INVITE" | "UPDATE":
                self.renegotiation.take(server)
            case "PRACK":
                self.reliable.take_prack(server)
            case "BYE":
                if self.behaviour.answers_bye:
                    self.respond(server, 200)
                if self.state is CallState.RINGING and self.invitation is not None:
                    self.respond(self.invitation, 487)
                self.end()
            case "OPTIONS":
                if self.behaviour.answers_options:
                    found = self.behaviour.knows_options_in_dialog
                    self.respond(server, 200 if found else 481, *self.equipment.allow, ("Accept", "application/sdp"))
            case "NOTIFY" if self.on_notify is not None:
                self.respond(server, 200)
                self.on_notify(server.request)
            case "INFO":
                self.respond(server, 200)
            case _:
                self.respond(server, 481)

    def follow(self) -> None:
        """Let the audio do what was agreed on."""
        if self.session.keyed_by_dtls and self.session.remote is not None:
            self.media.key_by_dtls(self.session.remote, self.equipment.certificate)
        master = self.session.master if self.session.secured and self.behaviour.encrypts_audio else None
        self.media.follow(self.session.remote, self.session.sends, master)

    def hang_up(self) -> None:
        """The key: BYE, 486 or CANCEL."""
        if self.state is CallState.TALKING:
            self.end(bye=True)
        elif self.state is CallState.RINGING:
            self.refuse(486)
        elif self.state is CallState.CALLING:
            self._given_up = True
            if self._invite is not None and self._invite.provisional:
                self._cancel(self._invite)

    async def ask(self, method: str, *headers: tuple[str, str], body: bytes = b"") -> Message | None:
        """A request within the call: its final answer. An answer that the call is gone ends it (12.2.1.2)."""
        try:
            hop = self.equipment.next_hop(self.dialog.next_uri)
            sent = self.dialog.request(method, *headers, body=body)
            final = await self.equipment.endpoint.ask(sent, hop).final()
        except (Unreadable, OSError):
            return None
        if final is not None and final.status in (408, 481) and method != "BYE":
            self.end()
        return final

    def end(self, *, bye: bool = False) -> None:
        """The call is over; ``bye``: the other side is to be told."""
        if self.state is CallState.ENDED:
            return
        self.state = CallState.ENDED
        self.renegotiation.stop()
        asyncio.get_running_loop().call_later(self.behaviour.media_after_bye_s, self.release)
        if bye and self.behaviour.sends_bye:
            self.equipment.spawn(self._bye())
        self.on_change(self)

    def release(self) -> None:
        """Let go of the audio port."""
        self.media.close()
        if self.media in self.equipment.streams:
            self.equipment.streams.remove(self.media)

    async def _bye(self) -> None:
        """BYE; a called phone waits for the ACK first (15)."""
        server = self.invitation
        if server is not None and server.final is not None and server.final.status < 300:
            with suppress(TimeoutError):
                await asyncio.wait_for(server.acknowledged.wait(), 64 * self.equipment.settings.t1_s)
        await self.ask("BYE")
