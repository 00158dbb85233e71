"""Drives baresip through its control port (module ctrl_tcp): netstrings of JSON, one answer for each command."""

import asyncio
import itertools
import json
import re
from contextlib import suppress
from typing import Any, ClassVar

from agents.drivers import DriverRefused, DriverUnreachable, Server, Srtp
from lab_inventory.device import Product
from lab_inventory.noun import host_and_port

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.0
ANSWER_BYTES_MAX = 1_000_000
CALLS_MAX = 8
REFRESH_S = 60
_MEDIA_ENCRYPTION = {Srtp.OFF: "", Srtp.MANDATORY: ";mediaenc=srtp-mand", Srtp.DTLS: ";mediaenc=dtls_srtp"}
_SERVER = re.compile(r"sip:([^;@<>\s]+)((?:;[^<>\s]*)?)")
_ENTERED = re.compile(r"[^\s;<>@\"]+")
_ACCOUNT_OF_ROW = re.compile(r"sip:[^\s;<>]+")
_USER_AGENT = re.compile(r"^baresip v?([0-9][0-9A-Za-z.+~-]{0,40})\b")


class BaresipDriver:
    """Presses the keys of one baresip."""

    name: ClassVar[str] = "baresip"
    version: ClassVar[str] = "1.0"
    tried_on: ClassVar[tuple[str, ...]] = ("baresip 1.0.0 (Debian 12), 2026-11-26",)

    def __init__(self, control: str) -> None:
        self._address = host_and_port(control)
        self._tokens = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """``baresip v1.0.0 (x86_64/linux)``: the project, its program, the version."""
        match = _USER_AGENT.match(user_agent)
        return Product(maker="baresip", model="baresip", firmware=match[1]) if match else None

    async def open(self) -> None:
        """Connect."""
        await self.close()
        host, port = self._address
        try:
            reader, self._writer = await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            raise DriverUnreachable(f"the control port {host}:{port} does not answer") from error
        self._reading = asyncio.create_task(self._read(reader))

    async def close(self) -> None:
        """Let go."""
        if self._reading:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        if self._writer:
            self._writer.close()
            self._writer = None

    async def dial(self, uri: str) -> None:
        """Dial."""
        await self._press("dial", uri)

    async def answer(self) -> None:
        """Take the call."""
        await self._press("accept")

    async def hang_up(self) -> None:
        """End the call."""
        await self._press("hangup")

    async def hold(self) -> None:
        """Hold."""
        await self._press("hold")

    async def resume(self) -> None:
        """Resume."""
        await self._press("resume")

    async def press_keys(self, digits: str) -> None:
        """Queue the digits; the phone plays them one after the other by itself."""
        await self._press("sndcode", digits)

    async def transfer(self, uri: str) -> None:
        """Transfer blindly."""
        await self._press("transfer", uri)

    async def consult(self, uri: str) -> None:
        """Refused: this program's menu has no attended transfer (version 1.0.0)."""
        raise DriverRefused("baresip has no attended transfer")

    async def complete_transfer(self) -> None:
        """Refused, like ``consult``."""
        raise DriverRefused("baresip has no attended transfer")

    async def use_server(self, server: Server | None) -> None:
        """Make a second account at the other server and dial from it; the phone's own stays registered beside it.

        Needs the phone's modules ``account`` and ``menu``; for SRTP also ``srtp`` or ``dtls_srtp``.
        """
        await self._leave_others()
        if server is None:
            return
        found = _SERVER.fullmatch(server.uri)
        if found is None or not all(_ENTERED.fullmatch(text) for text in (server.user, server.password)):
            raise DriverRefused(f"baresip cannot be told of the server {server.uri} with this account")
        account = f"sip:{server.user}@{found[1]}"
        options = f"auth_user={server.user};auth_pass={server.password};regint={REFRESH_S};answermode=manual"
        await self._press("uanew", f"<{account}{found[2]}>;{options}{_MEDIA_ENCRYPTION[server.srtp]}")
        await self._press("uafind", account)

    async def reset(self) -> None:
        """Hang up as often as there can be calls; hanging up without a call does nothing."""
        for _ in range(CALLS_MAX):
            await self._press("hangup")
        await self._leave_others()

    async def _leave_others(self) -> None:
        """Take out every account but the first, which is the one the phone was started with.

        The first is chosen before: version 1.0.0 dies soon after the account that is chosen was taken out.
        """
        said = str((await self._press("reginfo")).get("data", ""))
        own, *others = _ACCOUNT_OF_ROW.findall(said) or [""]
        if others:
            await self._press("uafind", own)
        for account in others:
            await self._press("uadel", account)

    async def _press(self, command: str, parameters: str = "") -> dict[str, Any]:
        """Send one command and wait until the phone has taken it; gives the answer."""
        if self._writer is None or self._reading is None or self._reading.done():
            await self.open()
        writer = self._writer
        if writer is None:
            raise DriverUnreachable("the control port is not open")
        token = str(next(self._tokens))
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[token] = answered
        text = json.dumps({"command": command, "params": parameters, "token": token}).encode()
        try:
            writer.write(b"%d:%s," % (len(text), text))
            await writer.drain()
            answer = await asyncio.wait_for(answered, COMMAND_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            host, port = self._address
            raise DriverUnreachable(f"the phone at {host}:{port} does not answer to {command}") from error
        finally:
            self._waiting.pop(token, None)
        if answer.get("ok") is not True:
            raise DriverRefused(f"the phone does not take {command}")
        return answer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand answers to those who wait. Events are dropped: what the phone says of itself is no measurement."""
        try:
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                if not 0 <= size <= ANSWER_BYTES_MAX:
                    break
                said = json.loads((await reader.readexactly(size + 1))[:-1])
                waiting = self._waiting.get(str(said.get("token"))) if said.get("response") else None
                if waiting and not waiting.done():
                    waiting.set_result(said)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError, AttributeError):
            pass
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the control port was closed"))
