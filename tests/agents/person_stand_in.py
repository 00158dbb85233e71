"""Stands in for the person beside a phone: looks at the page as a terminal does, and says what it is told."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlencode

LOOK_S = 0.01


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def ask(control: str, method: str, path: str, body: str = "") -> tuple[int, str]:
    """One request; the status and the body."""
    host, _, port = control.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {control}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, content = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), content


@asynccontextmanager
async def person(
    control: str, *, says: str = "done", prompt: str | None = None, does: Callable[[str], object] = lambda words: None
) -> AsyncIterator[str]:
    """Answers every prompt; ``does`` is given its words first, and may be a coroutine function."""

    async def sit_there() -> None:
        seen = None
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(OSError, IndexError, ValueError):
                shown = json.loads((await ask(control, "GET", "/prompt"))[1])
                if shown["prompt"] is None or shown["prompt"] == seen:
                    continue
                done = does(shown["words"])
                if asyncio.iscoroutine(done):
                    await done
                form = urlencode({"prompt": prompt or shown["prompt"], "said": says})
                await ask(control, "POST", "/answer", form)
                seen = shown["prompt"]

    sitting = asyncio.create_task(sit_there())
    try:
        yield control
    finally:
        sitting.cancel()
        await asyncio.gather(sitting, return_exceptions=True)
