"""A call between two phones that goes through the bench: a back-to-back user agent (RFC 3261, 6) watched on both sides.

Each phone has a dialog of its own with the bench; what one asks within the call is asked of the other, and its answer
goes back. Bodies stay as they were sent, but that their audio is led over the bench. Options that belong to one side
alone (reliable responses, session timers) are not passed on: each phone speaks with a server that does not use them.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Peer
from agents.instruments.rtp_relay import RelayPort, description_of, led_over
from agents.instruments.sdp import AudioFormat, SessionDescription
from agents.instruments.sip_answers import answer_to
from agents.instruments.sip_endpoint import ALLOW, SipEndpoint
from agents.instruments.sip_message import MalformedMessage, Request, Response, request_bytes
from agents.instruments.sip_transactions import ClientTransaction, ServerTransaction
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import address, call_id, cseq

REQUESTS_MAX = 1000
ANSWER_WITHIN_S = 40.0
"""Beyond Timer B: then the bench answers for the phone that did not."""
_PASSED = ("Content-Type", "Event", "Subscription-State", "Refer-To", "Referred-By", "Info-Package")
_REFRESHES_TARGET = frozenset({"INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY"})


class Side:
    """One phone's side: its dialog with the bench, and the port that its audio comes to.

    ``requests``: what the phone asked; ``asked``: what it was asked, with its answers. ``described``: its last
    description; ``remote``: From or To of its side.
    """

    def __init__(
        self,
        endpoint: SipEndpoint,
        port: RelayPort,
        *,
        peer: Peer,
        target: str,
        leg_call_id: str,
        local: str,
        remote: str,
    ) -> None:
        self.endpoint = endpoint
        self.port = port
        self.peer = peer
        self.target = target
        self.call_id = leg_call_id
        self.local = local
        self.remote = remote
        self.contact = f"<sip:bench@{endpoint.address[0]}:{endpoint.address[1]}>"
        self.described: SessionDescription | None = None
        self.requests: Arrivals[ServerTransaction] = Arrivals(most=REQUESTS_MAX)
        self.asked: Arrivals[ClientTransaction] = Arrivals(most=REQUESTS_MAX)
        self.call: PassedCall | None = None
        self._cseq = 0
        self._answers: dict[int, bytes] = {}

    @property
    def formats(self) -> tuple[AudioFormat, ...]:
        """The formats of its audio as it described it last."""
        audio = self.described.audio if self.described else None
        return audio.formats if audio else ()

    def on_request(self, transaction: ServerTransaction) -> None:
        """A request of the phone within the call."""
        self.requests.add(transaction)
        if self.call is not None:
            self.call.take(self, transaction)

    def learn(self, body: bytes) -> None:
        """Keep the phone's description and send its audio where it wants it."""
        described = description_of(body)
        if described is not None:
            self.described = described
            audio = described.audio
            receives = audio is not None and audio.direction.receives
            self.port.destination = audio.destination if audio is not None and receives else None

    def headers(self, method: str, number: int, via: str) -> list[tuple[str, str]]:
        """The headers of a request within this dialog."""
        return [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        ]

    def ask(self, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> ClientTransaction:
        """Send the phone a request within the call; final answers to INVITE are acknowledged."""
        self._cseq += 1
        own = self.headers(method, self._cseq, self.endpoint.via())
        if method in _REFRESHES_TARGET:
            own += [("Contact", self.contact), ("Allow", ALLOW)]
        on_final = self._acknowledge if method == "INVITE" else None
        sent = self.endpoint.send_request(
            method, self.target, [*own, *headers], peer=self.peer, body=body, on_final=on_final
        )
        self.asked.add(sent)
        return sent

    def cancel(self, invite: Request) -> ClientTransaction:
        """Cancel an INVITE that was sent to the phone (RFC 3261, 9.1)."""
        copied = [(name, invite.get(name) or "") for name in ("Via", "From", "To", "Call-ID")]
        headers = [*copied, ("CSeq", f"{cseq(invite).sequence} CANCEL"), ("Max-Forwards", "70")]
        return self.endpoint.send_request("CANCEL", invite.uri, headers, peer=self.peer)

    def answer(
        self, transaction: ServerTransaction, status: int, reason: str, body: bytes = b"", kind: str = ""
    ) -> None:
        """Answer a request of the phone, in the words of the other phone."""
        headers = [("Contact", self.contact), ("Allow", ALLOW)] if status < 300 else []
        headers += [("Content-Type", kind)] if body else []
        to_tag = self.local.rpartition(";tag=")[2]
        # The status is the other phone's: any that there is, so it is put into an answer of a kind that is known.
        raw = answer_to(transaction.received, 180 if status < 200 else 200, to_tag=to_tag, headers=headers, body=body)
        _, _, rest = raw.partition(b"\r\n")
        transaction.respond(status, f"SIP/2.0 {status} {reason}\r\n".encode("utf-8", "surrogateescape") + rest)

    def _acknowledge(self, received: Received[Response]) -> None:
        """ACK: of the transaction for a failure, with a branch of its own for a 2xx (RFC 3261, 17.1.1.3, 13.2.2.4)."""
        response = received.message
        sequence = cseq(response).sequence
        answer = self._answers.get(sequence, b"")
        invite = next(
            sent.request
            for sent in reversed(self.asked.all())
            if sent.request.method == "INVITE" and cseq(sent.request).sequence == sequence
        )
        if response.status < 300 and not invite.body and not answer:
            return  # its 200 has the offer; until the ACK across brings the answer, the 200 comes again
        if response.status < 300:
            self.remote = response.get("To") or self.remote
            with suppress(MalformedMessage):  # without a Contact the target stays; the answer is in the trace
                self.target = str(address(response, "Contact").uri)
        via = self.endpoint.via() if response.status < 300 else invite.get("Via") or ""
        headers = self.headers("ACK", sequence, via)
        headers[3] = ("To", response.get("To") or self.remote)
        uri = self.target if response.status < 300 else invite.uri
        kind = [("Content-Type", "application/sdp")] if answer else []
        self.endpoint.transport.send(request_bytes("ACK", uri, [*headers, *kind], answer), self.peer)

    def answer_offer(self, sent: ClientTransaction, answer: bytes) -> None:
        """Acknowledge the 200 to an INVITE without a description with the answer to its offer (RFC 3261, 13.2.2.4)."""
        self._answers[cseq(sent.request).sequence] = answer
        final = sent.responses.find(lambda response: 200 <= response.message.status < 300)
        if final is not None:
            self._acknowledge(final)


class PassedCall:
    """Both sides of one call. ``invitation``: the caller's INVITE; ``invite``: the one that the callee got for it."""

    def __init__(self, caller: Side, callee: Side, invitation: ServerTransaction) -> None:
        self.caller = caller
        self.callee = callee
        self.invitation = invitation
        self.ended = False
        self._tasks: set[asyncio.Task[None]] = set()
        caller.call = callee.call = self
        callee.endpoint.add_leg(callee.call_id, callee)
        caller.requests.add(invitation)
        caller.endpoint.respond(invitation, 100)
        self.invite = self._pass_on(caller, invitation)

    @property
    def established(self) -> bool:
        """Whether the callee took the call."""
        return self.invite.responses.find(lambda response: 200 <= response.message.status < 300) is not None

    def other(self, side: Side) -> Side:
        """The side across."""
        return self.callee if side is self.caller else self.caller

    def take(self, side: Side, transaction: ServerTransaction) -> None:
        """A request within the call: CANCEL and PRACK are between the phone and the bench, the rest goes across."""
        method = transaction.request.method
        if method == "CANCEL":
            side.answer(transaction, 200, "OK")
            self.other(side).cancel(self.invite.request)
        elif method == "PRACK":
            side.answer(transaction, 481, "Call/Transaction Does Not Exist")
        else:
            self.ended = self.ended or method == "BYE"
            self._pass_on(side, transaction)

    def end(self) -> None:
        """Hang up on both sides what is still up, and let go of the ports."""
        for task in self._tasks:
            task.cancel()
        if not self.ended:
            self.ended = True
            if self.established:
                self.caller.ask("BYE")
                self.callee.ask("BYE")
            else:
                if self.invite.responses.find(lambda response: response.message.status >= 200) is None:
                    self.callee.cancel(self.invite.request)
                if (self.invitation.status or 100) < 200:
                    self.caller.answer(self.invitation, 480, "Temporarily Unavailable")
        for side in (self.caller, self.callee):
            side.port.close()

    def _pass_on(self, side: Side, transaction: ServerTransaction) -> ClientTransaction:
        request, across = transaction.request, self.other(side)
        side.learn(request.body)
        if request.method in _REFRESHES_TARGET:
            with suppress(MalformedMessage):
                side.target = str(address(request, "Contact").uri)
        headers = [(name, value) for name in _PASSED if (value := request.get(name)) is not None]
        headers = [
            (name, _across(value, side, across)) if name == "Refer-To" else (name, value) for name, value in headers
        ]
        body = led_over(request.body, across.port.address) if _is_sdp(request.get("Content-Type")) else request.body
        sent = across.ask(request.method, headers, body)
        if request.method == "INVITE" and not request.body:
            transaction.on_ack = lambda ack: self._offer_answered(side, across, sent, ack.message)
        task = asyncio.create_task(self._answer_back(side, across, transaction, sent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return sent

    @staticmethod
    def _offer_answered(side: Side, across: Side, sent: ClientTransaction, ack: Request) -> None:
        """The ACK of the phone that asked without a description has its answer to the other's offer."""
        if _is_sdp(ack.get("Content-Type")):
            side.learn(ack.body)
            across.answer_offer(sent, led_over(ack.body, across.port.address))

    async def _answer_back(
        self, side: Side, across: Side, transaction: ServerTransaction, sent: ClientTransaction
    ) -> None:
        """Every answer of the phone across, to the one that asked."""
        seen = 0
        while True:
            got = await sent.responses.first(lambda _: True, timeout_s=ANSWER_WITHIN_S, skip=seen)
            if got is None:
                side.answer(transaction, 480, "Temporarily Unavailable")
                return
            seen += 1
            response = got.message
            if response.status == 100:
                continue
            kind = response.get("Content-Type") or ""
            body = response.body
            if _is_sdp(kind):
                across.learn(body)
                body = led_over(body, side.port.address)
            side.answer(transaction, response.status, response.reason, body, kind)
            if response.status >= 200:
                return


def passed_call(
    invitation: ServerTransaction,
    here: SipEndpoint,
    there: SipEndpoint,
    ports: tuple[RelayPort, RelayPort],
    *,
    peer: Peer,
    target: str,
) -> PassedCall:
    """The call of a phone at ``here`` on to the one at ``there``, that is registered with ``target`` from ``peer``.

    ``ports``: of the relay, that which faces the caller first.
    """
    request = invitation.request
    try:
        contact = str(address(request, "Contact").uri)
    except MalformedMessage:  # the call is carried on so that it can be looked at
        contact = str(address(request, "From").uri)
    caller = Side(
        here,
        ports[0],
        peer=invitation.received.peer,
        target=contact,
        leg_call_id=call_id(request),
        local=f"{request.get('To')};tag={here.clock.new_id('t')}",
        remote=request.get("From") or "",
    )
    host, port = there.address
    caller_user = address(request, "From").uri.user or "phone"
    callee = Side(
        there,
        ports[1],
        peer=peer,
        target=target,
        leg_call_id=there.clock.new_id("call"),
        local=f"<sip:{caller_user}@{host}:{port}>;tag={there.clock.new_id('t')}",
        remote=f"<{target}>",
    )
    return PassedCall(caller, callee, invitation)


def _across(value: str, side: Side, across: Side) -> str:
    """A Refer-To in which the bench stands under the address that the phone across knows."""
    here, there = (f"{one.endpoint.address[0]}:{one.endpoint.address[1]}" for one in (side, across))
    return value.replace(here, there)


def _is_sdp(kind: str | None) -> bool:
    return (kind or "").partition(";")[0].strip().lower() == "application/sdp"
