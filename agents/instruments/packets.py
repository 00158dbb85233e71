"""A UDP socket whose receive times are the kernel's. Takes an address, gives packets; knows nothing of SIP or RTP.

The kernel stamps each datagram as it arrives (SO_TIMESTAMPNS, socket(7)), so a late event loop does not enter the
receive time. Stamps are of CLOCK_REALTIME and are moved to CLOCK_BOOTTIME, the clock of all measurements, by the
difference of both clocks at the moment of reading. The kernel turns stamping on a little after the first socket asks
for it; a datagram that comes before that gets the time at which it was read. It also tells the byte of each datagram's
IP header that has its mark for quality of service (IP_RECVTOS, ip(7)): as it came, after all that routers made of it.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from lab_inventory.clock import boottime_ns, wall_ns
from lab_inventory.errors import InvariantBroken, Unavailable

Peer = tuple[str, int]
"""IPv4 host and UDP port."""

# asm-generic/socket.h; Python names neither. The kernel gives a struct timespec and a 32-bit count of lost datagrams.
SO_TIMESTAMPNS = 35
SO_RXQ_OVFL = 40
IP_RECVTOS = 13  # linux/in.h: give the byte of TOS with each datagram
IP_RECVERR = 11  # linux/in.h: tell of ICMP errors also where the socket is not connected
_TIMESPEC = struct.Struct("@ll")
_COUNT = struct.Struct("@I")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_COUNT.size) + socket.CMSG_SPACE(1)
_DATAGRAM_BYTES_MAX = 65_535
_RECEIVE_BUFFER_BYTES = 1 << 20
_BURST_MAX = 64  # datagrams taken per wake-up, so that a flood on one socket does not starve the others
_CLOCK_STEP_NS = 1_000_000
_PENDING_ERRORS_MAX = 16
_READINGS_AGAIN_MAX = 3
_READING_NS_MAX = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """One datagram: when the kernel had it (ns of CLOCK_BOOTTIME), from where, and its bytes.

    ``dscp``: the six bits of its mark, 0 to 63 (RFC 2474, 3); None where nothing was told of its header.
    """

    at_ns: int
    peer: Peer
    data: bytes
    dscp: int | None = None


class PacketPort:
    """A bound UDP socket on the running event loop; calls ``on_packet`` for each datagram, in order.

    ``dropped`` counts datagrams the kernel had to discard because its buffer was full; ``unreachable`` how often a
    peer's host said that nobody listens there (ICMP); ``clock_steps`` how often the wall clock was set by more than
    1 ms between two readings (a stamp taken across a step is off by the step).
    """

    def __init__(self, bound: socket.socket, on_packet: Callable[[Packet], None]) -> None:
        self._socket = bound
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._offset_ns = _boot_less_wall_ns()
        host, port = bound.getsockname()
        self.address: Peer = (host, port)
        self.dropped = 0
        self.unreachable = 0
        self.clock_steps = 0
        self._loop.add_reader(bound.fileno(), self._read_burst)

    @classmethod
    def open(cls, address: Peer, on_packet: Callable[[Packet], None]) -> Self:
        """Bind ``address`` (port 0: the kernel chooses). Raises Unavailable when it is taken or not of this host."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            bound.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            bound.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
            bound.setsockopt(socket.SOL_IP, IP_RECVTOS, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            bound.bind(address)
        except OSError as error:
            bound.close()
            raise Unavailable(f"UDP {address[0]}:{address[1]} cannot be bound: {error.strerror or error}") from error
        return cls(bound, on_packet)

    def send(self, data: bytes, peer: Peer) -> int:
        """Send one datagram and give the time just before it left (ns of CLOCK_BOOTTIME). Raises OSError."""
        for _ in range(_PENDING_ERRORS_MAX):
            at_ns = boottime_ns()
            try:
                self._socket.sendto(data, peer)
            except ConnectionRefusedError:  # the answer to an earlier datagram, told now; this one has not left yet
                continue
            return at_ns
        raise Unavailable(f"UDP to {peer[0]}:{peer[1]} keeps being refused")

    def fileno(self) -> int:
        """The socket's descriptor, for a process that sends from it; below zero once it is closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Let go of the address; may be called twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read_burst(self) -> None:
        self._read_errors()
        for _ in range(_BURST_MAX):
            try:
                data, ancillary, _flags, peer = self._socket.recvmsg(_DATAGRAM_BYTES_MAX, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except ConnectionRefusedError:  # counted from the error queue
                continue
            at_ns = self._receive_time_ns(ancillary)
            self._on_packet(Packet(at_ns=at_ns, peer=(peer[0], peer[1]), data=data, dscp=_dscp(ancillary)))
            if self._socket.fileno() < 0:  # the receiver closed the port
                return

    def _read_errors(self) -> None:
        """Empty the queue of ICMP errors; while one is in it the socket counts as readable."""
        while True:
            try:
                self._socket.recvmsg(0, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                return
            self.unreachable += 1

    def _receive_time_ns(self, ancillary: list[tuple[int, int, bytes]]) -> int:
        stamp_ns: int | None = None
        for level, kind, data in ancillary:
            if level != socket.SOL_SOCKET:
                continue
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
                stamp_ns = seconds * 1_000_000_000 + nanoseconds
            elif kind == SO_RXQ_OVFL:
                self.dropped = _COUNT.unpack(data[: _COUNT.size])[0]
        if stamp_ns is None:
            raise InvariantBroken("the kernel gave a datagram without a time stamp")
        offset_ns = _boot_less_wall_ns()
        if abs(offset_ns - self._offset_ns) > _CLOCK_STEP_NS:
            self.clock_steps += 1
        self._offset_ns = offset_ns
        return stamp_ns + offset_ns


def _boot_less_wall_ns() -> int:
    """The difference of both clocks: the wall clock is read between two readings of the other that are close together.

    A process that is interrupted between two readings would take the interruption for a difference of the clocks.
    """
    narrowest = _read_both()
    for _ in range(_READINGS_AGAIN_MAX):
        if narrowest[0] <= _READING_NS_MAX:
            break
        narrowest = min(narrowest, _read_both())
    return narrowest[1]


def _read_both() -> tuple[int, int]:
    """How long the reading took, and by how much the clock of boot time was ahead in its middle."""
    before_ns, wall, after_ns = boottime_ns(), wall_ns(), boottime_ns()
    return after_ns - before_ns, (before_ns + after_ns) // 2 - wall


def _dscp(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The mark in what the kernel told of a datagram: the upper six bits of the byte of TOS."""
    for level, kind, data in ancillary:
        if level == socket.SOL_IP and kind == socket.IP_TOS:
            return data[0] >> 2
    return None
