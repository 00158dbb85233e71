"""Drives the reference phone (``agents/simulated/reference_phone``) by its control port: a line of JSON each way."""

import asyncio
import json
import re
from contextlib import suppress
from typing import ClassVar, Protocol

from agents.drivers import DriverRefused, DriverUnreachable
from lab_inventory.device import Product
from lab_inventory.noun import host_and_port

CONNECT_TIMEOUT_S = 2.0
PRESS_TIMEOUT_S = 2.0
_USER_AGENT = re.compile(r"^Assay-Reference-Phone/([0-9][0-9A-Za-z.+~-]{0,40})\b")


class Server(Protocol):
    """A SIP server to be entered: ``sip:HOST:PORT;transport=tls``, the account, and srtp ``off``, ``mandatory``
    or ``dtls``.
    """

    @property
    def uri(self) -> str:
        """Where it is."""
        ...

    @property
    def user(self) -> str:
        """The account."""
        ...

    @property
    def password(self) -> str:
        """Its password."""
        ...

    @property
    def srtp(self) -> str:
        """How audio is protected."""
        ...


class ReferenceDriver:
    """Presses the keys of one reference phone."""

    name: ClassVar[str] = "reference"
    version: ClassVar[str] = "1.0"
    tried_on: ClassVar[tuple[str, ...]] = ("Assay Reference Phone 1.0, 2026-11-26",)

    def __init__(self, control: str) -> None:
        self._address = host_and_port(control)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """``Assay-Reference-Phone/1.0``."""
        match = _USER_AGENT.match(user_agent)
        return Product(maker="Assay", model="Reference Phone", firmware=match[1]) if match else None

    async def open(self) -> None:
        """Connect."""
        await self.close()
        host, port = self._address
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._reader, self._writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise DriverUnreachable(f"the control port {host}:{port} does not answer") from error

    async def close(self) -> None:
        """Let go."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def dial(self, uri: str) -> None:
        """Dial."""
        await self._press("dial", uri)

    async def answer(self) -> None:
        """Take the call."""
        await self._press("answer")

    async def hang_up(self) -> None:
        """End the call."""
        await self._press("hang-up")

    async def hold(self) -> None:
        """Hold."""
        await self._press("hold")

    async def resume(self) -> None:
        """Resume."""
        await self._press("resume")

    async def press_keys(self, digits: str) -> None:
        """Queue the digits; the phone sends them one after the other by itself."""
        await self._press("keys", digits)

    async def transfer(self, uri: str) -> None:
        """Transfer blindly."""
        await self._press("transfer", uri)

    async def consult(self, uri: str) -> None:
        """Hold, and dial another."""
        await self._press("consult", uri)

    async def complete_transfer(self) -> None:
        """Transfer the held call to the other."""
        await self._press("complete-transfer")

    async def use_server(self, server: Server | None) -> None:
        """Register at another server and use it; None: back to the phone's own account."""
        if server is None:
            await self._press("use-server")
        else:
            rest = {"user": server.user, "password": server.password, "srtp": str(server.srtp)}
            await self._press("use-server", server.uri, **rest)

    async def reset(self) -> None:
        """Hang up everything."""
        await self._press("reset")

    async def _press(self, verb: str, value: str = "", **rest: str) -> None:
        """Send one line and wait for its answer: one at a time, as the answers come in order."""
        async with self._turn:
            answer = await self._ask(json.dumps({"verb": verb, "value": value, **rest}).encode() + b"\n", verb)
        if answer.get("ok") is not True:
            raise DriverRefused(f"the phone does not take {verb}: {answer.get('why', 'no reason given')}")

    async def _ask(self, line: bytes, verb: str) -> dict[str, object]:
        if self._writer is None or self._reader is None or self._reader.at_eof():
            await self.open()
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise DriverUnreachable("the control port is not open")
        try:
            async with asyncio.timeout(PRESS_TIMEOUT_S):
                writer.write(line)
                await writer.drain()
                answer = json.loads(await reader.readline())
        except (OSError, TimeoutError, ValueError) as error:
            await self.close()  # a late answer must not be taken for that of the next key
            host, port = self._address
            raise DriverUnreachable(f"the phone at {host}:{port} does not answer to {verb}") from error
        if not isinstance(answer, dict):
            raise DriverRefused(f"the phone answers {verb} with something that is no object")
        return answer
