"""Transactions: repeat until answered, answer repeats (RFC 3261, 17). Each owns its timers on the loop.

Over a reliable transport nothing is repeated but a 2xx to an INVITE, which is repeated over any (13.3.1.4). Takes a way
to send and a message, gives what came back with the times. It knows no dialog and judges nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Peer
from agents.instruments.sip_answers import answer_peer
from agents.instruments.sip_message import Request, Response
from agents.instruments.sip_streams import transport_of
from agents.instruments.sip_transport import Received

Send = Callable[[bytes, Peer], int]
"""Sends raw bytes to a peer and gives the time they left (ns of CLOCK_BOOTTIME)."""

REPEATS_MAX = 64
RESPONSES_MAX = 256


@dataclass(frozen=True, kw_only=True)
class Timers:
    """T1 and T2 of RFC 3261, 17.1.1.1 and 17.1.2.2, in seconds; the defaults are the RFC's."""

    t1_s: float = 0.5
    t2_s: float = 4.0

    @property
    def timeout_s(self) -> float:
        """Timers B, F and H: 64 times T1."""
        return 64 * self.t1_s


class ClientTransaction:
    """One request of ours and what came back. ``sent_ns`` holds the time of each sending.

    ``on_final`` is called for every final response, also for a repeated one (each wants its ACK, RFC 3261, 13.2.2.4).
    """

    def __init__(
        self,
        *,
        send: Send,
        request: Request,
        peer: Peer,
        timers: Timers,
        on_final: Callable[[Received[Response]], None] | None = None,
    ) -> None:
        self._send = send
        self.request = request
        self.peer = peer
        self._timers = timers
        self._on_final = on_final
        self._loop = asyncio.get_running_loop()
        self._invites = request.method == "INVITE"
        self.responses: Arrivals[Received[Response]] = Arrivals(most=RESPONSES_MAX)
        self.sent_ns: list[int] = []
        self._interval_s = timers.t1_s
        self._due_s = self._loop.time()
        self._deadline_s = self._due_s + timers.timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._reliable = transport_of(peer).reliable
        self._send_once()

    async def final(self, *, timeout_s: float | None = None) -> Received[Response] | None:
        """The first final response; None when none came within ``timeout_s`` (default: Timer B or F)."""
        wait_s = self._timers.timeout_s if timeout_s is None else timeout_s
        return await self.responses.first(lambda response: response.message.status >= 200, timeout_s=wait_s)

    async def response(self, status: int, *, timeout_s: float) -> Received[Response] | None:
        """The first response of this status, or any final one that comes before it; None when neither came in time."""
        return await self.responses.first(
            lambda response: response.message.status == status or response.message.status >= 200, timeout_s=timeout_s
        )

    def take(self, received: Received[Response]) -> None:
        """A response with our branch and method has come."""
        self.responses.add(received)
        final = received.message.status >= 200
        if final or self._invites:
            self.stop()
        else:
            self._interval_s = self._timers.t2_s  # Timer E in state Proceeding
        if final and self._on_final is not None:
            self._on_final(received)

    def stop(self) -> None:
        """Send no more repeats."""
        if self._timer is not None:
            self._timer.cancel()

    def _send_once(self) -> None:
        self.sent_ns.append(self._send(self.request.raw, self.peer))
        # From when it was due and not from when it left, so that one late repeat makes no other late.
        self._due_s += self._interval_s
        if self._due_s < self._deadline_s and not self._reliable:
            self._timer = self._loop.call_at(self._due_s, self._repeat)

    def _repeat(self) -> None:
        # Timer A doubles without end, Timer E doubles up to T2 (RFC 3261, 17.1.1.2 and 17.1.2.2).
        doubled_s = 2 * self._interval_s
        self._interval_s = doubled_s if self._invites else min(doubled_s, self._timers.t2_s)
        self._send_once()


class ServerTransaction:
    """One request of the phone and our answer to it. ``arrivals_ns`` holds the time of each arrival, repeats too.

    ``on_ack``, if set, is called with every ACK for the answer.
    """

    def __init__(self, *, send: Send, received: Received[Request], timers: Timers) -> None:
        self._send = send
        self.received = received
        self.on_ack: Callable[[Received[Request]], None] | None = None
        self._timers = timers
        self._loop = asyncio.get_running_loop()
        self.arrivals_ns: list[int] = [received.at_ns]
        self.answered_ns: list[int] = []
        self.status: int | None = None
        self._answer = b""
        self.acknowledgements: Arrivals[Received[Request]] = Arrivals(most=REPEATS_MAX)
        self._interval_s = timers.t1_s
        self._deadline_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reliable = transport_of(received.peer).reliable

    @property
    def request(self) -> Request:
        """The request itself."""
        return self.received.message

    def respond(self, status: int, raw: bytes) -> int:
        """Send an answer and give the time it left. A final one to an INVITE is repeated until the ACK comes
        (over a reliable transport only a 2xx)."""
        self.status, self._answer = status, raw
        at_ns = self._send_answer()
        self.answered_ns.append(at_ns)
        if status >= 200 and self.request.method == "INVITE" and (status < 300 or not self._reliable):
            self._interval_s = self._timers.t1_s
            self._deadline_s = self._loop.time() + self._timers.timeout_s
            self._timer = self._loop.call_later(self._interval_s, self._repeat)
        return at_ns

    def repeated(self, at_ns: int) -> None:
        """The same request has come again: say the same again (RFC 3261, 17.2.1, 17.2.2)."""
        if len(self.arrivals_ns) < REPEATS_MAX:
            self.arrivals_ns.append(at_ns)
        if self._answer:
            self._send_answer()

    def acknowledge(self, received: Received[Request]) -> None:
        """The ACK for our final answer has come."""
        self.acknowledgements.add(received)
        self.stop()
        if self.on_ack is not None:
            self.on_ack(received)

    async def acknowledged(self, *, timeout_s: float) -> Received[Request] | None:
        """The first ACK, or None when none came in time."""
        return await self.acknowledgements.first(lambda _: True, timeout_s=timeout_s)

    def stop(self) -> None:
        """Send no more repeats."""
        if self._timer is not None:
            self._timer.cancel()

    def _send_answer(self) -> int:
        return self._send(self._answer, answer_peer(self.received))

    def _repeat(self) -> None:
        # Timer G, and for a 2xx the same schedule (RFC 3261, 17.2.1 and 13.3.1.4).
        if self._loop.time() >= self._deadline_s:
            return
        self._interval_s = min(2 * self._interval_s, self._timers.t2_s)
        self._send_answer()
        self._timer = self._loop.call_later(self._interval_s, self._repeat)
