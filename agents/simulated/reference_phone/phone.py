"""The phone: its keys, the requests that come to it, and its calls.

Keys give None when they were taken, else the reason why not. Requests outside of a dialog are looked at in the order of
RFC 3261, 8.2: form, method, target, extensions, content.
"""

import asyncio
import re
from dataclasses import replace

from agents.simulated.reference_phone.addresses import addresses, count_vias, cseq, parameters_of, scheme_of, tag
from agents.simulated.reference_phone.behaviour import HEALTHY, Behaviour
from agents.simulated.reference_phone.call import Call, CallState
from agents.simulated.reference_phone.digest import Credentials
from agents.simulated.reference_phone.equipment import EXTENSIONS, METHODS, USER_AGENT, Equipment, Settings
from agents.simulated.reference_phone.lamps import MESSAGE, RING, Lamps
from agents.simulated.reference_phone.message import Message, Unreadable, fault_of
from agents.simulated.reference_phone.registration import Registration
from agents.simulated.reference_phone.replaces import replaced_call
from agents.simulated.reference_phone.streams import StreamTransport, tls_context
from agents.simulated.reference_phone.subscriptions import MessageWaiting, Subscriptions, event_of
from agents.simulated.reference_phone.transactions import Endpoint, ServerTransaction, Transport
from agents.simulated.reference_phone.transfer import follow_refer, refer_to_call, transfer
from agents.simulated.reference_phone.transport import Hop, UdpTransport, local_host
from lab_inventory.clock import Clock

CALLS_MAX = 4
FORWARDS_MAX = 255
_WAITING = re.compile(rb"^Messages-Waiting[ \t]*:[ \t]*(yes|no)", re.IGNORECASE | re.MULTILINE)
NO_CALL = "there is no call for this key"


