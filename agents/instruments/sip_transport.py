"""SIP at one address over UDP and TCP, with a complete trace: every byte, both ways, is kept as evidence.

Takes and gives raw messages. What cannot be read is kept in the trace with the reason and goes no further. A peer that
is a :class:`Flow` is answered on its connection, any other by UDP. More addresses are opened for TLS when a case asks.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Self, TypeVar

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.sdes import mask_keys
from agents.instruments.sip_framing import PONG
from agents.instruments.sip_message import MalformedMessage, Request, Response, SipMessage, parse
from agents.instruments.sip_streams import Connection, Flow, Layer, StreamListener, Transport, transport_of
from agents.instruments.sip_values import check_routable
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import Unavailable

TRACE_ENTRIES_MAX = 20_000
TRACE_BYTES_MAX = 16 << 20
WATCHED_MAX = 64
_KEEP_ALIVE = frozenset({b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0" * 4})
_SAME_PORT_ATTEMPTS = 20

MessageT_co = TypeVar("MessageT_co", bound=SipMessage, covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Received(Generic[MessageT_co]):
    """A message as it came: when the kernel had it (ns of CLOCK_BOOTTIME), and from where."""

    message: MessageT_co
    at_ns: int
    peer: Peer


class Direction(StrEnum):
    """Seen from the bench."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceEntry:
    """One message or keep-alive. ``fault`` says why it could not be read or sent, or is empty.

    ``dscp``: the mark of the datagram it came in; None where it came over a connection, or went out.
    """

    at_ns: int
    direction: Direction
    peer: Peer
    raw: bytes
    fault: str = ""
    dscp: int | None = None


class Trace:
    """All that came and went at one address in order, bounded: over the bound new ones are counted and not kept."""

    def __init__(self) -> None:
        self._entries: list[TraceEntry] = []
        self._size_bytes = 0
        self._watched: dict[bytes, Arrivals[TraceEntry]] = {}
        self.dropped = 0

    @contextlib.contextmanager
    def watching(self, mark: str) -> Iterator[Arrivals[TraceEntry]]:
        """While this is open, everything that comes in with ``mark`` in its bytes arrives here, also what nobody else
        would be given: what cannot be read, and responses that match no transaction.
        """
        key, arrived = mark.encode(), Arrivals[TraceEntry](most=WATCHED_MAX)
        self._watched[key] = arrived
        try:
            yield arrived
        finally:
            self._watched.pop(key, None)

    def add(self, entry: TraceEntry) -> None:
        """Keep one entry."""
        if entry.direction is Direction.IN:
            for mark, arrived in self._watched.items():
                if mark in entry.raw:
                    arrived.add(entry)
        if len(self._entries) >= TRACE_ENTRIES_MAX or self._size_bytes + len(entry.raw) > TRACE_BYTES_MAX:
            self.dropped += 1
            return
        self._entries.append(entry)
        self._size_bytes += len(entry.raw)

    def entries(self, *, since_ns: int = 0) -> tuple[TraceEntry, ...]:
        """The entries at or after ``since_ns``."""
        return tuple(entry for entry in self._entries if entry.at_ns >= since_ns)

    def json_lines(self, *, since_ns: int = 0) -> bytes:
        """The trace as evidence: one JSON object a line; ``raw`` maps each byte to the code point of its number.

        Keys of media are masked in it, byte for byte; what is equal stays equal.
        """
        return b"".join(
            json.dumps(
                {
                    "at_ns": entry.at_ns,
                    "direction": entry.direction,
                    "transport": transport_of(entry.peer),
                    "peer": f"{entry.peer[0]}:{entry.peer[1]}",
                    "raw": mask_keys(entry.raw).decode("latin-1"),
                    **({"fault": entry.fault} if entry.fault else {}),
                    **({} if entry.dscp is None else {"dscp": entry.dscp}),
                },
                ensure_ascii=False,
            ).encode()
            + b"\n"
            for entry in self.entries(since_ns=since_ns)
        )


