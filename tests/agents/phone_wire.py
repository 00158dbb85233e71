"""What tests of phones and of their proxy stand on: a bare SIP and RTP peer of a few lines, and a real phone beside it.

It is deliberately none of the product's instruments: what these tests say must not rest on what they help to build.
"""

import asyncio
import contextlib
import hashlib
import math
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agents.drivers.baresip import BaresipDriver
from agents.drivers.reference import ReferenceDriver
from agents.simulated.baresip_phone import BaresipPhone
from agents.simulated.defect_proxy import DefectProxy
from agents.simulated.reference_program import ReferenceProgram
from lab_inventory.clock import SystemClock, boottime_ns
from tests.ports import free_port

PHONES = Path(__file__).parents[2] / "deploy" / "demo" / "phones"
Peer = tuple[str, int]


def value_of(message: bytes, name: str) -> str:
    found = re.search(rb"(?mi)^" + name.encode() + rb"[ \t]*:[ \t]*(.*?)\r$", message)
    return found[1].decode() if found else ""


@dataclass
class Seen:
    at_s: float
    data: bytes
    peer: Peer


class Udp(asyncio.DatagramProtocol):
    """Keeps every datagram with the time it was read; one can wait for some of them."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._news = asyncio.Event()

    async def open(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", port))
        self.address: Peer = self._transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        self.seen.append(Seen(boottime_ns() / 1e9, data, addr))
        self._news.set()

    def send(self, data: bytes, peer: Peer) -> None:
        self._transport.sendto(data, peer)

    async def wait_for(self, wanted: Callable[[bytes], object], *, since: int = 0, timeout_s: float = 3.0) -> Seen:
        async with asyncio.timeout(timeout_s):
            while True:
                for seen in self.seen[since:]:
                    if wanted(seen.data):
                        return seen
                self._news.clear()
                await self._news.wait()

    def close(self) -> None:
        self._transport.close()


@dataclass
class Call:
    call_id: str
    to: str
    target: str
    number: int = 1


@dataclass
class Wire:
    """The peer: a registrar with digest (user 1001, password secret) that grants ``expires_s``, and a caller."""

    expires_s: int = 60
    sip: Udp = field(default_factory=Udp)
    rtp: Udp = field(default_factory=Udp)
    registered: list[float] = field(default_factory=list)
    wrong_digests: int = 0
    calls: int = 0

    async def open(self) -> None:
        await self.sip.open()
        await self.rtp.open()
        self._answered = 0
        receive = self.sip.datagram_received

        def received(data: bytes, addr: Peer) -> None:
            receive(data, addr)
            if data.startswith(b"REGISTER"):
                self._register(data, addr)
            elif data.startswith(b"BYE"):
                self.sip.send(self.answer(data, 200), addr)

        self.sip.datagram_received = received  # type: ignore[method-assign]

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()

    @property
    def registrar(self) -> str:
        return f"127.0.0.1:{self.sip.address[1]}"

    async def phone_registered(self) -> None:
        await self.sip.wait_for(lambda data: self.registered)

    def _register(self, data: bytes, peer: Peer) -> None:
        given = dict(re.findall(r'(\w+)="?([^",]+)', value_of(data, "Authorization")))
        if not given:
            challenge = 'WWW-Authenticate: Digest realm="assay", nonce="abc", algorithm=MD5, qop="auth"\r\n'
            self.sip.send(self.answer(data, 401, challenge), peer)
            return
        secret, what = _md5("1001:assay:secret"), _md5(f"REGISTER:{given['uri']}")
        right = _md5(f"{secret}:abc:{given['nc']}:{given['cnonce']}:auth:{what}")
        if given["response"] != right:
            self.wrong_digests += 1
            self.sip.send(self.answer(data, 403), peer)
            return
        self.peer, self.contact = peer, value_of(data, "Contact").partition("<")[2].partition(">")[0]
        self.registered.append(boottime_ns() / 1e9)
        bound = f"Contact: <{self.contact}>;expires={self.expires_s}\r\n"
        self.sip.send(self.answer(data, 200, bound), peer)

    def answer(self, request: bytes, status: int, headers: str = "", body: bytes = b"") -> bytes:
        via = "".join(f"Via: {found.decode()}\r\n" for found in re.findall(rb"(?mi)^Via: (.*)\r$", request))
        to = value_of(request, "To")
        to += "" if ";tag=" in to else ";tag=wire"
        kept = "".join(f"{name}: {value_of(request, name)}\r\n" for name in ("From", "Call-ID", "CSeq"))
        own = f"Contact: <sip:bench@{self.registrar}>\r\n" if b" INVITE" in request else ""
        return f"SIP/2.0 {status} X\r\n{via}To: {to}\r\n{kept}{own}{headers}{_length(body)}\r\n".encode() + body

    def request(self, method: str, call: Call, *, body: bytes = b"", branch: str = "") -> bytes:
        branch = branch or f"z9hG4bK{method}{call.call_id}{call.number}"
        return (
            f"{method} {call.target} SIP/2.0\r\nVia: SIP/2.0/UDP {self.registrar};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:bench@{self.registrar}>;tag=wire\r\nTo: {call.to}\r\n"
            f"Call-ID: {call.call_id}\r\nCSeq: {call.number} {method}\r\nContact: <sip:bench@{self.registrar}>\r\n"
            f"{_length(body)}\r\n"
        ).encode() + body

    def sdp(self, formats: str, direction: str = "sendrecv") -> bytes:
        return (
            f"v=0\r\no=- 1 {len(self.sip.seen)} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.rtp.address[1]} RTP/AVP {formats} 101\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-15\r\na={direction}\r\na=ptime:20\r\n"
        ).encode()

    def new_call(self) -> Call:
        self.calls += 1
        return Call(call_id=f"call{self.calls}", to=f"<{self.contact}>", target=self.contact)

    async def call(self, driver: BaresipDriver | ReferenceDriver, formats: str) -> tuple[Call, float, bytes]:
        """Call the phone and press its key when it rings, or in 0.5 s: the call, when it rang (s, or inf), its 200."""
        call, since, sent_s = self.new_call(), len(self.sip.seen), boottime_ns() / 1e9
        mine = f"Call-ID: {call.call_id}\r\n".encode()
        self.sip.send(self.request("INVITE", call, body=self.sdp(formats)), self.peer)
        rang_s = math.inf
        with contextlib.suppress(TimeoutError):
            rang = await self.sip.wait_for(
                lambda data: b" 18" in data[:12] and mine in data, since=since, timeout_s=0.5
            )
            rang_s = rang.at_s - sent_s
        await driver.answer()
        final = await self.sip.wait_for(lambda data: b" 200 " in data[:12] and mine in data, since=since)
        self.confirm(call, final.data)
        return call, rang_s, final.data

    def confirm(self, call: Call, final: bytes) -> None:
        call.to = value_of(final, "To")
        call.target = value_of(final, "Contact").partition("<")[2].partition(">")[0] or call.target
        self.sip.send(self.request("ACK", call, branch=f"z9hG4bKack{call.call_id}{call.number}"), self.peer)

    async def ask(self, method: str, call: Call, *, body: bytes = b"", timeout_s: float = 1.0) -> bytes:
        """The final answer to one request in a call; empty when none came."""
        call.number += 1
        since, mark = len(self.sip.seen), f"CSeq: {call.number} {method}\r\n".encode()
        self.sip.send(self.request(method, call, body=body), self.peer)

        def is_final(data: bytes) -> bool:
            return data.startswith(b"SIP/2.0 ") and not data.startswith(b"SIP/2.0 1") and mark in data

        try:
            final = (await self.sip.wait_for(is_final, since=since, timeout_s=timeout_s)).data
        except TimeoutError:
            return b""
        if method == "INVITE":
            self.confirm(call, final)
        return final

    def answer_next(self, request: Seen, formats: str) -> None:
        self.sip.send(
            self.answer(request.data, 200, "Content-Type: application/sdp\r\n", self.sdp(formats)), request.peer
        )


def _length(body: bytes) -> str:
    return ("Content-Type: application/sdp\r\n" if body else "") + f"Content-Length: {len(body)}\r\n"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class PhoneAtWire:
    wire: Wire
    phone: BaresipPhone | ReferenceProgram
    driver: BaresipDriver | ReferenceDriver
    control: str


@contextlib.asynccontextmanager
async def phone_at_wire(
    work: Path, *, kind: str = "phone-1", slugs: Iterable[str] | None = None, expires_s: int = 60
) -> AsyncIterator[PhoneAtWire]:
    """A real phone, registered; ``slugs`` None: no proxy before it, else a proxy with these defects."""
    wire = Wire(expires_s=expires_s)
    await wire.open()
    outbound, proxy = wire.registrar, None
    if slugs is not None:
        proxy = DefectProxy(("127.0.0.1", 0), wire.sip.address, slugs, SystemClock())
        proxy.start()
        outbound = f"127.0.0.1:{proxy.listen[1]}"
    control, sip_port = f"127.0.0.1:{free_port()}", free_port()
    values = {"registrar": wire.registrar, "outbound": outbound, "control": control, "user": "1001"}
    values |= {"password": "secret", "sip_port": str(sip_port), "rtp_first": "10000", "rtp_last": "19999"}
    phone = BaresipPhone("dut", PHONES / kind, work, values, longest_call_s=180)
    driver = BaresipDriver(control)
    try:
        await phone.start()
        await wire.phone_registered()
        yield PhoneAtWire(wire, phone, driver, control)
    finally:
        await driver.close()
        await phone.stop()
        if proxy is not None:
            proxy.close()
        wire.close()


@contextlib.asynccontextmanager
async def reference_phone_at_wire(work: Path) -> AsyncIterator[PhoneAtWire]:
    """The reference phone as a process, registered."""
    wire = Wire()
    await wire.open()
    control = f"127.0.0.1:{free_port()}"
    values = {"registrar": wire.registrar, "outbound": wire.registrar, "control": control}
    values |= {"user": "1001", "password": "secret"}
    phone, driver = ReferenceProgram("dut", work, values, [], SystemClock()), ReferenceDriver(control)
    try:
        await phone.start()
        await wire.phone_registered()
        yield PhoneAtWire(wire, phone, driver, control)
    finally:
        await driver.close()
        await phone.stop()
        wire.close()
