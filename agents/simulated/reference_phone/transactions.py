"""Transactions of RFC 3261, 17, over one transport: requests sent until answered, and answers repeated.

:class:`Endpoint` takes bytes. A request that starts something goes to ``on_request``; an ACK for a 200 ends that
answer's repetition and goes to ``on_ack``.
"""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, TypeVar

from agents.simulated.reference_phone.addresses import SIP_PORT, count_vias, cseq, tag, top_via
from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.message import Message, Unreadable, read, request, response
from agents.simulated.reference_phone.transport import Hop
from lab_inventory.clock import Clock

T2_S = 4.0
ENDED_KEPT = 64
_Key = TypeVar("_Key")
_Transaction = TypeVar("_Transaction")


class Transport(Protocol):
    """What carries messages."""

    kind: str
    address: tuple[str, int]

    async def open(self, local: tuple[str, int]) -> None:
        """Take an address; raises OSError."""
        ...

    def send(self, data: bytes, hop: Hop) -> None:
        """Send one message."""
        ...

    async def close(self) -> None:
        """Let go of all."""
        ...


class ClientTransaction:
    """One request of the phone; its responses are read one by one."""

    def __init__(self, endpoint: "Endpoint", sent: Message, hop: Hop) -> None:
        self.request = sent
        self.hop = hop
        self.ack: Message | None = None
        """The ACK for a 200, kept to be sent again when the 200 comes again."""
        self.provisional = False
        self.ended = False
        self.given_up = False
        self._endpoint = endpoint
        self._responses: asyncio.Queue[Message | None] = asyncio.Queue()
        self._timers: list[asyncio.TimerHandle] = []
        self._invite = sent.method == "INVITE"
        self._start()

    def _start(self) -> None:
        behaviour, t1_s, loop = self._endpoint.behaviour, self._endpoint.t1_s, asyncio.get_running_loop()
        self._endpoint.send(self.request, self.hop)
        late_s = behaviour.give_up_delay_s if self._invite else 0.0
        self._timers.append(loop.call_later(64 * t1_s + late_s, self._give_up))
        if not self.hop.reliable and (behaviour.retransmits_invite or not self._invite):
            stretch = 1 + behaviour.retransmission_stretch if self._invite else 1.0
            self._timers.append(loop.call_later(t1_s * stretch, self._repeat, t1_s))

    def _repeat(self, waited_s: float) -> None:
        if self.ended or (self._invite and self.provisional):
            return
        self._endpoint.send(self.request, self.hop)
        wait_s = waited_s * 2 if self._invite else min(waited_s * 2, T2_S)
        wait_s = T2_S if self.provisional else wait_s
        self._timers.append(asyncio.get_running_loop().call_later(wait_s, self._repeat, wait_s))

    def _give_up(self) -> None:
        if not (self._invite and self.provisional):
            self.given_up = True
            self.fail()

    def fail(self) -> None:
        """The connection is gone: no answer will come."""
        if not self.ended:
            self._end()
            self._responses.put_nowait(None)

    def _end(self) -> None:
        self.ended = True
        for timer in self._timers:
            timer.cancel()

    def take(self, received: Message) -> None:
        """A response came."""
        if self.given_up:  # the transaction is gone with Timer B: nothing is left that could acknowledge (17.1.1.2)
            return
        if self.ended:
            self._confirm(received)
            return
        if received.status < 200:
            self.provisional = True
        else:
            self._end()
            self._confirm(received)
        self._responses.put_nowait(received)

    def _confirm(self, received: Message) -> None:
        """ACK: for a failure within this transaction (17.1.1.3); for a 200 again, once the call has sent one."""
        if not self._invite or received.status < 200:
            return
        if received.status < 300:
            if self.ack is not None:
                self._endpoint.send(self.ack, self.hop)
            return
        if not self._endpoint.behaviour.acknowledges:
            return
        sent = self.request
        kept = [
            ("Via", sent.get("Via")),
            ("Max-Forwards", "70"),
            ("From", sent.get("From")),
            ("To", received.get("To")),
        ]
        kept += [("Call-ID", sent.get("Call-ID")), ("CSeq", f"{cseq(sent)[0]} ACK")]
        kept += [("Route", value) for value in sent.all("Route")]
        self._endpoint.send(request("ACK", sent.uri, kept), self.hop)

    async def next(self) -> Message | None:
        """The next response; None when the transaction was given up."""
        return await self._responses.get()

    async def final(self) -> Message | None:
        """The final response; None when none came in time."""
        while True:
            found = await self.next()
            if found is None or found.status >= 200:
                return found


