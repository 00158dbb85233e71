"""A bench port: what stands in for a finger, an eye and a coupler at a simulated headset. JSON lines over TCP.

``{"do": "press", "key": "hook"}`` is answered ``{"ok": true}`` or ``{"ok": false, "why": ...}``
(docs/how-to/virtual-headset.md). The driver presses through it and the instrument looks through it; neither knows the
other.
"""

import asyncio
import json
import socket
from typing import Any

from agents.measure import LabError

ANSWER_S = 3.0
_LINE_BYTES_MAX = 100_000


class BenchPortFailed(LabError):
    """The bench port does not do what it was asked"""

    slug = "bench-port-failed"


class BenchPort:
    """One connection, opened with the first question and again after it broke."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, do: str, **more: object) -> dict[str, Any]:
        """Ask one thing; raises BenchPortFailed where it is refused or nobody answers in time."""
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(ANSWER_S):
                    reader, writer = await self._open()
                    writer.write(json.dumps({"do": do, **more}).encode() + b"\n")
                    said = json.loads(await reader.readline() or b"null")
            except (OSError, TimeoutError, ValueError) as error:
                self.close()
                named = f"{self._address[0]}:{self._address[1]}"
                raise BenchPortFailed(f"the bench port {named} did not answer {do}: {error}") from error
        if not isinstance(said, dict) or not said.get("ok"):
            raise BenchPortFailed(f"the bench port refused {do}: {said.get('why') if said else 'it hung up'}")
        return said

    def close(self) -> None:
        """Hang up; may be called more than once."""
        if self._line is not None:
            self._line[1].close()
            self._line = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._line is None:
            self._line = await asyncio.open_connection(*self._address, limit=_LINE_BYTES_MAX)
            self._line[1].get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._line
