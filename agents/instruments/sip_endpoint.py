"""The bench's SIP endpoint at one address: matches messages to transactions and calls, answers what belongs to none.

Takes received messages; gives requests to the leg of their Call-ID, REGISTER to the registrar and a new call to
whoever expects one. A leg stays for good, so that a late message of one case never reaches the next.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import Protocol, Self

from agents.instruments.packets import Peer
from agents.instruments.registrar import Registrar
from agents.instruments.sip_answers import answer_to
from agents.instruments.sip_message import Request, Response, parse, request_bytes
from agents.instruments.sip_streams import Flow, Transport, transport_of
from agents.instruments.sip_transactions import ClientTransaction, ServerTransaction, Timers
from agents.instruments.sip_transport import Received, SipTransport
from agents.instruments.sip_values import branch, call_id, cseq, tag, top_via
from agents.instruments.tls_server import TlsListener, TlsServer
from lab_inventory.clock import Clock
from lab_inventory.errors import InvariantBroken

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY, MESSAGE, REGISTER, PRACK, REFER"
TRANSACTIONS_MAX = 4096
LEGS_MAX = 4096


class Leg(Protocol):
    """Who answers the requests of one Call-ID."""

    def on_request(self, transaction: ServerTransaction) -> None:
        """A new request with this Call-ID has come; neither an ACK nor a repeat."""
        ...


OnCall = Callable[[ServerTransaction], Leg]
"""Takes the first request of a new call or subscription, gives the leg that answers it."""


class SipEndpoint:
    """One bound SIP address with its transactions. ``refused`` counts requests ignored because too many were open.

    ``on_subscribe``, where set, takes each new subscription; else a SUBSCRIBE is answered 405.
    """

    def __init__(self, *, clock: Clock, registrar: Registrar | None = None, timers: Timers | None = None) -> None:
        self.clock = clock
        self.registrar = registrar
        self.timers = timers or Timers()
        self.transport = SipTransport(self._on_request, self._on_response)
        self.refused = 0
        self.on_subscribe: OnCall | None = None
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, str, str], ServerTransaction] = {}
        self._legs: dict[str, Leg] = {}
        self._on_call: OnCall | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, address: Peer) -> Self:
        """Bind the address on the running loop for UDP and TCP. Raises Unavailable when either is taken."""
        self._loop = asyncio.get_running_loop()
        self.transport.open(address)
        return self

    def close(self) -> None:
        """Let go of the address and stop every timer; the trace and all records stay."""
        for client in self._clients.values():
            client.stop()
        for server in self._servers.values():
            server.stop()
        self.transport.close()

    @property
    def address(self) -> Peer:
        """Where this endpoint is bound."""
        return self.transport.port.address

    async def connect(self, peer: Peer, *, timeout_s: float) -> Flow:
        """Make a TCP connection: a peer to send requests to. Raises Unavailable."""
        return await self.transport.connect(peer, timeout_s=timeout_s)

    @contextlib.contextmanager
    def listening_tls(self, context: ssl.SSLContext) -> Iterator[TlsListener]:
        """While this is open, listen for TLS at a port of its own on this host. Raises Unavailable."""
        attempts: list[TlsServer] = []

        def layer_for(flow: Flow) -> TlsServer:
            attempts.append(TlsServer(context, flow))
            return attempts[-1]

        listener = self.transport.listen((self.address[0], 0), layer_for=layer_for)
        try:
            yield TlsListener(address=listener.address, attempts=attempts)
        finally:
            self.transport.stop_listening(listener)

    def via(self, peer: Peer | None = None) -> str:
        """A Via value with a branch of its own for a request to ``peer``, which decides the transport; default UDP."""
        host, port = self.address if peer is None else self.transport.local(peer)
        name = (Transport.UDP if peer is None else transport_of(peer)).upper()
        return f"SIP/2.0/{name} {host}:{port};branch=z9hG4bK{self.clock.new_id('b')};rport"

    def contact(self, peer: Peer) -> str:
        """The URI under which ``peer`` reaches this endpoint by the transport it uses (RFC 3261, 19.1.1)."""
        host, port = self.transport.local(peer)
        transport = transport_of(peer)
        return f"sip:bench@{host}:{port}" + (f";transport={transport}" if transport.reliable else "")

    def send_request(
        self,
        method: str,
        uri: str,
        headers: list[tuple[str, str]],
        *,
        peer: Peer,
        body: bytes = b"",
        on_final: Callable[[Received[Response]], None] | None = None,
    ) -> ClientTransaction:
        """Start a client transaction; ``headers`` must hold Via, From, To, Call-ID and CSeq."""
        request = parse(request_bytes(method, uri, headers, body))
        if not isinstance(request, Request):
            raise InvariantBroken("the bench built a request that reads as a response")
        transaction = ClientTransaction(
            send=self.transport.send, request=request, peer=peer, timers=self.timers, on_final=on_final
        )
        key = (branch(request), method)
        self._clients[key] = transaction
        # Kept beyond Timer B or F, then D, so that a repeated final response still finds its ACK.
        self._later(2 * self.timers.timeout_s, lambda: self._clients.pop(key, None))
        return transaction

    def send_ack(self, uri: str, headers: list[tuple[str, str]], *, peer: Peer, body: bytes = b"") -> None:
        """Send an ACK; nothing ever answers it."""
        self.transport.send(request_bytes("ACK", uri, headers, body), peer)

    def add_leg(self, leg_call_id: str, leg: Leg) -> None:
        """From now on ``leg`` answers the requests with this Call-ID. Over the bound the oldest leg is forgotten."""
        if len(self._legs) >= LEGS_MAX:
            del self._legs[next(iter(self._legs))]
        self._legs[leg_call_id] = leg

    @contextlib.contextmanager
    def expecting_calls(self, on_call: OnCall) -> Iterator[None]:
        """While this is open, new calls go to ``on_call``; else they are answered 480. One may be open at a time."""
        if self._on_call is not None:
            raise InvariantBroken("two cases expect a call at this address at the same time")
        self._on_call = on_call
        try:
            yield
        finally:
            self._on_call = None

    def respond(self, transaction: ServerTransaction, status: int) -> None:
        """Answer with a bare status."""
        headers = [("Allow", ALLOW)] if status in {200, 405} else []
        raw = answer_to(transaction.received, status, to_tag=self.clock.new_id("t"), headers=headers)
        transaction.respond(status, raw)

    def _on_response(self, received: Received[Response]) -> None:
        key = (branch(received.message), cseq(received.message).method)
        if (transaction := self._clients.get(key)) is not None:
            transaction.take(received)
            status = received.message.status
            if transport_of(received.peer).reliable and status >= 200 and (key[1] != "INVITE" or status >= 300):
                self._clients.pop(key, None)  # Timers D and K are 0; a 2xx may come again over any transport

    def _on_request(self, received: Received[Request]) -> None:
        request = received.message
        if request.method == "ACK":
            self._on_ack(received)
            return
        if request.method == "REGISTER" and self.registrar is not None and self.registrar.silent:
            self.registrar.unanswered.add(received)
            return
        key = _server_key(request, request.method)
        if (known := self._servers.get(key)) is not None:
            known.repeated(received.at_ns)
            return
        if len(self._servers) >= TRANSACTIONS_MAX:
            self.refused += 1
            return
        transaction = ServerTransaction(send=self.transport.send, received=received, timers=self.timers)
        self._servers[key] = transaction
        self._later(2 * self.timers.timeout_s, lambda: self._servers.pop(key, None))
        self._hand_on(transaction)

    def _hand_on(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if (leg := self._legs.get(call_id(request))) is not None and request.method != "REGISTER":
            leg.on_request(transaction)
        elif request.method == "REGISTER" and self.registrar is not None:
            status, raw = self.registrar.answer(transaction.received)
            transaction.respond(status, raw)
        elif tag(request, "To") is not None or request.method in {"BYE", "CANCEL"}:
            self.respond(transaction, 481)
        elif request.method == "INVITE":
            if self._on_call is None:
                self.respond(transaction, 480)
            else:
                self.add_leg(call_id(request), self._on_call(transaction))
        elif request.method == "SUBSCRIBE" and self.on_subscribe is not None:
            self.add_leg(call_id(request), self.on_subscribe(transaction))
        else:
            self.respond(transaction, 200 if request.method == "OPTIONS" else 405)

    def _on_ack(self, received: Received[Request]) -> None:
        """An ACK has the branch of its INVITE, or, for a 2xx, one of its own: then Call-ID and CSeq number match it."""
        ack = received.message
        transaction = self._servers.get(_server_key(ack, "INVITE"))
        if transaction is None:
            wanted = (call_id(ack), cseq(ack).sequence)
            for known in self._servers.values():
                invite = known.request
                if invite.method == "INVITE" and (call_id(invite), cseq(invite).sequence) == wanted:
                    transaction = known
        if transaction is not None:
            transaction.acknowledge(received)

    def _later(self, delay_s: float, what: Callable[[], object]) -> None:
        assert self._loop is not None, "the endpoint is not open"  # noqa: S101 - a mistake of the programmer
        self._loop.call_later(delay_s, what)


def _server_key(request: Request, method: str) -> tuple[str, str, str]:
    """Branch, sent-by and method name a server transaction (RFC 3261, 17.2.3)."""
    via = top_via(request)
    return (branch(request), f"{via.host}:{via.port}", method)
