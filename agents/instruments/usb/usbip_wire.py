"""One connection to a USB/IP server that has given its device (Linux, Documentation/usb/usbip_protocol.rst).

Sends transfers and matches what comes back. Written from the protocol's text; it shares nothing with the server.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from agents.instruments.usb.port import HeadsetGone

OUT, IN = 0, 1
CONTROL_S = 2.0
_VERSION, _IMPORT, _IMPORTED = 0x0111, 0x8003, 0x0003
_SUBMIT, _RETURN = 1, 3
_DEVICE_BYTES = 312
_HEAD = struct.Struct(">5Iiiiii8x")
_BODY = struct.Struct(">Iiiii8s")
_PACKET = struct.Struct(">IIIi")
_BUSID_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """How a transfer ended. ``packets``: of an isochronous one, the data of each, None where it was lost."""

    status: int
    data: bytes
    frame: int
    packets: tuple[bytes | None, ...]


class UsbIpLine:
    """A device that this host has taken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, devid: int) -> None:
        self._reader = reader
        self._writer = writer
        self._devid = devid
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[bool, asyncio.Future[Reply]]] = {}
        self.ended = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def take(cls, address: tuple[str, int], busid: str) -> "UsbIpLine | None":
        """Take a device; None where the server does not give it now. Raises HeadsetGone where nobody answers."""
        try:
            async with asyncio.timeout(CONTROL_S):
                reader, writer = await asyncio.open_connection(*address)
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                writer.write(struct.pack(">HHI", _VERSION, _IMPORT, 0) + busid.encode().ljust(_BUSID_BYTES, b"\0"))
                _, operation, status = struct.unpack(">HHI", await reader.readexactly(8))
                if operation != _IMPORTED or status:
                    writer.close()
                    return None
                told = await reader.readexactly(_DEVICE_BYTES)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise HeadsetGone(f"no USB/IP server answers at {address[0]}:{address[1]}: {error}") from error
        bus, number = struct.unpack(">II", told[288:296])
        return cls(reader, writer, bus << 16 | number)

    async def close(self) -> None:
        """Give the device back; may be called more than once."""
        self._writer.close()
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening

    def submit(
        self, endpoint: int, *, data: bytes = b"", length: int = 0, setup: bytes = bytes(8), packets: Sequence[int] = ()
    ) -> "asyncio.Future[Reply]":
        """Send one transfer to an endpoint's address; ``packets`` are the lengths of the isochronous ones.

        What it gives raises HeadsetGone when the device leaves before it is answered.
        """
        number, is_in = next(self._numbers), bool(endpoint & 0x80)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            future.set_exception(HeadsetGone("the headset left the bus"))
            return future
        self._waiting[number] = (is_in, future)
        told = length if is_in else len(data)
        head = struct.pack(">5I", _SUBMIT, number, self._devid, IN if is_in else OUT, endpoint & 0x0F)
        layout, at = b"", 0
        for size in packets:
            layout += _PACKET.pack(at, size, 0, 0)
            at += size
        count = len(packets) if packets else -1
        self._writer.write(head + _BODY.pack(0, told, 0, count, 1, setup) + data + layout)
        return future

    async def control(
        self, kind: int, request: int, value: int, index: int, *, data: bytes = b"", length: int = 0
    ) -> Reply:
        """One control transfer (USB 2.0, 9.3); raises HeadsetGone where it is not answered."""
        setup = struct.pack("<BBHHH", kind, request, value, index, len(data) or length)
        try:
            async with asyncio.timeout(CONTROL_S):
                return await self.submit(kind & 0x80, data=data, length=length, setup=setup)
        except TimeoutError:
            raise HeadsetGone(f"the headset did not answer a control transfer within {CONTROL_S:g} s") from None

    async def _listen(self) -> None:
        try:
            while True:
                number, reply = await self._next()
                future = self._waiting.pop(number)[1]
                if not future.done():
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, OSError, KeyError, struct.error):
            self._writer.close()
        finally:
            self.ended.set()
            for _, future in self._waiting.values():
                if not future.done():
                    future.set_exception(HeadsetGone("the headset left the bus"))
                    future.exception()  # nobody may wait for it any more, and that is no mistake
            self._waiting.clear()

    async def _next(self) -> tuple[int, Reply]:
        head = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        command, number, status, actual, frame, count = head[0], head[1], *head[5:9]
        if command != _RETURN:
            raise KeyError(command)
        is_in = self._waiting[number][0]
        data = await self._reader.readexactly(actual) if is_in else b""
        raw = await self._reader.readexactly(_PACKET.size * count) if count > 0 else b""
        packets: list[bytes | None] = []
        at = 0
        for _, _, size, how in _PACKET.iter_unpack(raw):
            packets.append(None if how else data[at : at + size])
            at += size if is_in else 0
        return number, Reply(status=status, data=data, frame=frame, packets=tuple(packets))
