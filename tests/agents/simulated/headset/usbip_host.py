"""A host that speaks raw USB/IP over a socket, written from the protocol's text and not from the server's code."""

import asyncio
import itertools
import struct
from dataclasses import dataclass, field

BUSID = b"1-1".ljust(32, b"\0")
DEVID = 0x10002
OUT, IN = 0, 1
WAIT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One RET_SUBMIT: ``head`` are its ten numbers; ``packets`` are (offset, length, actual, status)."""

    head: tuple[int, ...]
    data: bytes
    packets: list[tuple[int, ...]]

    @property
    def status(self) -> int:
        return self.head[5]

    @property
    def actual(self) -> int:
        return self.head[6]

    @property
    def frame(self) -> int:
        return self.head[7]


@dataclass
class Host:
    """One connection that has imported the device; what it asks is matched to what comes back."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    is_in: dict[int, bool] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    waiting: dict[int, asyncio.Future] = field(default_factory=dict)
    task: asyncio.Task | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            while True:
                head = struct.unpack(">5Iiiiii8x", await self.reader.readexactly(48))
                number = head[1]
                if head[0] == 4:
                    self.waiting.pop(number).set_result(head[5])
                    continue
                assert head[0] == 3 and head[2:5] == (0, 0, 0)
                data = await self.reader.readexactly(head[6]) if self.is_in[number] else b""
                raw = await self.reader.readexactly(16 * head[8]) if head[8] > 0 else b""
                packets = list(struct.iter_unpack(">IIIi", raw))
                self.order.append(number)
                self.waiting.pop(number).set_result(Reply(head=head, data=data, packets=packets))
        except (asyncio.IncompleteReadError, OSError):
            self.writer.close()
            self.ended.set()

    def submit(
        self,
        endpoint: int,
        direction: int,
        *,
        data: bytes = b"",
        length: int | None = None,
        setup: bytes = bytes(8),
        packets: list[tuple[int, int]] | None = None,
        devid: int = DEVID,
    ) -> tuple[int, asyncio.Future]:
        number = next(self.numbers)
        self.is_in[number] = direction == IN
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        told = len(data) if length is None else length
        count = -1 if packets is None else len(packets)
        head = struct.pack(">5I", 1, number, devid, direction, endpoint)
        body = struct.pack(">Iiiii8s", 0, told, 0, count, 1, setup)
        raw = b"".join(struct.pack(">IIIi", offset, size, 0, 0) for offset, size in packets or ())
        self.writer.write(head + body + data + raw)
        return number, future

    def unlink(self, victim: int) -> asyncio.Future:
        number = next(self.numbers)
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        self.writer.write(struct.pack(">5II24x", 2, number, DEVID, 0, 0, victim))
        return future

    async def control(
        self, kind: int, request: int, value: int, index: int, *, data: bytes = b"", length: int = 0
    ) -> Reply:
        setup = struct.pack("<BBHHH", kind, request, value, index, len(data) or length)
        direction = IN if kind & 0x80 else OUT
        _, future = self.submit(0, direction, data=data, length=None if data else length * direction, setup=setup)
        return await asyncio.wait_for(future, WAIT_S)

    async def descriptor(self, kind: int, index: int = 0, *, length: int = 4096, interface: int = 0) -> bytes:
        reply = await self.control(0x81 if kind >= 0x21 else 0x80, 6, kind << 8 | index, interface, length=length)
        assert reply.status == 0
        return reply.data

    async def open(self, interface: int, endpoint: int, rate: int = 48_000) -> None:
        assert (await self.control(0x01, 11, 1, interface)).status == 0
        assert (await self.control(0x22, 1, 0x100, endpoint, data=rate.to_bytes(3, "little"))).status == 0

    async def close_stream(self, interface: int) -> None:
        assert (await self.control(0x01, 11, 0, interface)).status == 0

    def play(self, packets: list[bytes]) -> asyncio.Future:
        layout, at = [], 0
        for one in packets:
            layout.append((at, len(one)))
            at += len(one)
        return self.submit(1, OUT, data=b"".join(packets), packets=layout)[1]

    def record(self, frames: int, size: int = 98) -> asyncio.Future:
        layout = [(size * at, size) for at in range(frames)]
        return self.submit(2, IN, length=size * frames, packets=layout)[1]

    def poll(self) -> tuple[int, asyncio.Future]:
        return self.submit(3, IN, length=16)

    async def disconnect(self) -> None:
        self.writer.close()
        if self.task is not None:
            self.task.cancel()


async def list_devices(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(struct.pack(">HHI", 0x0111, 0x8005, 0))
    answer = await asyncio.wait_for(reader.read(), WAIT_S)
    writer.close()
    return answer


async def attach(address: tuple[str, int], busid: bytes = BUSID) -> tuple[int, bytes, Host]:
    """Import the device: the status, the 312 bytes about it, and the host."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(struct.pack(">HHI", 0x0111, 0x8003, 0) + busid)
    version, operation, status = struct.unpack(">HHI", await asyncio.wait_for(reader.readexactly(8), WAIT_S))
    assert (version, operation) == (0x0111, 0x0003)
    told = b"" if status else await reader.readexactly(312)
    host = Host(reader=reader, writer=writer)
    host.start()
    return status, told, host
