"""SIP over one UDP address, with a complete trace: every byte, both ways, is kept as evidence.

Takes and gives raw messages. What cannot be read is kept in the trace with the reason and goes no further.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Self, TypeVar

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.sip_message import MalformedMessage, Request, Response, SipMessage, parse
from agents.instruments.sip_values import check_routable

TRACE_ENTRIES_MAX = 20_000
TRACE_BYTES_MAX = 16 << 20
WATCHED_MAX = 64
_KEEP_ALIVE = frozenset({b"\r\n", b"\r\n\r\n", b"\0" * 4})

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
    """One datagram. ``fault`` says why it could not be read, or is empty."""

    at_ns: int
    direction: Direction
    peer: Peer
    raw: bytes
    fault: str = ""


class Trace:
    """Every datagram of one address in order, bounded: over the bound new ones are counted and not kept."""

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
        """The trace as evidence: one JSON object a line; ``raw`` maps each byte to the code point of its number."""
        return b"".join(
            json.dumps(
                {
                    "at_ns": entry.at_ns,
                    "direction": entry.direction,
                    "peer": f"{entry.peer[0]}:{entry.peer[1]}",
                    "raw": entry.raw.decode("latin-1"),
                    **({"fault": entry.fault} if entry.fault else {}),
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
        self.trace = Trace()

    def open(self, address: Peer) -> Self:
        """Bind the address. Raises Unavailable when it is taken."""
        self._port = PacketPort.open(address, self._on_packet)
        return self

    @property
    def port(self) -> PacketPort:
        """The socket underneath, with its address and counts. Only after ``open``."""
        assert self._port is not None, "the transport is not open"  # noqa: S101 - a mistake of the programmer
        return self._port

    def send(self, raw: bytes, peer: Peer) -> int:
        """Send one message and give the time it left (ns of CLOCK_BOOTTIME). Raises OSError."""
        at_ns = self.port.send(raw, peer)
        self.trace.add(TraceEntry(at_ns=at_ns, direction=Direction.OUT, peer=peer, raw=raw))
        return at_ns

    def close(self) -> None:
        """Let go of the address; the trace stays."""
        self.port.close()

    def _on_packet(self, packet: Packet) -> None:
        fault, message = "", None
        if packet.data not in _KEEP_ALIVE:
            try:
                message = parse(packet.data)
                check_routable(message)
            except MalformedMessage as error:
                fault, message = error.detail, None
        self.trace.add(
            TraceEntry(at_ns=packet.at_ns, direction=Direction.IN, peer=packet.peer, raw=packet.data, fault=fault)
        )
        if isinstance(message, Request):
            self._on_request(Received(message=message, at_ns=packet.at_ns, peer=packet.peer))
        elif isinstance(message, Response):
            self._on_response(Received(message=message, at_ns=packet.at_ns, peer=packet.peer))
