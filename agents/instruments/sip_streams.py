"""SIP over connections: sockets that listen, and the connections made to them (RFC 3261, 18). Judges nothing.

Takes an address, gives whole messages with the flow they came on; what is sent to a flow goes back on its connection.
Times are the kernel's also here (SO_TIMESTAMPNS): when the last byte came of the read that made a message whole. A
connection that brings junk, or more than is kept of it, is cut off, and the reason is told.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from agents.instruments.packets import SO_TIMESTAMPNS, Peer
from agents.instruments.sip_framing import PING, PONG, BrokenStream, MessageFraming
from lab_inventory.clock import boottime_ns, wall_ns
from lab_inventory.errors import Unavailable

CONNECTIONS_MAX = 64
UNSENT_BYTES_MAX = 1 << 20
_BACKLOG = 16
_READ_BYTES = 65_536
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_numbers = itertools.count(1)


class Transport(StrEnum):
    """What carries a message; the upper-case name is the one in a Via (RFC 3261, 20.42)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def reliable(self) -> bool:
        """Whether nothing needs to be sent again (RFC 3261, 17)."""
        return self is not Transport.UDP


class Flow(tuple[str, int]):
    """The far end of one connection (RFC 5626, 2): a peer like any other that also says which connection leads to it.

    ``local`` is our end; ``number`` is of this connection alone, in this process.
    """

    transport: Transport
    local: Peer
    number: int

    def __new__(cls, peer: Peer, *, transport: Transport, local: Peer) -> Self:
        """The far end ``peer`` of a new connection."""
        flow = super().__new__(cls, peer)
        flow.transport, flow.local, flow.number = transport, local, next(_numbers)
        return flow


def transport_of(peer: Peer) -> Transport:
    """What carries messages to and from this peer: UDP unless it is the far end of a connection."""
    return peer.transport if isinstance(peer, Flow) else Transport.UDP


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerStep:
    """What a layer makes of bytes that came: ``plain`` for us, ``reply`` for the peer.

    ``over`` says that the connection is to be ended, ``fault`` why, where that is not as it should be.
    """

    plain: bytes = b""
    reply: bytes = b""
    over: bool = False
    fault: str = ""


class Layer(Protocol):
    """What lies between the bytes of a connection and SIP: TLS. Does no IO."""

    def receive(self, data: bytes, at_ns: int) -> LayerStep:
        """Take bytes that came at ``at_ns``."""
        ...

    def seal(self, plain: bytes) -> bytes:
        """The bytes to send for ``plain``."""
        ...

    def lost(self, at_ns: int) -> None:
        """The connection has gone."""
        ...


class Owner(Protocol):
    """Who owns connections; every call names the flow."""

    def on_frame(self, flow: Flow, data: bytes, at_ns: int) -> None:
        """A whole message, or a keep-alive, as it came."""
        ...

    def on_pong(self, flow: Flow, at_ns: int) -> None:
        """A ping was answered."""
        ...

    def on_cut(self, flow: Flow, rest: bytes, at_ns: int, reason: str) -> None:
        """The connection was ended because of what came, or ended with a message half sent."""
        ...


class Connection:
    """One open connection on the running loop."""

    def __init__(self, bound: socket.socket, flow: Flow, owner: Owner, layer: Layer | None) -> None:
        self._socket = bound
        self.flow = flow
        self._owner = owner
        self._layer = layer
        self._framing = MessageFraming()
        self._unsent = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound.fileno(), self._read)

    @property
    def open(self) -> bool:
        """Whether it still leads anywhere."""
        return self._socket.fileno() >= 0

    def send(self, data: bytes) -> int:
        """Send and give the time just before it left, or was queued behind what the peer has not taken yet.

        Raises Unavailable where the connection has gone.
        """
        if not self.open:
            raise Unavailable("the connection is closed")
        at_ns = boottime_ns()
        self._send_raw(data if self._layer is None else self._layer.seal(data))
        return at_ns

    def close(self) -> None:
        """End it; may be called twice."""
        if self.open:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            if self._layer is not None:
                self._layer.lost(boottime_ns())

    def _send_raw(self, data: bytes) -> None:
        self._unsent += data
        if len(self._unsent) > UNSENT_BYTES_MAX:
            self._cut(boottime_ns(), f"the peer did not take {UNSENT_BYTES_MAX} bytes")
            return
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            self._loop.add_writer(self._socket.fileno(), self._flush)
            return
        except OSError as error:
            self._cut(boottime_ns(), f"the connection broke: {error.strerror or error}")
            return
        self._loop.remove_writer(self._socket.fileno())

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._cut(boottime_ns(), f"the connection broke: {error.strerror or error}")
            return
        at_ns = _receive_time_ns(ancillary)
        if not data:
            self._cut(at_ns, "the peer ended the connection within a message" if self._framing.pending else "")
            return
        if self._layer is None:
            self._take(data, at_ns)
            return
        step = self._layer.receive(data, at_ns)
        if step.reply:
            self._send_raw(step.reply)
        if step.plain:
            self._take(step.plain, at_ns)
        if step.over and self.open:
            self._cut(at_ns, step.fault)

    def _take(self, data: bytes, at_ns: int) -> None:
        reason = ""
        try:
            frames = self._framing.feed(data)
        except BrokenStream as error:
            frames, reason = error.frames, error.detail
        for frame in frames:
            if not self.open:  # whoever got the frame before closed it
                return
            self._owner.on_frame(self.flow, frame, at_ns)
            if frame == PING and self.open:  # RFC 5626, 3.5.1 and 4.4.1: else the phone holds the connection for dead
                self._owner.on_pong(self.flow, self.send(PONG))
        if reason:
            self._cut(at_ns, reason)

    def _cut(self, at_ns: int, reason: str) -> None:
        rest = self._framing.pending
        self.close()
        if reason:
            self._owner.on_cut(self.flow, rest, at_ns, reason)


