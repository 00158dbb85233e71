"""The agent's inbox: the local socket where the Ray worker of this host posts assignments.

One JSON line in (an Assignment), one JSON line out (an AssignmentAnswer), then the connection ends. Open to the agent's
own user alone. What cannot be read gets no answer: its sender cannot be told about a run that has no name.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from agents.logs import Log
from agents.words import describe
from lab_inventory.errors import AssayError, Conflict
from lab_inventory.messages import Assignment, AssignmentAnswer
from lab_inventory.reading import parse_message

LINE_BYTES_MAX = 1_000_000
READ_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 64


class Inbox:
    """The socket at ``path``; ``take`` decides about each assignment."""

    def __init__(self, path: Path, take: Callable[[Assignment], AssignmentAnswer], log: Log) -> None:
        self._path = path
        self._take = take
        self._log = log
        self._server: asyncio.Server | None = None
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    async def open(self) -> None:
        """Listen. A socket that an agent left behind is replaced: the caller holds the work directory's lock.

        Raises Conflict where its folder belongs to somebody else, OSError where it cannot listen.
        """
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise Conflict(f"{folder} does not belong to this user")
        self._path.unlink(missing_ok=True)
        umask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._connected, self._path, limit=LINE_BYTES_MAX)
        finally:
            os.umask(umask)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.converse(reader, writer)

    async def converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        allowed: Callable[[bytes], bool] | None = None,
    ) -> None:
        """Take one assignment of a connection. With ``allowed``, a line that it lets pass has to come before."""
        try:
            async with self._places, asyncio.timeout(READ_TIMEOUT_S):
                if allowed is not None and not allowed(await reader.readline()):
                    self._log.warning("inbox-not-allowed", peer=str(writer.get_extra_info("peername"))[:100])
                    return
                line = await reader.readline()
                if line:
                    answer = self._answer(line)
                    writer.write(answer.model_dump_json().encode() + b"\n")
                    await writer.drain()
        except (AssayError, OSError, ValueError, TimeoutError) as error:
            self._log.warning("inbox-not-understood", error=describe(error))
        except Exception as error:
            self._log.warning("inbox-failed", error=describe(error))
        finally:
            writer.close()

    def _answer(self, line: bytes) -> AssignmentAnswer:
        """Raises BadInput for what is no assignment."""
        return self._take(parse_message(line, Assignment, source="an assignment", bytes_max=LINE_BYTES_MAX))
