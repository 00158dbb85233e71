"""The USB/IP server of the virtual headsets: lists them, and hands each to one host at a time. Knows no defect."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress

from agents.simulated.headset.attachment import Attachment
from agents.simulated.headset.behaviour import HEALTHY
from agents.simulated.headset.descriptors import configuration_descriptor, device_descriptor
from agents.simulated.headset.device import Headset
from agents.simulated.headset.wire import (
    OP_REP_DEVLIST,
    OP_REP_IMPORT,
    OP_REQ_DEVLIST,
    OP_REQ_IMPORT,
    OPERATION,
    VERSION,
    ProtocolBreach,
    pack_device,
    pack_interfaces,
)

CONNECTIONS_MAX = 16
HANDSHAKE_S = 10.0
_BUSID_BYTES = 32
_NOT_AVAILABLE = 1
_CONFIGURATION = configuration_descriptor(HEALTHY)
"""The healthy one: USB/IP tells of interfaces apart from the descriptors, which may be broken."""


class UsbIpServer:
    """Serves ``devices`` (bus id to headset); a headset that is not on the bus or has a host is not listed."""

    def __init__(self, devices: Mapping[str, Headset]) -> None:
        self._devices = dict(devices)
        self._attachments: dict[str, Attachment] = {}
        self._before: dict[str, tuple[float, int]] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and give the address; raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port)
        name, number, *_ = self._server.sockets[0].getsockname()
        return name, number

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.close()
        if self._server is not None:
            await self._server.wait_closed()

    def stretch(self, busid: str) -> tuple[float, int]:
        """Milliseconds that the bus clock of this headset has stood still since the start, and how often."""
        ms, stops = self._before.get(busid, (0.0, 0))
        now = self._attachments.get(busid)
        return (ms + now.clock.stretch_ms, stops + now.clock.stops) if now else (ms, stops)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._writers.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, OSError, ProtocolBreach, TimeoutError, asyncio.CancelledError):
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(HANDSHAKE_S):
                    busid = await self._handshake(reader, writer)
                if busid is not None:
                    await self._attach(busid, reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
        """Answer one request; gives the bus id of a headset that was imported."""
        _, operation, _ = OPERATION.unpack(await reader.readexactly(OPERATION.size))
        free = {name: one for name, one in self._devices.items() if one.on_bus and name not in self._attachments}
        if operation == OP_REQ_DEVLIST:
            told = b"".join(self._told(name) + pack_interfaces(_CONFIGURATION) for name in free)
            writer.write(OPERATION.pack(VERSION, OP_REP_DEVLIST, 0) + len(free).to_bytes(4, "big") + told)
            await writer.drain()
            return None
        if operation != OP_REQ_IMPORT:
            raise ProtocolBreach(f"operation {operation:#x}; expected {OP_REQ_DEVLIST:#x} or {OP_REQ_IMPORT:#x}")
        busid = (await reader.readexactly(_BUSID_BYTES)).rstrip(b"\0").decode("ascii", "replace")
        if busid not in free or busid in self._attachments:
            writer.write(OPERATION.pack(VERSION, OP_REP_IMPORT, _NOT_AVAILABLE))
            await writer.drain()
            return None
        writer.write(OPERATION.pack(VERSION, OP_REP_IMPORT, 0) + self._told(busid))
        return busid

    async def _attach(self, busid: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device, attachment = self._devices[busid], Attachment(self._devices[busid], reader, writer)
        self._attachments[busid] = attachment
        device.left_bus = writer.close
        device.attach()
        try:
            await attachment.serve()
        except ProtocolBreach as error:
            device.saw("breach", error.detail)
            raise
        finally:
            self._before[busid] = self.stretch(busid)
            del self._attachments[busid]
            device.left_bus = _nothing
            device.detach()

    def _told(self, busid: str) -> bytes:
        device = self._devices[busid]
        return pack_device(busid, device_descriptor(device.behaviour), _CONFIGURATION)


def _nothing() -> None:
    """Nobody listens any more."""