class ServerTransaction:
    """One request that came, and its answers."""

    def __init__(self, endpoint: "Endpoint", received: Message, hop: Hop) -> None:
        self.request = received
        self.hop = hop
        self.final: Message | None = None
        self.acknowledged = asyncio.Event()
        self.on_unacknowledged: Callable[[], None] | None = None
        self._endpoint = endpoint
        self._last: Message | None = None

    def respond(self, status: int, *headers: tuple[str, str], to_tag: str = "", body: bytes = b"") -> None:
        """Answer. A second final answer is not sent."""
        if self.final is not None:
            return
        own = ("User-Agent", self._endpoint.user_agent)
        answer = response(status, [*_copied(self.request, self.hop, to_tag, status), *headers, own], body)
        if not self._endpoint.behaviour.echoes_from_tag and status >= 200:
            answer = _with_other_from_tag(answer)
        self._last = answer
        if status >= 200:
            self.final = answer
        self._endpoint.send(answer, self.hop)
        if status >= 200 and self.request.method == "INVITE":
            self._repeat_until_acknowledged(self._endpoint.t1_s, 0.0)

    def repeat(self) -> None:
        """The request came again: so does the last answer (17.2.1, 17.2.2)."""
        if self._last is not None:
            self._endpoint.send(self._last, self.hop)

    def _repeat_until_acknowledged(self, wait_s: float, waited_s: float) -> None:
        """A 200 by RFC 3261, 13.3.1.4, over every transport; others by timer G (17.2.1), over datagrams."""
        asyncio.get_running_loop().call_later(wait_s, self._repeat_now, wait_s, waited_s + wait_s)

    def _repeat_now(self, wait_s: float, waited_s: float) -> None:
        final = self.final
        if self.acknowledged.is_set() or final is None:
            return
        if waited_s >= 64 * self._endpoint.t1_s:
            if self.on_unacknowledged is not None:
                self.on_unacknowledged()
            return
        good = final.status < 300
        if (good and self._endpoint.behaviour.repeats_200) or (not good and not self.hop.reliable):
            self._endpoint.send(final, self.hop)
        self._repeat_until_acknowledged(min(wait_s * 2, T2_S), waited_s)


class Endpoint:
    """Matches messages to transactions. Those that ended are kept for a while, to know repeats."""

    def __init__(self, *, behaviour: Behaviour, clock: Clock, user_agent: str, t1_s: float = 0.5) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.user_agent = user_agent
        self.t1_s = t1_s
        self.transport: Transport | None = None
        self.on_request: Callable[[ServerTransaction], None] = lambda _: None
        self.on_ack: Callable[[Message], None] = lambda _: None
        self.on_bad: Callable[[], None] = lambda: None
        self.on_lost: Callable[[Hop], None] = lambda _: None
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}

    def send(self, message: Message, hop: Hop) -> None:
        """Send a message as it is."""
        if self.transport is not None:
            self.transport.send(message.encode(), hop)

    @property
    def address(self) -> tuple[str, int]:
        """Where the phone listens."""
        return self.transport.address if self.transport else ("", 0)

    def via(self) -> tuple[str, str]:
        """A Via with a new branch."""
        host, port = self.address
        kind = self.transport.kind if self.transport else "UDP"
        return "Via", f"SIP/2.0/{kind} {host}:{port};branch={self.clock.new_id(self.behaviour.branch_cookie)};rport"

    def ask(self, sent: Message, hop: Hop, *, via: tuple[str, str] | None = None) -> ClientTransaction:
        """Send a request in a transaction of its own."""
        own = via or self.via()
        sent = replace(sent, headers=(own, *sent.headers))
        transaction = ClientTransaction(self, sent, hop)
        self._clients[top_via(sent).parameters["branch"], sent.method] = transaction
        _forget(self._clients, lambda found: found.ended)
        return transaction

    def lost(self, hop: Hop) -> None:
        """A connection has ended, or could not be made."""
        for client in self._clients.values():
            if client.hop == hop:
                client.fail()
        self.on_lost(hop)

    def received(self, data: bytes, hop: Hop) -> None:
        """Bytes of one message."""
        if not data.strip(b"\r\n\0 "):
            return
        try:
            message = read(data)
            if message.status:
                self._response(message)
            else:
                self._request(message, hop)
        except Unreadable:
            self.on_bad()  # without a Via that can be read nobody can be answered
        except Exception:  # a fault of the phone's own: told, and the phone goes on, as the transport would be closed
            traceback.print_exc()

    def _response(self, message: Message) -> None:
        via = top_via(message)
        number, method = cseq(message)
        if len(message.all("CSeq")) != 1 or message.surplus < 0 or not number:
            return
        if count_vias(message) != 1:  # it is for somebody else (RFC 3261, 8.1.3.3)
            return
        found = self._clients.get((via.parameters.get("branch", ""), method))
        if found is not None and (via.host, via.port or SIP_PORT) == self.address:
            found.take(message)

    def _request(self, message: Message, hop: Hop) -> None:
        key = _key(message)
        known = self._servers.get(key)
        if message.method == "ACK":
            for server in [known] if known else self._invites_of(message):
                server.acknowledged.set()
            self.on_ack(message)
            return
        if known is not None and (self.behaviour.knows_repeated_invite or message.method != "INVITE"):
            known.repeat()
            return
        server = ServerTransaction(self, message, _answer_hop(message, hop))
        self._servers[key] = server
        _forget(self._servers, lambda found: found.final is not None)
        self.on_request(server)

    def _invites_of(self, ack: Message) -> list[ServerTransaction]:
        """The INVITEs whose 200 an ACK of another branch confirms (13.3.1.4)."""
        with suppress(Unreadable):
            wanted = (ack.get("Call-ID"), cseq(ack)[0], tag(ack, "From"))
            return [server for server in self._servers.values() if _is_invite(server.request, wanted)]
        return []

    def invite_of(self, cancel: Message) -> ServerTransaction | None:
        """The INVITE that a CANCEL means (9.2)."""
        return self._servers.get((*_key(cancel)[:-1], "INVITE"))

    def merged(self, server: ServerTransaction) -> bool:
        """Whether the same request came already by another way (8.2.2.2)."""
        asked = server.request
        same = [("Call-ID", asked.get("Call-ID")), ("CSeq", asked.get("CSeq"))]
        for other in self._servers.values():
            if other is server or any(other.request.get(name) != value for name, value in same):
                continue
            with suppress(Unreadable):
                if tag(other.request, "From") == tag(asked, "From"):
                    return True
        return False


