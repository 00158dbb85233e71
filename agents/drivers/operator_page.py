"""A small page for the person beside a phone: one thing to do now, and the buttons "done" and "cannot". No script.

Takes what is to be done; gives what the person said. It serves one address for as long as a run lasts; the page asks
again by itself, so that it can stay open. ``GET /prompt`` and ``POST /answer`` are the same for a terminal. Answers
name the prompt by a word that only those know who were shown it, so that no other page in the person's browser and no
late click can answer for them.
"""

import asyncio
import html
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs

from lab_inventory.noun import host_and_port

REQUEST_BYTES_MAX = 8192
REQUEST_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 16
SAID = ("done", "cannot")

Said = Literal["done", "cannot"]

_HEADERS = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Connection: close\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{refresh_s}">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font:1.2rem system-ui,sans-serif;margin:8vh 6vw;text-align:center}}
h1{{font-size:min(12vw,5rem);line-height:1.15;margin:0 0 6vh}}
button{{font-size:2rem;padding:1rem 3rem;margin:.5rem;cursor:pointer}}</style></head>
<body><p>{slot}</p><h1 role="status">{words}</h1>{form}</body></html>
"""
_FORM = """<form method="post" action="/answer"><input type="hidden" name="prompt" value="{prompt}">
<button name="said" value="done" accesskey="d" autofocus>Done</button>
<button name="said" value="cannot" accesskey="c">Cannot</button>
<p>Enter means done. Press <em>Done</em> at once after the key: the phone waits for nobody.</p></form>
"""
_WAIT = "<p>Nothing to do now. This page shows by itself what is next.</p>"


@dataclass(frozen=True, kw_only=True)
class _Prompt:
    id: str
    words: str
    said: "asyncio.Future[Said]" = field(repr=False)


class OperatorPage:
    """Serves the page at ``address``. ``title``: where the phone stands, for a person with several."""

    def __init__(self, address: str, title: str) -> None:
        self._address = host_and_port(address)
        self._title = title
        self._prompt: _Prompt | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether the page is served now."""
        return self._server is not None

    async def open(self) -> None:
        """Serve it; raises OSError where the address cannot be had."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, *self._address, limit=REQUEST_BYTES_MAX)

    async def close(self) -> None:
        """Serve it no more; more than once if need be."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def ask(self, words: str, timeout_s: float) -> Said | None:
        """Show what is to be done until the person said something of it; None where nobody did in time."""
        said: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._prompt = _Prompt(id=secrets.token_urlsafe(9), words=words, said=said)
        try:
            async with asyncio.timeout(timeout_s):
                return await said
        except TimeoutError:
            return None
        finally:
            self._prompt = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        if own is None or len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(own)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                writer.write(self._answer(*await _request(reader)))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._connections.discard(own)
            with suppress(OSError):
                writer.close()

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        match method, path:
            case "GET", "/":
                return _response("200 OK", "text/html; charset=utf-8", self._page())
            case "GET", "/prompt":
                prompt = self._prompt
                shown = {"slot": self._title, "prompt": prompt.id if prompt else None}
                return _response("200 OK", "application/json", json.dumps(shown | {"words": _words(prompt)}))
            case "POST", "/answer":
                return self._take(parse_qs(body.decode("ascii", errors="replace")))
        return _response("404 Not Found", "text/plain", "there is only one page: /")

    def _take(self, form: dict[str, list[str]]) -> bytes:
        prompt, said = self._prompt, "".join(form.get("said", ()))
        if said not in SAID:
            return _response("422 Unprocessable Content", "text/plain", "expected said=done or said=cannot")
        if prompt is not None and not prompt.said.done() and prompt.id == "".join(form.get("prompt", ())):
            prompt.said.set_result("done" if said == "done" else "cannot")
            self._prompt = None
        # A click that comes too late is shown what is asked now.
        return _response("303 See Other", "text/plain", "", "Location: /\r\n")

    def _page(self) -> str:
        prompt = self._prompt
        form = _FORM.format(prompt=prompt.id) if prompt else _WAIT
        words = html.escape(_words(prompt) or "Wait")
        # While something is asked the page is renewed seldom, so that no click falls between.
        return _PAGE.format(
            refresh_s=10 if prompt else 1, title=words, words=words, slot=html.escape(self._title), form=form
        )


def _words(prompt: _Prompt | None) -> str:
    return prompt.words if prompt else ""


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    """Method, path and body of one request. Raises ValueError for what is no HTTP, or too large."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.split("\r\n")
    method, path, _ = line.split(" ", 2)
    length = next((int(text.partition(":")[2]) for text in fields if text.lower().startswith("content-length:")), 0)
    if not 0 <= length <= REQUEST_BYTES_MAX:
        raise ValueError("the body is too large")
    return method, path, await reader.readexactly(length)


def _response(status: str, media_type: str, body: str, more: str = "") -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(data)}\r\n{_HEADERS}\r\n{more}\r\n"
    return head.encode() + data
