"""One call as a SIP dialog, from either side (RFC 3261, 12 to 15). Takes requests of its Call-ID, gives them answered.

It answers by itself what a phone may ask at any time, so that a phone never waits for a procedure; what came stands in
``requests`` with the kernel's times. What a case wants done otherwise stands in ``conduct``. Media is only described
here; ``on_remote`` tells who sends and receives it.
Route sets are not kept: a phone on a bench speaks with the bench directly.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from agents.instruments.arrivals import Arrivals
from agents.instruments.conduct import ORDINARY, Headers
from agents.instruments.packets import Peer
from agents.instruments.sdp import LocalAudio, MalformedSdp, MediaDirection, SessionDescription, parse_sdp
from agents.instruments.sip_answers import answer_to
from agents.instruments.sip_endpoint import ALLOW, SipEndpoint
from agents.instruments.sip_message import MalformedMessage, Request, Response
from agents.instruments.sip_transactions import ClientTransaction, ServerTransaction
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import address, call_id, cseq, tag

REQUESTS_MAX = 1000
_TAG = re.compile(r";\s*tag=([^;,\s>]+)", re.IGNORECASE)
_SDP = ("Content-Type", "application/sdp")
_ANSWERED_200 = frozenset({"OPTIONS", "INFO", "NOTIFY", "MESSAGE", "PRACK"})


class Dialog:
    """One leg. ``remote`` is the phone's last session description; ``ended`` says that a BYE or a CANCEL has passed."""

    def __init__(self, endpoint: SipEndpoint, *, audio: LocalAudio, peer: Peer, target: str, leg_call_id: str) -> None:
        self._endpoint = endpoint
        self._audio = audio
        self._peer = peer
        self._target = target
        self.call_id = leg_call_id
        host, port = endpoint.address
        self.contact = f"<{endpoint.contact(peer)}>"
        self.local_tag = endpoint.clock.new_id("t")
        self._local = f"<sip:bench@{host}:{port}>;tag={self.local_tag}"
        self._remote = f"<{target}>"
        self._cseq = 0
        self._version = 0
        self._last_invite: ClientTransaction | None = None
        self._unacknowledged: Received[Response] | None = None
        self.conduct = ORDINARY
        self.requests: Arrivals[ServerTransaction] = Arrivals(most=REQUESTS_MAX)
        self.invitation: ServerTransaction | None = None
        self.offer: SessionDescription | None = None
        self.remote: SessionDescription | None = None
        self.on_remote: Callable[[SessionDescription], None] | None = None
        self.established = False
        self.established_ns = 0
        self.ended = False

    @classmethod
    def outgoing(cls, endpoint: SipEndpoint, *, audio: LocalAudio, peer: Peer, target: str) -> Self:
        """A call from the bench to the phone's registered contact ``target``, sent to ``peer``."""
        leg_call_id = endpoint.clock.new_id("call")
        dialog = cls(endpoint, audio=audio, peer=peer, target=target, leg_call_id=leg_call_id)
        endpoint.add_leg(leg_call_id, dialog)
        return dialog

    @classmethod
    def incoming(cls, endpoint: SipEndpoint, *, audio: LocalAudio, invitation: ServerTransaction) -> Self:
        """A call from the phone; it is answered 100 at once, then by ``ring`` and ``accept``, or by ``refuse``."""
        request = invitation.request
        try:
            target = str(address(request, "Contact").uri)
        except MalformedMessage:  # judged by who looks at the INVITE; the call is carried on so that it can be
            target = str(address(request, "From").uri)
        peer = invitation.received.peer
        dialog = cls(endpoint, audio=audio, peer=peer, target=target, leg_call_id=call_id(request))
        dialog.invitation = invitation
        dialog._local = f"{request.get('To')};tag={dialog.local_tag}"
        dialog._remote = request.get("From") or ""
        dialog.requests.add(invitation)
        dialog._answer(invitation, 100)
        dialog._learn(request.body)
        return dialog

    @property
    def sent_from(self) -> str:
        """The From of this side's requests."""
        return self._local

    # What the bench does.

    def invite(
        self,
        *,
        direction: MediaDirection = MediaDirection.SENDRECV,
        audio: LocalAudio | None = None,
        body: bytes | None = None,
    ) -> ClientTransaction:
        """Send an INVITE, or within the call a re-INVITE, with an offer.

        ``body`` stands in place of the offer as it is; where it is empty the phone must offer, and our answer goes in
        the ACK (RFC 3261, 13.2.1). Every failure is acknowledged at once, and a 2xx as ``conduct`` says.
        """
        self._audio = audio or self._audio
        body = self._describe(direction) if body is None else body
        with contextlib.suppress(MalformedSdp):  # an offer that is to be refused
            self.offer = parse_sdp(body) if body else None
        self._cseq += 1
        headers = [("Contact", self.contact), ("Allow", ALLOW), *self.conduct.in_invite, *([_SDP] if body else [])]
        self._last_invite = self._request("INVITE", self._cseq, headers, body, on_final=self._on_invite_final)
        return self._last_invite

    def cancel(self) -> ClientTransaction:
        """Cancel the INVITE that was sent last (RFC 3261, 9.1): its branch, its CSeq number, its Via and To."""
        invite = self._sent_invite()
        copied = [(name, invite.get(name) or "") for name in ("Via", "From", "To", "Call-ID")]
        headers = [*copied, ("CSeq", f"{cseq(invite).sequence} CANCEL"), ("Max-Forwards", "70")]
        self.ended = True
        return self._endpoint.send_request("CANCEL", invite.uri, headers, peer=self._peer)

    def bye(self) -> ClientTransaction:
        """End the call."""
        self.ended = True
        return self.send("BYE")

    def send(
        self, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", *, number: int | None = None
    ) -> ClientTransaction:
        """Send any other request within the call; with the CSeq ``number`` where that shall not be the next."""
        if number is None:
            self._cseq += 1
        return self._request(method, self._cseq if number is None else number, headers, body)

    def adopt(self, response: Response) -> None:
        """Speak from now on to whom this answer names: a 2xx, or what a PRACK is for (RFC 3261, 12.1.2)."""
        self._remote = response.get("To") or self._remote
        with contextlib.suppress(MalformedMessage):  # without a Contact the target stays; the answer is kept
            self._target = str(address(response, "Contact").uri)

    def acknowledge(self) -> None:
        """Send the ACK that ``conduct`` withheld."""
        if self._unacknowledged is not None:
            self._acknowledge(self._unacknowledged)
        self._unacknowledged = None

    def ring(self, headers: Headers = ()) -> int:
        """Answer the phone's INVITE with 180; gives the time it left (ns of CLOCK_BOOTTIME)."""
        return self._answer(self._invitation(), 180, [("Contact", self.contact), *headers])

    def accept(self, headers: Headers = ()) -> int:
        """Answer the phone's INVITE with 200 and our side of the media; refuses it with 488 where none is common."""
        return self._answer_offer(self._invitation(), headers)

    def refuse(self, status: int, headers: Headers = ()) -> int:
        """Answer the phone's INVITE with a failure. The next INVITE of the same Call-ID is a new attempt."""
        self.ended = True
        return self._answer(self._invitation(), status, headers)

    def respond(self, transaction: ServerTransaction, status: int) -> int:
        """Answer a request that ``conduct`` left open; 200 to an INVITE brings our side of the media."""
        if status == 200 and transaction.request.method == "INVITE":
            self._learn(transaction.request.body)
            return self._answer_offer(transaction)
        return self._answer(transaction, status)

    @property
    def remote_tag(self) -> str | None:
        """The phone's tag; None before it has sent one."""
        found = _TAG.search(self._remote)
        return found[1] if found else None

    async def request(self, method: str, *, timeout_s: float, skip: int = 0) -> ServerTransaction | None:
        """The first request of this method from index ``skip`` of ``requests`` on; None when none came in time."""
        return await self.requests.first(lambda found: found.request.method == method, timeout_s=timeout_s, skip=skip)

    # What the phone does.

    def on_request(self, transaction: ServerTransaction) -> None:
        """Answer one request of the phone by itself, and keep it."""
        method, conduct = transaction.request.method, self.conduct
        if method == "INVITE" and tag(transaction.request, "To") is None:
            self._on_another_attempt(transaction)
        elif method == "INVITE" and conduct.reinvite != 200:
            self._answer_unless_open(transaction, conduct.reinvite)
        elif method == "INVITE" or (method == "UPDATE" and transaction.request.body):
            self._learn(transaction.request.body)
            self._answer_offer(transaction)
        elif method == "BYE":
            self.ended = True
            self._answer_unless_open(transaction, conduct.bye)
        elif method == "CANCEL":
            self._on_cancel(transaction)
        elif method == "UPDATE":
            self._answer(transaction, 200, [("Contact", self.contact), ("Allow", ALLOW), *conduct.in_ok])
        elif method in _ANSWERED_200:
            self._answer(transaction, 200, [("Allow", ALLOW)])
        elif method == "REFER":
            self._answer(transaction, conduct.refer, [("Contact", self.contact)])
        elif method == "SUBSCRIBE":
            self._answer(transaction, 489)
        else:
            self._answer(transaction, 405, [("Allow", ALLOW)])
        self.requests.add(transaction)

    def _on_another_attempt(self, transaction: ServerTransaction) -> None:
        """The phone tries again what was refused (after 422, say): a new call under the same Call-ID."""
        self.invitation = transaction
        self._remote = transaction.request.get("From") or ""
        self.ended = False
        self._answer(transaction, 100)
        self._learn(transaction.request.body)

    def _answer_unless_open(self, transaction: ServerTransaction, status: int | None) -> None:
        if status is not None:
            self._answer(transaction, status)

    def _on_cancel(self, transaction: ServerTransaction) -> None:
        """200 to the CANCEL, 487 to the INVITE it cancels if that is still open (RFC 3261, 9.2)."""
        if self.conduct.crosses_cancel and self.invitation is not None:
            self._answer_offer(self.invitation)
        self._answer(transaction, 200)
        if self.invitation is not None and (self.invitation.status or 100) < 200:
            self.ended = True
            self._answer(self.invitation, 487)

    def _on_invite_final(self, received: Received[Response]) -> None:
        """Learn what a 2xx says, and acknowledge as ``conduct`` wants it."""
        response = received.message
        if response.status < 300:
            self.adopt(response)
            self._establish(received.at_ns)
            self._learn(response.body)
            if not self.conduct.acknowledges:
                self._unacknowledged = received
                return
        self._acknowledge(received)

    def _acknowledge(self, received: Received[Response]) -> None:
        """ACK: part of the transaction for a failure, a request of its own for a 2xx (RFC 3261, 17.1.1.3, 13.2.2.4)."""
        response, invite = received.message, self._sent_invite()
        via, body = invite.get("Via") or "", b""
        if response.status < 300:
            via = self._endpoint.via(self._peer)
            if not invite.body and self.remote is not None:
                self._version += 1
                body = self._audio.answer(self.remote, version=self._version) or b""
        headers = [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", self._local),
            ("To", response.get("To") or self._remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq(invite).sequence} ACK"),
            *([_SDP] if body else []),
        ]
        uri = self._target if response.status < 300 else invite.uri
        self._endpoint.send_ack(uri, headers, peer=self._peer, body=body)

    def _answer_offer(self, transaction: ServerTransaction, headers: Headers = ()) -> int:
        """200 with the answer to the offer in the request, or with an offer of ours where it has none."""
        body: bytes | None
        if transaction.request.body:
            offer = self.remote
            self._version += 1
            body = None if offer is None else self._audio.answer(offer, version=self._version)
        else:
            body = self._describe(MediaDirection.SENDRECV)
            transaction.on_ack = lambda ack: self._learn(ack.message.body)
        if body is None:
            return self._answer(transaction, 488)
        told = [("Contact", self.contact), ("Allow", ALLOW), *self.conduct.in_ok, *headers, _SDP]
        at_ns = self._answer(transaction, 200, told, body)
        self._establish(at_ns)
        return at_ns

    def _establish(self, at_ns: int) -> None:
        """The call is there; ``established_ns`` is the time of its first 2xx."""
        if not self.established:
            self.established, self.established_ns = True, at_ns

    def _learn(self, body: bytes) -> None:
        """Keep the phone's description; one that cannot be read counts as none (and its text is in the trace)."""
        if not body:
            return
        try:
            self.remote = parse_sdp(body)
        except MalformedSdp:
            self.remote = None
            return
        if self.on_remote is not None:
            self.on_remote(self.remote)

    def _describe(self, direction: MediaDirection) -> bytes:
        self._version += 1
        return self._audio.describe(version=self._version, direction=direction)

    def _invitation(self) -> ServerTransaction:
        assert self.invitation is not None, "this call was not made by the phone"  # noqa: S101
        return self.invitation

    def _sent_invite(self) -> Request:
        assert self._last_invite is not None, "the bench has sent no INVITE in this call"  # noqa: S101
        return self._last_invite.request

    def _answer(
        self, transaction: ServerTransaction, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> int:
        raw = answer_to(transaction.received, status, to_tag=self.local_tag, headers=headers, body=body)
        return transaction.respond(status, raw)

    def _request(
        self,
        method: str,
        number: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        on_final: Callable[[Received[Response]], None] | None = None,
    ) -> ClientTransaction:
        own = [
            ("Via", self._endpoint.via(self._peer)),
            ("Max-Forwards", "70"),
            ("From", self._local),
            ("To", self._remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        ]
        return self._endpoint.send_request(
            method, self._target, [*own, *headers], peer=self._peer, body=body, on_final=on_final
        )


class SilentLeg:
    """A leg that answers nothing: for a phone that must find out by itself that nobody is there."""

    def on_request(self, transaction: ServerTransaction) -> None:
        """Let it go unanswered; its arrivals are in the transaction."""


@contextlib.contextmanager
def expecting_calls(endpoint: SipEndpoint, *, audio: LocalAudio) -> Iterator[Arrivals[Dialog]]:
    """While this is open, each new call of the phone arrives here as a dialog that is not yet answered."""
    arrived: Arrivals[Dialog] = Arrivals(most=REQUESTS_MAX)

    def on_call(invitation: ServerTransaction) -> Dialog:
        dialog = Dialog.incoming(endpoint, audio=audio, invitation=invitation)
        arrived.add(dialog)
        return dialog

    with endpoint.expecting_calls(on_call):
        yield arrived


@contextlib.contextmanager
def ignoring_calls(endpoint: SipEndpoint) -> Iterator[Arrivals[ServerTransaction]]:
    """While this is open, a new call gets no answer; each INVITE arrives here with the times of its repeats.

    Afterwards each is told once that nobody is there, so that a phone still trying stops before the next case.
    """
    arrived: Arrivals[ServerTransaction] = Arrivals(most=REQUESTS_MAX)

    def on_call(invitation: ServerTransaction) -> SilentLeg:
        arrived.add(invitation)
        return SilentLeg()

    with endpoint.expecting_calls(on_call):
        yield arrived
    for invitation in arrived.all():
        endpoint.respond(invitation, 480)
        invitation.stop()