class StreamListener:
    """One listening socket and its connections. ``refused`` counts connections over the bound, which were ended."""

    def __init__(
        self, bound: socket.socket, transport: Transport, owner: Owner, layer_for: Callable[[Flow], Layer] | None
    ) -> None:
        self._socket = bound
        self._transport = transport
        self._owner = owner
        self._layer_for = layer_for
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        host, port = bound.getsockname()
        self.address: Peer = (host, port)
        self.refused = 0
        self._loop.add_reader(bound.fileno(), self._accept)

    @classmethod
    def open(
        cls,
        address: Peer,
        *,
        transport: Transport,
        owner: Owner,
        layer_for: Callable[[Flow], Layer] | None = None,
    ) -> Self:
        """Listen at ``address`` (port 0: the kernel chooses). Raises Unavailable when it is taken."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # So that the address can be taken again at once after connections to it were ended from here.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # each connection made to it inherits this
            bound.bind(address)
            bound.listen(_BACKLOG)
        except OSError as error:
            bound.close()
            raise Unavailable(f"TCP {address[0]}:{address[1]} cannot be bound: {error.strerror or error}") from error
        return cls(bound, transport, owner, layer_for)

    def connection(self, flow: Flow) -> Connection | None:
        """The connection of this flow, if it is one of ours and still open."""
        found = self._connections.get(flow.number)
        return found if found is not None and found.open else None

    async def connect(self, peer: Peer, *, timeout_s: float) -> Flow:
        """Make a connection to a peer from the host of this address. Raises Unavailable."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            bound.bind((self.address[0], 0))
            await asyncio.wait_for(self._loop.sock_connect(bound, peer), timeout_s)
        except (OSError, TimeoutError) as error:
            bound.close()
            raise Unavailable(f"TCP to {peer[0]}:{peer[1]} cannot be opened: {error}") from error
        return self._add(bound, peer).flow

    def close(self) -> None:
        """Listen no more and end every connection; may be called twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        for connection in self._connections.values():
            connection.close()

    def _accept(self) -> None:
        try:
            accepted, (host, port) = self._socket.accept()
        except OSError:  # it has gone again before it was taken
            return
        accepted.setblocking(False)
        self._connections = {number: kept for number, kept in self._connections.items() if kept.open}
        if len(self._connections) >= CONNECTIONS_MAX:
            self.refused += 1
            accepted.close()
            return
        self._add(accepted, (host, port))

    def _add(self, bound: socket.socket, peer: Peer) -> Connection:
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = bound.getsockname()
        flow = Flow(peer, transport=self._transport, local=(host, port))
        layer = self._layer_for(flow) if self._layer_for else None
        connection = Connection(bound, flow, self._owner, layer)
        self._connections[flow.number] = connection
        return connection


def _receive_time_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's time of the last byte read, in CLOCK_BOOTTIME.

    Where it gives none (at the end of the stream, or a kernel that does not stamp streams) it is the time of reading:
    late by what the stall meter shows, never early.
    """
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = (int(part) for part in _TIMESPEC.unpack(data[: _TIMESPEC.size]))
            return seconds * 1_000_000_000 + nanoseconds + boottime_ns() - wall_ns()
    return boottime_ns()
