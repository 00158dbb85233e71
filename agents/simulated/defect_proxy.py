"""A UDP proxy between a phone and its registrar that is transparent until a defect is switched on.

The phone's outbound proxy is ``listen``; what it sends goes on to ``upstream`` from a port of its own. Each side sees
the proxy's address where the other's would stand; audio and its RTCP, on the next port, are relayed for as many calls
as a phone can have. What comes from the phone goes on with the phone's marks (DSCP).
"""

import argparse
import asyncio
import re
import signal
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from agents.simulated.defects import DEFECTS, Defect, Fate, call_of
from agents.simulated.impairments import IMPAIRMENTS, made
from lab_inventory.clock import Clock, SystemClock
from lab_inventory.errors import BadInput, Unavailable
from lab_inventory.noun import host_and_port

Peer = tuple[str, int]
RELAYS_MAX = 64
_DATAGRAM_BYTES_MAX = 65_535
_PAIR_ATTEMPTS = 50
_IP_RECVTOS = 13  # linux/in.h: give the byte of TOS with each datagram
_BURST_MAX = 64
_TOS = (socket.SOL_IP, socket.IP_TOS)
_REGISTER = re.compile(rb"REGISTER \S+ SIP/2\.0\r?\n")
_MEDIA = re.compile(rb"(?m)^m=audio (\d{1,5}) ")
_LENGTH = re.compile(rb"(?im)^((?:Content-Length|l)[ \t]*:[ \t]*)\d+")


class _Port:
    """One bound UDP socket; hands on what comes, at once. ``tos``: the byte of TOS of the datagram that came last."""

    def __init__(self, address: Peer, on_packet: Callable[[bytes, Peer], None]) -> None:
        """Raises Unavailable where the address is taken."""
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.tos = self._sends_with = 0
        try:
            self._socket.setsockopt(socket.SOL_IP, _IP_RECVTOS, 1)
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"UDP {address[0]}:{address[1]} cannot be bound: {error.strerror}") from error
        host, port = self._socket.getsockname()
        self.address: Peer = (host, port)
        self._loop.add_reader(self._socket.fileno(), self._read_burst)

    def _read_burst(self) -> None:
        for _ in range(_BURST_MAX):
            try:
                data, told, _, peer = self._socket.recvmsg(_DATAGRAM_BYTES_MAX, socket.CMSG_SPACE(1))
            except OSError:  # nothing more to read, or closed while reading
                return
            self.tos = next((value[0] for level, kind, value in told if (level, kind) == _TOS), 0)
            self._on_packet(data, (peer[0], peer[1]))

    def send(self, data: bytes, peer: Peer | None, *, tos: int = 0, delay_s: float = 0.0) -> None:
        """Send now or later; where nobody is known yet, or the network takes nothing, it is lost as on any network."""
        if delay_s > 0:
            self._loop.call_later(delay_s, partial(self.send, data, peer, tos=tos))
        elif peer is not None:
            with suppress(OSError):
                if tos != self._sends_with:
                    self._socket.setsockopt(socket.SOL_IP, socket.IP_TOS, tos)
                    self._sends_with = tos
                self._socket.sendto(data, peer)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()


class _Relay:
    """The audio of one call: a port that the phone sends to and one that the bench sends to, and the next for RTCP."""

    def __init__(self, call: bytes, host: str, defects: Iterable[Defect]) -> None:
        self._call = call
        self._defects = tuple(defects)
        self.to_phone: Peer | None = None
        self.to_bench: Peer | None = None
        self._phone_side, self._phone_reports = _pair(host, self._from_phone, self._report_from_phone)
        self._bench_side, self._bench_reports = _pair(host, self._from_bench, self._report_from_bench)

    @property
    def phone_port(self) -> int:
        """Where the phone sends its audio."""
        return self._phone_side.address[1]

    @property
    def bench_port(self) -> int:
        """Where the bench sends its audio."""
        return self._bench_side.address[1]

    def _from_phone(self, data: bytes, peer: Peer) -> None:
        parts = fate(data, lambda defect, part: defect.rtp_from_phone(self._call, part), self._defects)
        for delay_s, packet in parts:
            self._bench_side.send(packet, self.to_bench, tos=self._phone_side.tos, delay_s=delay_s)

    def _from_bench(self, data: bytes, peer: Peer) -> None:
        self._phone_side.send(data, self.to_phone)

    def _report_from_phone(self, data: bytes, peer: Peer) -> None:
        self._bench_reports.send(data, _next(self.to_bench), tos=self._phone_reports.tos)

    def _report_from_bench(self, data: bytes, peer: Peer) -> None:
        self._phone_reports.send(data, _next(self.to_phone))

    def close(self) -> None:
        for port in (self._phone_side, self._phone_reports, self._bench_side, self._bench_reports):
            port.close()


def _next(peer: Peer | None) -> Peer | None:
    return None if peer is None else (peer[0], peer[1] + 1)


def _pair(
    host: str, on_rtp: Callable[[bytes, Peer], None], on_rtcp: Callable[[bytes, Peer], None]
) -> tuple[_Port, _Port]:
    """A free even port and the one after it (RFC 3550, 11). Raises Unavailable."""
    for _ in range(_PAIR_ATTEMPTS):
        first = _Port((host, 0), on_rtp)
        if first.address[1] % 2 == 0:
            with suppress(Unavailable):
                return first, _Port((host, first.address[1] + 1), on_rtcp)
        first.close()
    raise Unavailable(f"no free pair of UDP ports at {host}")


