"""SIP over TCP and TLS (RFC 3261, 18.3; RFC 5922): connections of the phone to its servers, used in both ways.

A phone has no certificate of its own, so that over TLS all comes back on the connection it has opened.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.transport import Hop, Received

CONNECT_TIMEOUT_S = 5.0
HEADER_BYTES_MAX = 65_536
BODY_BYTES_MAX = 65_536
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for."""


def tls_context(behaviour: Behaviour, ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and host checked against the CA file, or the system's CAs. Raises OSError."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not behaviour.checks_host:
        context.check_hostname = False
    if not behaviour.checks_expiry:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    if not behaviour.checks_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class StreamTransport:
    """Connections by peer. ``lost`` is called with the peer when one could not be made or has ended."""

    def __init__(self, received: Received, lost: Callable[[Hop], None], context: ssl.SSLContext | None) -> None:
        self.kind = "TCP" if context is None else "TLS"
        self.address: tuple[str, int] = ("", 0)
        self._received = received
        self._lost = lost
        self._context = context
        self._reserved: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._queues: dict[Hop, asyncio.Queue[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, local: tuple[str, int]) -> None:
        """Take a port: to listen on it over TCP, only to be named in Contact over TLS."""
        self._reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._reserved.bind(local)
        host, port = self._reserved.getsockname()
        self.address = (host, port)
        if self._context is None:
            self._server = await asyncio.start_server(self._accepted, sock=self._reserved, limit=HEADER_BYTES_MAX)

    def send(self, data: bytes, hop: Hop) -> None:
        """Send on the connection with this peer, which is made where there is none."""
        if self._reserved is None:
            return
        if hop not in self._queues:
            self._queues[hop] = asyncio.Queue()
            self._begin(self._connect(hop))
        self._queues[hop].put_nowait(data)

    async def close(self) -> None:
        """End every connection."""
        reserved, self._reserved = self._reserved, None
        if self._server is not None:
            self._server.close()
        if reserved is not None:
            reserved.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, hop: Hop) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    hop.host,
                    hop.port,
                    ssl=self._context,
                    server_hostname=hop.host if self._context else None,
                    limit=HEADER_BYTES_MAX,
                )
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            self._queues.pop(hop, None)
            self._lost(hop)
            return
        await self._use(reader, writer, hop)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port, *_ = writer.get_extra_info("peername")
        hop = Hop(self.kind, host, port)
        self._queues[hop] = asyncio.Queue()
        self._begin(self._use(reader, writer, hop))

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hop: Hop) -> None:
        sending = asyncio.create_task(self._write(writer, self._queues[hop]))
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                await self._read(reader, hop)
        finally:
            sending.cancel()
            self._queues.pop(hop, None)
            self._lost(hop)
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _write(self, writer: asyncio.StreamWriter, queue: "asyncio.Queue[bytes]") -> None:
        with suppress(OSError):
            while True:
                writer.write(await queue.get())
                await writer.drain()

    async def _read(self, reader: asyncio.StreamReader, hop: Hop) -> None:
        """Message after message; empty lines between them keep the connection alive (RFC 5626, 3.5.1)."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n")
            if not head:
                self._queues[hop].put_nowait(b"\r\n")
                continue
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if length > BODY_BYTES_MAX:
                return
            self._received(head + await reader.readexactly(length), hop)
