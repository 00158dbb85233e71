"""The reference phone in this process, at a bare wire (``phone_wire``) that is none of the product's instruments."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from phone_wire import Call, Seen, Wire, value_of
from stream_wire import Stream

from agents.simulated.reference_phone.defects import behaviour_with
from agents.simulated.reference_phone.equipment import Settings
from agents.simulated.reference_phone.phone import ReferencePhone
from lab_inventory.clock import Clock, SystemClock, boottime_ns

T1_S = 0.05


def now_s() -> float:
    return boottime_ns() / 1e9


class SoonestClock(SystemClock):
    """Every back-off takes the shortest time that it may."""

    def uniform(self, low: float, high: float) -> float:
        return low


def with_header(message: bytes, *lines: str) -> bytes:
    """A message of the wire with more headers."""
    return message.replace(b"\r\nCSeq:", "".join(f"\r\n{line}" for line in lines).encode() + b"\r\nCSeq:", 1)


def is_request(method: str) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(method.encode() + b" ")


def is_answer(status: int, method: str) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(f"SIP/2.0 {status} ".encode()) and f" {method}\r\n".encode() in data


@dataclass
class AtWire:
    wire: Wire
    phone: ReferencePhone
    crashes: list[str] = field(default_factory=list)

    async def answer(self) -> None:
        """The answer key: what ``Wire.call`` asks of a driver."""
        self.phone.answer()

    async def call(self, formats: str = "0") -> tuple[Call, float, bytes]:
        return await self.wire.call(self, formats)  # type: ignore[arg-type]

    async def invite(self, *headers: str, body: bytes | None = None) -> tuple[Call, bytes]:
        """Send an INVITE with more headers; the call and its bytes."""
        call = self.wire.new_call()
        offer = self.wire.sdp("0") if body is None else body
        data = with_header(self.wire.request("INVITE", call, body=offer), *headers)
        self.wire.sip.send(data, self.wire.peer)
        return call, data

    async def first(self, wanted: Callable[[bytes], object], *, since: int = 0, timeout_s: float = 1.0) -> Seen | None:
        """The first datagram of a kind, None where none comes in time."""
        try:
            return await self.wire.sip.wait_for(wanted, since=since, timeout_s=timeout_s)
        except TimeoutError:
            return None

    async def dialled(self, headers: str = "") -> tuple[Seen, Call]:
        """The phone dials, the wire answers: the INVITE, and the call as the wire has it."""
        invite = await self.dial()
        self.wire.sip.send(self.wire.answer(invite.data, 180), invite.peer)
        typed = f"{headers}Content-Type: application/sdp\r\n"
        self.wire.sip.send(self.wire.answer(invite.data, 200, typed, self.wire.sdp("0")), invite.peer)
        return invite, self.call_of(invite)

    async def dial(self) -> Seen:
        since = len(self.wire.sip.seen)
        assert self.phone.dial(f"sip:bench@{self.wire.registrar}") is None
        return await self.wire.sip.wait_for(is_request("INVITE"), since=since)

    def call_of(self, invite: Seen) -> Call:
        target = value_of(invite.data, "Contact").partition("<")[2].partition(">")[0]
        return Call(call_id=value_of(invite.data, "Call-ID"), to=value_of(invite.data, "From"), target=target)

    async def take_reinvite(self, since: int, direction: str, *, timeout_s: float = 1.0) -> Seen | None:
        """Answer the phone's next re-INVITE."""
        found = await self.first(is_request("INVITE"), since=since, timeout_s=timeout_s)
        if found is not None:
            body = self.wire.sdp("0", direction)
            typed = "Content-Type: application/sdp\r\n"
            self.wire.sip.send(self.wire.answer(found.data, 200, typed, body), found.peer)
        return found

    def count(self, wanted: Callable[[bytes], object], since: int = 0) -> int:
        return sum(bool(wanted(seen.data)) for seen in self.wire.sip.seen[since:])


@asynccontextmanager
async def reference_at_wire(
    defects: Mapping[str, float] | None = None,
    *,
    expires_s: int = 60,
    prepare: Callable[[Wire], None] = lambda _: None,
    registers: bool = True,
    clock: Clock | None = None,
    stream: Stream | None = None,
    **changes: Any,
) -> AsyncIterator[AtWire]:
    """A phone that has registered; ``changes`` are of its settings."""
    wire = Wire(expires_s=expires_s)
    if stream is not None:
        wire.sip = stream  # type: ignore[assignment]
    await wire.open()
    prepare(wire)
    crashes: list[str] = []
    settings = Settings(
        **{"registrar": wire.sip.address, "user": "1001", "password": "secret", "t1_s": T1_S}
        | {"crash": crashes.append}
        | changes
    )
    phone = ReferencePhone(settings, clock or SoonestClock(), behaviour_with(defects or {}))
    try:
        await phone.start()
        if registers:
            await phone.registered()
        yield AtWire(wire, phone, crashes)
    finally:
        await phone.stop()
        wire.close()


def direction_of(message: bytes) -> str:
    found = re.search(rb"a=(sendrecv|sendonly|recvonly|inactive)\r", message)
    return found[1].decode() if found else ""