def fate(data: bytes, step: Callable[[Defect, bytes], Fate], defects: Iterable[Defect]) -> Fate:
    """What becomes of some bytes under every defect, one after the other."""
    parts: Fate = [(0.0, data)]
    for defect in defects:
        parts = [(delay + more, out) for delay, part in parts for more, out in step(defect, part)]
    return parts


class DefectProxy:
    """One phone's proxy. Whoever registers through it is its phone; what others send to it is not passed on."""

    def __init__(self, listen: Peer, upstream: Peer, slugs: Iterable[str], clock: Clock) -> None:
        self.defects = made(list(slugs), clock)
        self._wanted = listen
        self._upstream = upstream
        self._phone: Peer | None = None
        self._phone_side: _Port | None = None
        self._bench_side: _Port | None = None
        self._relays: OrderedDict[bytes, _Relay] = OrderedDict()

    def start(self) -> None:
        """Bind both sides on the running loop; raises Unavailable where the phone's side is taken."""
        self._phone_side = _Port(self._wanted, self._from_phone)
        self._bench_side = _Port((self._wanted[0], 0), self._from_bench)

    def close(self) -> None:
        """Let go of every port."""
        for port in (self._phone_side, self._bench_side, *self._relays.values()):
            if port is not None:
                port.close()

    @property
    def listen(self) -> Peer:
        """Where the phone is to send."""
        return self._phone_side.address if self._phone_side else self._wanted

    def _from_phone(self, data: bytes, peer: Peer) -> None:
        if _REGISTER.match(data):
            self._phone = peer
        bench_side = self._bench_side
        if peer != self._phone or bench_side is None:
            return
        tos = self._phone_side.tos if self._phone_side is not None else 0
        original, relay = data, self._relay(data)
        if relay is not None:
            relay.to_phone = (peer[0], _media_port(data))
            data = _MEDIA.sub(b"m=audio %d " % relay.bench_port, data)
        data = _swap(data, peer, bench_side.address)
        data = _swap(data, self.listen, self._upstream)
        for delay_s, message in fate(data, lambda defect, part: defect.sip_from_phone(part), self.defects):
            bench_side.send(_with_length(message, original), self._upstream, tos=tos, delay_s=delay_s)

    def _from_bench(self, data: bytes, peer: Peer) -> None:
        phone_side, bench_side, phone = self._phone_side, self._bench_side, self._phone
        if peer != self._upstream or phone is None or phone_side is None or bench_side is None:
            return
        for defect in self.defects:
            defect.sip_to_phone(data)
        original, relay = data, self._relay(data)
        if relay is not None:
            relay.to_bench = (self._upstream[0], _media_port(data))
            data = _MEDIA.sub(b"m=audio %d " % relay.phone_port, data)
        data = _swap(data, bench_side.address, phone)
        data = data.replace(b"rport=%d" % bench_side.address[1], b"rport=%d" % phone[1])
        data = _swap(data, self._upstream, phone_side.address)
        phone_side.send(_with_length(data, original), phone)

    def _relay(self, data: bytes) -> _Relay | None:
        """The audio relay of the call whose SDP this message carries, made when it is seen first."""
        if not _media_port(data):
            return None
        call = call_of(data)
        relay = self._relays.get(call)
        if relay is None:
            if len(self._relays) >= RELAYS_MAX:
                self._relays.popitem(last=False)[1].close()
            relay = self._relays[call] = _Relay(call, self.listen[0], self.defects)
        return relay


def _media_port(data: bytes) -> int:
    """The port of the audio; 0 where there is none to be relayed (refused, or the 9 of an answer to OPTIONS)."""
    found = _MEDIA.search(data)
    return int(found[1]) if found and 1024 <= int(found[1]) <= 65535 else 0


def _swap(data: bytes, before: Peer, after: Peer) -> bytes:
    """Write one address where another stands."""
    pattern = re.escape(f"{before[0]}:{before[1]}".encode()) + rb"(?![0-9])"
    return re.sub(pattern, f"{after[0]}:{after[1]}".encode(), data)


def _with_length(message: bytes, before: bytes) -> bytes:
    """The message with the length of its body, where that is not the length it had before."""
    head, blank, body = message.partition(b"\r\n\r\n")
    if len(body) == len(before.partition(b"\r\n\r\n")[2]):
        return message  # what a phone itself says wrongly stays wrong
    return _LENGTH.sub(rb"\g<1>%d" % len(body), head) + blank + body


async def _serve(listen: Peer, upstream: Peer, slugs: list[str]) -> None:
    proxy = DefectProxy(listen, upstream, slugs, SystemClock())
    proxy.start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    proxy.close()


def main() -> None:
    """Run one proxy until it is told to end."""
    every = [f"{slug}: {kind(SystemClock()).wrong}" for slug, kind in DEFECTS.items()]
    every += [f"{slug}=SIZE in {kind.size_unit}: {kind.wrong}" for slug, kind in IMPAIRMENTS.items()]
    known = "; ".join(every).replace("%", "%%")
    parser = argparse.ArgumentParser(description=f"A proxy with defects. Known: {known}")
    parser.add_argument("--listen", required=True, help="HOST:PORT that the phone sends to")
    parser.add_argument("--upstream", required=True, help="HOST:PORT of the registrar")
    parser.add_argument("--defect", action="append", default=[], help="may be given several times")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(_serve(host_and_port(options.listen), host_and_port(options.upstream), options.defect))
        except (BadInput, Unavailable) as error:
            sys.exit(f"defect_proxy: {error}")


if __name__ == "__main__":
    main()
