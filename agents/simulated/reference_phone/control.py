"""The phone's keys by TCP: one JSON object a line, ``{"verb": "dial", "value": "sip:..."}``, and one line of answer.

``use-server`` has ``user``, ``password`` and ``srtp`` (off or mandatory) beside the URI in ``value``; an empty URI
takes the server out again. The answer is ``{"ok": true}``, or ``{"ok": false, "why": ...}``; it says only that the key
was taken.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from agents.simulated.reference_phone.accounts import Accounts
from agents.simulated.reference_phone.phone import ReferencePhone

LINE_BYTES_MAX = 10_000
_PLAIN: dict[str, Callable[[ReferencePhone], str | None]] = {
    "answer": ReferencePhone.answer,
    "hang-up": ReferencePhone.hang_up,
    "hold": ReferencePhone.hold,
    "resume": ReferencePhone.resume,
    "complete-transfer": ReferencePhone.complete_transfer,
}
_VALUED: dict[str, Callable[[ReferencePhone, str], str | None]] = {
    "dial": ReferencePhone.dial,
    "keys": ReferencePhone.keys,
    "transfer": ReferencePhone.transfer,
    "consult": ReferencePhone.consult,
}


class Control:
    """Listens for keys."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and give the address; raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=LINE_BYTES_MAX)
        name, number, *_ = self._server.sockets[0].getsockname()
        return name, number

    def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError, ValueError, asyncio.CancelledError):  # ValueError: a line longer than the limit
                while line := await reader.readline():
                    why = self._press(line)
                    answer: dict[str, object] = {"ok": True} if why is None else {"ok": False, "why": why}
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def _press(self, line: bytes) -> str | None:
        try:
            said = json.loads(line)
            verb, value = said["verb"], said.get("value", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return "not a JSON object with a verb"
        if verb == "reset":
            return self._accounts.reset()
        if verb == "use-server":
            fields = [said.get(name, "") for name in ("value", "user", "password", "srtp")]
            if all(isinstance(field, str) for field in fields):
                return self._accounts.use_server(*fields)
        phone = self._accounts.used
        if verb in _PLAIN:
            return _PLAIN[verb](phone)
        if verb in _VALUED and isinstance(value, str):
            return _VALUED[verb](phone, value)
        return "no such verb, or its value is no text"
