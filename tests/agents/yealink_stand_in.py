"""Stands in for the web interface of a Yealink phone, written from the maker's manual and not from the driver.

A GET of /servlet?key=… is answered 200 and done; an account is asked for by digest (RFC 7616) or basic (RFC 7617). It
shows what the driver sends; that a phone does the same is for a device to show.
"""

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c0"
REALM = "the phone"
PHRASES = {200: "OK", 302: "Found", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 500: "Server Error"}


@dataclass
class YealinkStandIn:
    """``account``: user and password it asks for by ``scheme``, or None. ``status`` and ``body``: of what is signed.
    ``slow_s``: how long it thinks. ``keys``: what was pressed; ``targets`` and ``heads``: every request as it came.
    """

    account: tuple[str, str] | None = None
    scheme: str = "digest"
    status: int = 200
    body: bytes = b""
    headers: str = ""
    slow_s: float = 0.0
    keys: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    control: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode(), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        method, target, _ = head.split(" ", 2)
        self.heads.append(head)
        self.targets.append(target)
        status, headers, body = self.status, self.headers, self.body
        if self.account is not None and not self._signed(head, method, target):
            challenge = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth"'
            challenge = challenge if self.scheme == "digest" else f'Basic realm="{REALM}"'
            status, headers, body = 401, f"WWW-Authenticate: {challenge}\r\n", b"<html>401</html>"
        elif status == 200 and target.startswith("/servlet?key="):
            self.keys.append(target.removeprefix("/servlet?key="))
        await asyncio.sleep(self.slow_s)
        first = f"HTTP/1.1 {status} {PHRASES[status]}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(first.encode() + body)
        await writer.drain()

    def _signed(self, head: str, method: str, target: str) -> bool:
        assert self.account is not None
        user, password = self.account
        found = re.search(r"(?mi)^Authorization: (\w+) (.*?)\r$", head)
        if found is None:
            return False
        if self.scheme == "basic":
            return found[1] == "Basic" and base64.b64decode(found[2]).decode() == f"{user}:{password}"
        said = {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', found[2])}
        a1 = _md5(f"{user}:{REALM}:{password}")
        a2 = _md5(f"{method}:{target}")
        expected = _md5(":".join((a1, NONCE, said.get("nc", ""), said.get("cnonce", ""), "auth", a2)))
        return (said.get("username"), said.get("uri"), said.get("response")) == (user, target, expected)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@asynccontextmanager
async def yealink_stand_in(phone: YealinkStandIn, tls: ssl.SSLContext | None = None) -> AsyncIterator[YealinkStandIn]:
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        connections.add(own)
        await phone.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    phone.control = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield phone
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