class SipTransport:
    """One bound address; reads what comes and hands it to whoever owns the transactions."""

    def __init__(
        self,
        on_request: Callable[[Received[Request]], None],
        on_response: Callable[[Received[Response]], None],
    ) -> None:
        self._on_request = on_request
        self._on_response = on_response
        self._port: PacketPort | None = None
        self._listeners: list[StreamListener] = []
        self._refused_earlier = 0
        self.trace = Trace()

    def open(self, address: Peer) -> Self:
        """Bind the address for UDP and TCP. Raises Unavailable when either is taken."""
        for attempts_left in reversed(range(_SAME_PORT_ATTEMPTS)):
            port = PacketPort.open(address, self._on_packet)
            try:
                self._listeners = [StreamListener.open(port.address, transport=Transport.TCP, owner=self)]
            except Unavailable:
                port.close()
                if address[1] or not attempts_left:  # else the kernel chose a port that TCP has in use: once more
                    raise
                continue
            self._port = port
            break
        return self

    @property
    def port(self) -> PacketPort:
        """The UDP socket underneath, with its address and counts. Only after ``open``."""
        assert self._port is not None, "the transport is not open"  # noqa: S101 - a mistake of the programmer
        return self._port

    @property
    def refused(self) -> int:
        """Connections that were ended because too many were open, at listeners that have ended too."""
        return self._refused_earlier + sum(listener.refused for listener in self._listeners)

    def listen(self, address: Peer, *, layer_for: Callable[[Flow], Layer]) -> StreamListener:
        """Listen for TLS at another address until ``stop_listening``. Raises Unavailable when it is taken."""
        listener = StreamListener.open(address, transport=Transport.TLS, owner=self, layer_for=layer_for)
        self._listeners.append(listener)
        return listener

    def stop_listening(self, listener: StreamListener) -> None:
        """End a listener of ``listen`` and its connections."""
        listener.close()
        with contextlib.suppress(ValueError):  # stopped already
            self._listeners.remove(listener)
            self._refused_earlier += listener.refused

    async def connect(self, peer: Peer, *, timeout_s: float) -> Flow:
        """Make a TCP connection to a peer; messages sent to the flow go there. Raises Unavailable."""
        return await self._listeners[0].connect(peer, timeout_s=timeout_s)

    def local(self, peer: Peer) -> Peer:
        """Our address as this peer sees it: the one to write into Via and Contact."""
        if not isinstance(peer, Flow):
            return self.port.address
        listening = {listener.address for listener in self._listeners}
        return peer.local if peer.local in listening else self.port.address

    def send(self, raw: bytes, peer: Peer) -> int:
        """Send one message and give the time it left (ns of CLOCK_BOOTTIME). Raises OSError.

        What was to go to a connection that has ended is in the trace with that fault, and goes nowhere: to whoever
        waits for an answer it is as if none came (RFC 3261, 17.1.4).
        """
        fault = ""
        if isinstance(peer, Flow):
            connection = self._connection(peer)
            at_ns = boottime_ns()
            if connection is None:
                fault = "not sent: the connection is closed"
            else:
                at_ns = connection.send(raw)
        else:
            at_ns = self.port.send(raw, peer)
        self.trace.add(TraceEntry(at_ns=at_ns, direction=Direction.OUT, peer=peer, raw=raw, fault=fault))
        return at_ns

    def close(self) -> None:
        """Let go of every address; the trace stays."""
        self.port.close()
        for listener in self._listeners:
            listener.close()

    def on_frame(self, flow: Flow, data: bytes, at_ns: int) -> None:
        """A connection brought a whole message."""
        self._take(data, flow, at_ns)

    def on_pong(self, flow: Flow, at_ns: int) -> None:
        """A connection's ping was answered."""
        self.trace.add(TraceEntry(at_ns=at_ns, direction=Direction.OUT, peer=flow, raw=PONG))

    def on_cut(self, flow: Flow, rest: bytes, at_ns: int, reason: str) -> None:
        """A connection was ended for what came on it."""
        self.trace.add(TraceEntry(at_ns=at_ns, direction=Direction.IN, peer=flow, raw=rest, fault=reason))

    def _connection(self, flow: Flow) -> Connection | None:
        found = (listener.connection(flow) for listener in self._listeners)
        return next((connection for connection in found if connection is not None), None)

    def _on_packet(self, packet: Packet) -> None:
        self._take(packet.data, packet.peer, packet.at_ns, packet.dscp)

    def _take(self, data: bytes, peer: Peer, at_ns: int, dscp: int | None = None) -> None:
        fault, message = "", None
        if data not in _KEEP_ALIVE:
            try:
                message = parse(data)
                check_routable(message)
            except MalformedMessage as error:
                fault, message = error.detail, None
        self.trace.add(TraceEntry(at_ns=at_ns, direction=Direction.IN, peer=peer, raw=data, fault=fault, dscp=dscp))
        if isinstance(message, Request):
            self._on_request(Received(message=message, at_ns=at_ns, peer=peer))
        elif isinstance(message, Response):
            self._on_response(Received(message=message, at_ns=at_ns, peer=peer))
