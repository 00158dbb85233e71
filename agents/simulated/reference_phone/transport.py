"""Datagrams of the phone: one socket on the address from which its registrar is reached."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, NamedTuple


class Hop(NamedTuple):
    """Where a message goes or came from."""

    kind: str
    host: str
    port: int

    @property
    def reliable(self) -> bool:
        """Whether nothing is lost on it, so that nothing is repeated."""
        return self.kind != "UDP"


Received = Callable[[bytes, Hop], None]


class UdpTransport(asyncio.DatagramProtocol):
    """The socket; every datagram goes to ``received``, and has ``mark`` (DSCP) when it leaves."""

    kind = "UDP"

    def __init__(self, received: Received, mark: int = 0) -> None:
        self._received = received
        self._mark = mark
        self._transport: asyncio.DatagramTransport | None = None
        self.address: tuple[str, int] = ("", 0)

    async def open(self, local: tuple[str, int]) -> None:
        """Bind; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=local)
        bound = self._transport.get_extra_info("socket")
        bound.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._mark << 2)
        host, port, *_ = self._transport.get_extra_info("sockname")
        self.address = (host, port)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Hand it on."""
        self._received(data, Hop("UDP", addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """An ICMP error says nothing that the timers do not say as well."""

    def send(self, data: bytes, hop: Hop) -> None:
        """Send one datagram; after ``close`` nothing is sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, (hop.host, hop.port))

    async def close(self) -> None:
        """Let go of the socket."""
        if self._transport is not None:
            self._transport.close()


def local_host(peer: tuple[str, int]) -> str:
    """The address of this host from which a peer is reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(peer)
        return str(probe.getsockname()[0])