def _is_invite(asked: Message, wanted: tuple[str, int, str]) -> bool:
    with suppress(Unreadable):
        return asked.method == "INVITE" and (asked.get("Call-ID"), cseq(asked)[0], tag(asked, "From")) == wanted
    return False


def _key(message: Message) -> tuple[str, ...]:
    """What tells one transaction from another (17.2.3); without a branch of RFC 3261 by the older rules."""
    via = top_via(message)
    method = "INVITE" if message.method == "ACK" else message.method
    branch = via.parameters.get("branch", "")
    if branch.startswith("z9hG4bK") and len(branch) > 7:
        return (branch, via.host, str(via.port), method)
    number = message.get("CSeq").split()[:1]
    return (message.get("Call-ID"), *number, message.get("From"), message.get("Via"), method)


def _answer_hop(message: Message, hop: Hop) -> Hop:
    """Where answers go (18.2.2; RFC 3581, 4)."""
    via = top_via(message)
    if hop.reliable or "rport" in via.parameters:
        return hop
    return Hop(hop.kind, hop.host, via.port or SIP_PORT)


def _copied(asked: Message, hop: Hop, to_tag: str, status: int) -> list[tuple[str, str]]:
    """What every answer takes from its request (8.2.6.2), with the source in the first Via (18.2.1)."""
    first, *others = asked.all("Via")
    value, comma, rest = first.partition(",")
    via = top_via(asked)
    if "rport" in via.parameters and not via.parameters["rport"]:
        value = value.replace("rport", f"rport={hop.port}", 1) + f";received={hop.host}"
    elif via.host != hop.host:
        value += f";received={hop.host}"
    to = asked.get("To")
    if status > 100 and to_tag and ";tag" not in to.rpartition(">")[2].replace(" ", "").lower():
        to += f";tag={to_tag}"
    copied = [("Via", value + comma + rest), *(("Via", other) for other in others)]
    copied += [("Record-Route", found) for found in asked.all("Record-Route")]
    copied += [("From", asked.get("From")), ("To", to), ("Call-ID", asked.get("Call-ID")), ("CSeq", asked.get("CSeq"))]
    return copied


def _with_other_from_tag(answer: Message) -> Message:
    headers = tuple((name, value + "x" if name == "From" else value) for name, value in answer.headers)
    return replace(answer, headers=headers)


def _forget(kept: dict[_Key, _Transaction], ended: Callable[[_Transaction], bool]) -> None:
    """Drop the oldest that have ended, where there are many."""
    surplus = len(kept) - ENDED_KEPT
    if surplus > 0:
        for key in [key for key, found in kept.items() if ended(found)][:surplus]:
            del kept[key]
