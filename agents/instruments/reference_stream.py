"""What the bench adds to the intervals it measures: a stream of its own, sent to itself in the same window.

Arrivals are stamped by the kernel, so a busy event loop does not enter the intervals of packets; a kernel that stamps
late does, and so does a clock that is set. Each packet of the reference tells when it was sent: the spread of its way
to its stamp is the bench's share of any interval's spread.
"""

import asyncio
from statistics import pstdev

from agents.instruments.packets import Packet, PacketPort

TICK_S = 0.02
HOST = "127.0.0.1"


class ReferenceStream:
    """Sends while it is entered, one packet in 20 ms. Raises Unavailable where no port is to be had."""

    def __init__(self) -> None:
        self._transits_ns: list[int] = []
        self._sent_ns: dict[int, int] = {}
        self._number = 0
        self._ports: tuple[PacketPort, PacketPort] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "ReferenceStream":
        self._ports = PacketPort.open((HOST, 0), lambda _: None), PacketPort.open((HOST, 0), self._on_packet)
        self._send()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for port in self._ports or ():
            port.close()

    def _send(self) -> None:
        if self._ports is not None:
            sender, receiver = self._ports
            self._number += 1
            self._sent_ns[self._number] = sender.send(self._number.to_bytes(4), receiver.address)
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._send)

    def _on_packet(self, packet: Packet) -> None:
        sent_ns = self._sent_ns.pop(int.from_bytes(packet.data[:4]), None)
        if sent_ns is not None:
            self._transits_ns.append(packet.at_ns - sent_ns)

    @property
    def spread_ms(self) -> float:
        """The standard deviation of the way from sending to the kernel's stamp, in ms; 0 for fewer than two packets."""
        return pstdev(self._transits_ns) / 1e6 if len(self._transits_ns) > 1 else 0.0
