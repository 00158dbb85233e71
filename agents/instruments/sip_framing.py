"""Where one SIP message ends and the next begins in a stream of bytes (RFC 3261, 18.3 and 7.5). Pure.

Takes bytes as they come, in pieces of any size; gives whole messages and keep-alives in order, every byte of them. A
stream in which the next message cannot be found raises MalformedMessage: whoever owns the connection has to end it.
"""

import re

from agents.instruments.sip_message import MalformedMessage

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 65_536
FIRST_LINE_BYTES_MAX = 8_192
PING = b"\r\n\r\n"
PONG = b"\r\n"
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_FIRST_LINE = re.compile(rb"(?i:SIP)/2\.0 [0-9]{3}(?: .*)?|\S+ \S+ (?i:SIP)/2\.0")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:((?:[^\n]|\n[ \t])*)$", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(rb"[0-9]{1,9}")


class MessageFraming:
    """The bytes of one connection that have not been given out yet."""

    def __init__(self) -> None:
        self._pending = b""
        self._searched = 0

    @property
    def pending(self) -> bytes:
        """What has come of a message that is not whole yet."""
        return self._pending

    def feed(self, data: bytes) -> list[bytes]:
        """Add what came; gives each message that is whole now, and line ends between messages as they were sent.

        Raises :class:`BrokenStream`, which has the messages before the fault.
        """
        self._pending += data
        frames: list[bytes] = []
        try:
            while (size := self._next_size()) > 0:
                frames.append(self._pending[:size])
                self._pending, self._searched = self._pending[size:], 0
        except MalformedMessage as error:
            raise BrokenStream(error.detail, frames) from error
        return frames

    def _next_size(self) -> int:
        """How many bytes the next frame has; 0 while it is not whole."""
        if self._pending[:1] in {b"\r", b"\n"}:
            return self._blank_size()
        end = _END_OF_HEAD.search(self._pending, max(0, self._searched - 3))
        self._check_first_line()
        if end is None:
            self._searched = len(self._pending)
            if self._searched > HEAD_BYTES_MAX:
                raise MalformedMessage(f"no empty line ends the headers within {HEAD_BYTES_MAX} bytes")
            return 0
        size = end.end() + _body_bytes(self._pending[: end.start()])
        self._searched = end.start()
        return size if len(self._pending) >= size else 0

    def _blank_size(self) -> int:
        """A ping, or line ends that are ignored; what may still become a ping waits (7.5; RFC 5626, 3.5.1)."""
        if self._pending.startswith(PING):
            return len(PING)
        if PING.startswith(self._pending):
            return 0
        return 2 if self._pending.startswith(PONG) else 1

    def _check_first_line(self) -> None:
        end = _LINE_END.search(self._pending, 0, FIRST_LINE_BYTES_MAX)
        if end is None:
            if len(self._pending) >= FIRST_LINE_BYTES_MAX:
                raise MalformedMessage(f"the first line does not end within {FIRST_LINE_BYTES_MAX} bytes")
        elif not _FIRST_LINE.fullmatch(self._pending[: end.start()]):
            raise MalformedMessage("the first line is neither a request line nor a status line (RFC 3261, 7.1, 7.2)")


class BrokenStream(MalformedMessage):
    """The stream has no next message; ``frames`` came whole before the fault"""

    def __init__(self, detail: str, frames: list[bytes]) -> None:
        super().__init__(detail)
        self.frames = frames


def _body_bytes(head: bytes) -> int:
    found = {match.strip() for match in _LENGTH.findall(head)}
    if not found:
        raise MalformedMessage("Content-Length is missing, and a stream needs it (RFC 3261, 18.3)")
    if len(found) > 1:
        raise MalformedMessage("several Content-Length headers contradict each other")
    (length,) = found
    if not _NUMBER.fullmatch(length):
        raise MalformedMessage("Content-Length is not a number")
    if int(length) > BODY_BYTES_MAX:
        raise MalformedMessage(f"Content-Length is above {BODY_BYTES_MAX}")
    return int(length)
