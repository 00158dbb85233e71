"""A phone of a few lines on Python's ssl module that registers where its driver points it, honestly or not."""

import asyncio
import contextlib
import re
import socket
import ssl
from typing import ClassVar

from agents.drivers import DriverRefused, Server
from agents.instruments.digest import Account, answer_challenge
from agents.instruments.packets import Peer
from agents.instruments.sip_message import Response, parse, request_bytes
from lab_inventory.device import Product
from lab_inventory.noun import host_and_port

WAIT_S = 3.0
_URI = re.compile(r"sip:([^;]+);transport=tls")


class ScriptedPhone:
    """Phone and driver in one. ``context`` is its TLS; None: it has none. ``tired``: how many connections it makes."""

    name: ClassVar[str] = "scripted"

    def __init__(self, home: Peer, account: Account, context: ssl.SSLContext | None, *, tired: int = 1000) -> None:
        self._home = home
        self._account = account
        self._context = context
        self._left = tired
        self._registering: asyncio.Task[None] | None = None
        self._connection: ssl.SSLSocket | None = None

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        return None

    async def open(self) -> None:
        """Register at home, by UDP."""
        await asyncio.to_thread(self._at_home)

    async def use_server(self, server: Server | None) -> None:
        if self._registering:
            await self._registering
            self._registering = None
        if self._connection:
            self._connection.close()
            self._connection = None
        found = _URI.fullmatch(server.uri) if server else None
        if found and self._context and self._left:
            self._left -= 1
            self._registering = asyncio.create_task(asyncio.to_thread(self._by_tls, host_and_port(found[1])))

    async def close(self) -> None:
        await self.use_server(None)

    async def reset(self) -> None:
        await self.use_server(None)

    async def _refused(self, *_: object) -> None:
        raise DriverRefused("a scripted phone makes no calls")

    dial = answer = hang_up = hold = resume = press_keys = transfer = consult = complete_transfer = _refused

    def _at_home(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.settimeout(WAIT_S)
            bound.connect(self._home)
            self._register(bound, "UDP", bound.getsockname())

    def _by_tls(self, server: Peer) -> None:
        assert self._context is not None
        plain = socket.create_connection(server, timeout=WAIT_S)
        try:
            self._connection = self._context.wrap_socket(plain, server_hostname=server[0])
        except (ssl.SSLError, ConnectionError):
            plain.close()
            return
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            self._register(self._connection, "TLS", self._connection.getsockname())

    def _register(self, bound: socket.socket, transport: str, own: Peer) -> None:
        def request(number: int, *more: tuple[str, str]) -> bytes:
            via = f"SIP/2.0/{transport} {own[0]}:{own[1]};branch=z9hG4bK{transport}{own[1]}{number};rport"
            headers = [
                ("Via", via),
                ("From", "<sip:u@h>;tag=n"),
                ("To", "<sip:u@h>"),
                ("Call-ID", f"{transport}{own[1]}"),
                ("CSeq", f"{number} REGISTER"),
                ("Contact", f"<sip:u@{own[0]}:{own[1]};transport={transport.lower()}>;expires=600"),
            ]
            return request_bytes("REGISTER", "sip:h", [*headers, *more])

        bound.sendall(request(1))
        challenged = parse(bound.recv(65_536))
        assert isinstance(challenged, Response)
        challenge = challenged.get("WWW-Authenticate") or ""
        account = self._account
        given = answer_challenge(challenge, account=account, method="REGISTER", uri="sip:h", client_nonce="c")
        bound.sendall(request(2, ("Authorization", given)))
        assert bound.recv(65_536).startswith(b"SIP/2.0 200")