class ReferencePhone:
    """One phone, from ``start`` to ``stop``."""

    def __init__(self, settings: Settings, clock: Clock, behaviour: Behaviour = HEALTHY) -> None:
        self._settings = settings
        self._behaviour = behaviour
        endpoint = Endpoint(behaviour=behaviour, clock=clock, user_agent=USER_AGENT, t1_s=settings.t1_s)
        endpoint.on_request, endpoint.on_ack, endpoint.on_bad = self._request, self._ack, self._bad
        credentials = Credentials(user=settings.user, password=settings.password, behaviour=behaviour, clock=clock)
        self.equipment = Equipment(
            settings=settings, behaviour=behaviour, clock=clock, endpoint=endpoint, credentials=credentials
        )
        self._lamps = Lamps(settings.lamps_file, behaviour, self.equipment.spawn)
        self._transport: Transport | None = None
        self._registration: Registration | None = None
        self._calls: list[Call] = []
        self._subscriptions = Subscriptions(self.equipment, lambda: self._calls)
        self._messages: MessageWaiting | None = None
        self._front: Call | None = None
        self._consulted: tuple[Call, Call] | None = None
        self._came = 0
        self._dialled = 0
        self._ended = 0

    async def start(self) -> None:
        """Bind and begin to register; raises OSError."""
        settings, equipment = self._settings, self.equipment
        first = settings.outbound or settings.registrar
        transport = self._new_transport()
        await transport.open(settings.listen or (local_host(first), 0))
        self._transport = equipment.endpoint.transport = transport
        self._registration = Registration(
            endpoint=equipment.endpoint,
            credentials=equipment.credentials,
            behaviour=self._behaviour,
            registrar=settings.registrar,
            hop=Hop(transport.kind, *first),
            address=equipment.address_of_record,
            contact=equipment.contact_uri,
            instance=settings.instance,
            user_agent=USER_AGENT,
        )
        equipment.endpoint.on_lost = self._lost
        equipment.spawn(self._registration.keep())
        if settings.subscribes_to_messages:
            self._messages = MessageWaiting(equipment)
            equipment.spawn(self._keep_messages(self._messages))

    def _new_transport(self) -> Transport:
        settings, endpoint = self._settings, self.equipment.endpoint
        if settings.transport == "UDP":
            return UdpTransport(endpoint.received, self._behaviour.signalling_mark)
        context = tls_context(self._behaviour, settings.ca_file) if settings.transport == "TLS" else None
        return StreamTransport(endpoint.received, endpoint.lost, context)

    def _lost(self, hop: Hop) -> None:
        if self._registration is not None and hop == self._registration.hop:
            self._registration.flow_lost.set()

    async def _keep_messages(self, messages: MessageWaiting) -> None:
        await self.registered()
        await messages.keep()

    async def registered(self) -> None:
        """Wait until it has registered once."""
        if self._registration is not None:
            await self._registration.registered.wait()

    async def stop(self) -> None:
        """Hang up, de-register, let go of everything."""
        self.reset()
        await asyncio.sleep(0)  # what the keys started sends its first message
        await self.equipment.end_tasks()
        registration, self._registration = self._registration, None
        if registration is not None:
            await registration.stop()
        for stream in self.equipment.streams:
            stream.close()
        if self._transport is not None:
            await self._transport.close()

    # Keys

    def dial(self, uri: str) -> str | None:
        """Call a URI; a call that stands is held."""
        if len(self._calls) >= CALLS_MAX:
            return "all lines are in use"
        self._dialled += 1
        if self._behaviour.dials_call and self._dialled % self._behaviour.dials_call < 1:
            return None  # the key was taken, and nothing comes of it
        try:
            call = Call.outgoing(self.equipment, uri, self._changed)
        except Unreadable as error:
            return str(error)
        self._hold_others(call)
        self._calls.append(call)
        self._front = call
        call.start()
        self._subscriptions.changed()
        return None

    def answer(self) -> str | None:
        """Take the call that rings; a call that stands is held."""
        ringing = next((call for call in self._calls if call.state is CallState.RINGING), None)
        if ringing is None:
            return None
        if self._behaviour.answers_call and self._came % self._behaviour.answers_call == 0:
            return None
        self._hold_others(ringing)
        self._front = ringing
        ringing.press_answer()
        return None

    def hang_up(self) -> str | None:
        """End the call in front."""
        call = self._foreground()
        if call is not None:
            call.hang_up()
        return None

    def hold(self) -> str | None:
        """Hold the call in front."""
        return self._set_hold(True)

    def resume(self) -> str | None:
        """Take it back."""
        return self._set_hold(False)

    def keys(self, digits: str) -> str | None:
        """Press digits in the call in front."""
        call = self._talking()
        if call is None:
            return NO_CALL
        return None if call.media.press(digits) else "no such keys, or no telephone events in this call"

    def transfer(self, uri: str) -> str | None:
        """Transfer the call in front, blindly."""
        call = self._talking()
        if call is None:
            return NO_CALL
        self.equipment.spawn(transfer(call, f"<{uri}>"))
        return None

    def consult(self, uri: str) -> str | None:
        """Hold the call in front and dial another."""
        first = self._talking()
        if first is None:
            return NO_CALL
        refused = self.dial(uri)
        if refused is None and self._front is not None:
            self._consulted = (first, self._front)
        return refused

    def complete_transfer(self) -> str | None:
        """Transfer the held call to the one that was consulted."""
        if self._consulted is None:
            return "no call was consulted that stands"
        held, other = self._consulted
        if {held.state, other.state} != {CallState.TALKING}:
            return f"the held call is {held.state}, the consulted one {other.state}"
        self._consulted = None
        self.equipment.spawn(transfer(held, refer_to_call(other), other=other))
        return None

    def reset(self) -> str | None:
        """Hang up everything."""
        self._consulted = None
        for call in list(self._calls):
            call.hang_up()
        return None

    def _set_hold(self, on: bool) -> str | None:
        call = self._talking()
        if call is None:
            return NO_CALL
        if not on:
            self._hold_others(call)
        call.renegotiation.hold(on)
        return None

    def _hold_others(self, call: Call) -> None:
        for other in self._calls:
            if other is not call and other.state is CallState.TALKING and not other.renegotiation.wants_hold:
                other.renegotiation.hold(True)

    def _foreground(self) -> Call | None:
        if self._front is None or self._front not in self._calls:
            self._front = self._calls[-1] if self._calls else None
        return self._front

    def _talking(self) -> Call | None:
        call = self._foreground()
        return call if call is not None and call.state is CallState.TALKING else None

    def _changed(self, call: Call) -> None:
        """A call has changed its state; when a consulted one fails, the held one is taken back."""
        if call not in self._calls:
            return
        if call.state is not CallState.ENDED:
            self._show_calls()
            return
        self._calls.remove(call)
        self._show_calls()
        held, other = self._consulted or (None, None)
        if call in (held, other):
            self._consulted = None
        if call is other and call.final_status >= 300 and held is not None and held.state is CallState.TALKING:
            held.renegotiation.hold(False)
        self._ended += 1
        if self._behaviour.ends_after_calls and self._ended >= self._behaviour.ends_after_calls:
            self._settings.crash(f"ended after {self._ended} calls")

    def _show_calls(self) -> None:
        self._lamps.show(RING, any(call.state is CallState.RINGING for call in self._calls))
        self._subscriptions.changed()

    # Requests

    def _bad(self) -> None:
        if self._behaviour.ends_on_bad_message:
            self._settings.crash("ended on a malformed message")

    def _ack(self, ack: Message) -> None:
        try:
            for call in self._calls:
                if call.dialog.fits(ack):
                    call.acknowledged(ack)
                    return
        except Unreadable:
            self._bad()

    def _request(self, server: ServerTransaction) -> None:
        try:
            fault = self._fault(server.request)
            if fault is not None:
                self._bad()
                self._refuse(server, fault[0], ("Warning", f'399 phone "{fault[1]}"'))
            else:
                self._serve(server)
        except Unreadable:
            self._bad()
            self._refuse(server, 400)

    def _refuse(self, server: ServerTransaction, status: int, *headers: tuple[str, str]) -> None:
        server.respond(status, *headers, to_tag=self.equipment.clock.new_id("t"))

    def _fault(self, asked: Message) -> tuple[int, str] | None:
        """What is wrong with the form of a request; raises Unreadable too."""
        found = fault_of(asked)
        if found is not None and (self._behaviour.checks_content_length or "Content-Length" not in found[1]):
            return found
        count_vias(asked)
        for name in ("From", "To"):
            if len(addresses(asked.all(name))) != 1:
                return 400, f"{name} has more than one value"
        if asked.get("Contact") != "*":
            addresses(asked.all("Contact"))
        if cseq(asked)[1] != asked.method:
            return 400, "CSeq is of another method (RFC 3261, 8.1.1.5)"
        forwards = asked.get("Max-Forwards")
        if asked.has("Max-Forwards") and not (forwards.isdecimal() and int(forwards[:9]) <= FORWARDS_MAX):
            return 400, "Max-Forwards is not 0 to 255"
        return None

    def _serve(self, server: ServerTransaction) -> None:
        asked = server.request
        if asked.method not in METHODS:
            self._refuse(server, 405, *self.equipment.allow)
            return
        if self._behaviour.checks_scheme and scheme_of(asked.uri) not in ("sip", "sips"):
            self._refuse(server, 416)
            return
        if asked.method == "CANCEL":
            self._cancel(server)
            return
        unknown = asked.tokens("Require") - set(EXTENSIONS)
        if unknown and self._behaviour.checks_require:
            self._refuse(server, 420, ("Unsupported", ", ".join(sorted(unknown))))
            return
        if asked.method == "SUBSCRIBE":
            self._subscriptions.take(server)
            return
        if asked.method == "NOTIFY" and event_of(asked) == "message-summary":
            self._message_summary(server)
            return
        if tag(asked, "To"):
            self._serve_in_dialog(server)
            return
        if self.equipment.endpoint.merged(server):
            self._refuse(server, 482)
            return
        match asked.method:
            case "INVITE":
                self._invite(server)
            case "OPTIONS":
                if self._behaviour.answers_options:
                    self._refuse(server, 200, *self.equipment.allow, ("Accept", "application/sdp"))
            case _:
                self._refuse(server, 481)

    def _message_summary(self, server: ServerTransaction) -> None:
        """Of the phone's own subscription, or unsolicited, as many servers send it (RFC 3842, 2.1 and 4.1)."""
        inside = bool(tag(server.request, "To"))
        known = not inside or (self._messages is not None and self._messages.owns(server.request))
        taken = known and self._behaviour.takes_message_summary
        self._refuse(server, 200 if taken else 481)
        waiting = _WAITING.search(server.request.body)
        if taken and waiting:
            self._lamps.show(MESSAGE, waiting[1].lower() == b"yes")

    def _serve_in_dialog(self, server: ServerTransaction) -> None:
        call = next((call for call in self._calls if call.dialog.fits(server.request)), None)
        if call is None:
            self._refuse(server, 481)
        elif server.request.method == "REFER":
            if call.dialog.is_in_order(server.request):
                follow_refer(call, server, self._dial_for_refer)
        else:
            call.take(server)

    def _dial_for_refer(self, uri: str, *headers: tuple[str, str]) -> Call:
        call = Call.outgoing(self.equipment, uri, self._changed)
        self._calls.append(call)
        self._front = call
        call.start(*headers)
        return call

    def _cancel(self, server: ServerTransaction) -> None:
        invite = self.equipment.endpoint.invite_of(server.request)
        call = next((call for call in self._calls if invite and call.invitation is invite), None)
        if invite is None:
            self._refuse(server, 481)
            return
        if self._behaviour.answers_cancel:
            to_tag = call.dialog.local_tag if call else self.equipment.clock.new_id("t")
            server.respond(200, to_tag=to_tag)
        if call is not None:
            call.cancelled()

    def _invite(self, server: ServerTransaction) -> None:
        asked = server.request = _without_optional_body(server.request)
        accepted = asked.tokens("Accept")
        if asked.body and asked.get("Content-Type").partition(";")[0].strip().lower() != "application/sdp":
            self._refuse(server, 415, ("Accept", "application/sdp"))
            return
        if asked.body and asked.get("Content-Encoding").strip().lower() not in ("", "identity"):
            self._refuse(server, 415, ("Accept-Encoding", "identity"))
            return
        if accepted and not any(word.partition(";")[0].strip() in _SDP_TYPES for word in accepted):
            self._refuse(server, 406)
            return
        if len(self._calls) >= CALLS_MAX:
            self._refuse(server, 486)
            return
        call = Call.incoming(self.equipment, server, self._changed)
        if asked.body and not call.can_take(asked.body):
            call.respond(server, 488)
            call.release()
            return
        least = call.renegotiation.timer.too_small(asked)
        if least is not None:
            call.respond(server, 422, ("Min-SE", str(least)))
            call.release()
            return
        self._came += 1
        replaced = replaced_call(asked, self._calls) if asked.has("Replaces") else None
        if isinstance(replaced, int) and self._behaviour.obeys_replaces:
            call.respond(server, replaced)
            call.release()
            return
        self._calls.append(call)
        if isinstance(replaced, Call) and self._behaviour.obeys_replaces:
            self._front = call
            call.answer()
            replaced.hang_up()
            return
        if self._front is None or self._front not in self._calls:
            self._front = call
        call.ring()
        self._show_calls()


def _without_optional_body(asked: Message) -> Message:
    """A body that is not understood and need not be is passed over (RFC 3261, 8.2.3 and 20.11)."""
    kind = asked.get("Content-Type").partition(";")[0].strip().lower()
    _, parameters = parameters_of(asked.get("Content-Disposition"))
    optional = parameters.get("handling", "").lower() == "optional"
    return replace(asked, body=b"") if optional and kind != "application/sdp" else asked


_SDP_TYPES = frozenset({"application/sdp", "application/*", "*/*"})
