"""A SIP message, lossless: every byte that came is kept, names are understood. Pure; never judges.

Takes the bytes of one datagram (RFC 3261, 7 and 18.3), gives a :class:`Request` or a :class:`Response`. Values stay
text as sent; ``agents.instruments.sip_values`` gives them types. What cannot be read raises MalformedMessage.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab_inventory.errors import BadInput

COMPACT_NAMES = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to", "s": "subject",
    "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
"""Compact form to full name: RFC 3261, 7.3.3 and 20, and the IANA registry of SIP header fields."""

HEADERS_MAX = 256

_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"  # noqa: S105 - a grammar, not a secret
_REQUEST_LINE = re.compile(rf"({_TOKEN}) (\S+) (?i:SIP)/2\.0")
_STATUS_LINE = re.compile(r"(?i:SIP)/2\.0 ([1-6][0-9]{2})(?: (.*))?")
_HEADER_NAME = re.compile(rf"({_TOKEN})[ \t]*:")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_LENGTH = re.compile(r"[0-9]{1,9}")


class MalformedMessage(BadInput):
    """The bytes are not a SIP message that can be answered"""

    slug = "malformed-sip-message"


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """One header line: its name as sent, its value unfolded and stripped, and its raw bytes with line ends."""

    name: str
    value: str
    raw: bytes

    @property
    def full_name(self) -> str:
        """The name in lower case, compact forms resolved."""
        name = self.name.lower()
        return COMPACT_NAMES.get(name, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class SipMessage:
    """What requests and responses share. Text is UTF-8; other bytes survive as surrogate escapes."""

    start_line: str
    headers: tuple[Header, ...]
    body: bytes
    raw: bytes

    def get(self, name: str) -> str | None:
        """The value of the first header of this full name, any case; None if there is none."""
        wanted = name.lower()
        return next((header.value for header in self.headers if header.full_name == wanted), None)

    def get_all(self, name: str) -> tuple[str, ...]:
        """The values of all headers of this full name, in order; comma lists are not taken apart."""
        wanted = name.lower()
        return tuple(header.value for header in self.headers if header.full_name == wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(SipMessage):
    """A request: ``method`` in the case it was sent, ``uri`` as text."""

    method: str
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Response(SipMessage):
    """A response: ``status`` 100 to 699 and the reason phrase."""

    status: int
    reason: str


def parse(raw: bytes) -> Request | Response:
    """Read one datagram. Raises MalformedMessage with the reason; takes lines that end in a bare LF."""
    end = _END_OF_HEADERS.search(raw)
    if end is None:
        raise MalformedMessage("no empty line ends the headers (RFC 3261, 7)")
    lines = _LINE.findall(raw[: end.start()] + b"\r\n")
    start_line = _text(lines[0])
    headers = _parse_headers(lines[1:])
    body = _cut_body(headers, raw[end.end() :])
    if match := _STATUS_LINE.fullmatch(start_line):
        return Response(
            start_line=start_line, headers=headers, body=body, raw=raw, status=int(match[1]), reason=match[2] or ""
        )
    if match := _REQUEST_LINE.fullmatch(start_line):
        return Request(start_line=start_line, headers=headers, body=body, raw=raw, method=match[1], uri=match[2])
    raise MalformedMessage("the first line is neither a request line nor a status line (RFC 3261, 7.1, 7.2)")


def request_bytes(method: str, uri: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """A request, headers in the order given. Content-Length is added unless the caller gives one (right or wrong)."""
    return _build(f"{method} {uri} SIP/2.0", headers, body)


def response_bytes(status: int, reason: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """A response, headers in the order given; Content-Length as in :func:`request_bytes`."""
    return _build(f"SIP/2.0 {status} {reason}", headers, body)


def _build(start_line: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in headers)]
    if not any(name.lower() in {"content-length", "l"} for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def _parse_headers(lines: Sequence[bytes]) -> tuple[Header, ...]:
    joined: list[bytes] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"}:  # folded: the line before goes on (RFC 3261, 7.3.1)
            if not joined:
                raise MalformedMessage("the first header line begins with white space")
            joined[-1] += line
        else:
            joined.append(line)
    if len(joined) > HEADERS_MAX:
        raise MalformedMessage(f"more than {HEADERS_MAX} headers")
    return tuple(_parse_header(raw) for raw in joined)


def _parse_header(raw: bytes) -> Header:
    text = raw.decode("utf-8", "surrogateescape")
    match = _HEADER_NAME.match(text)
    if match is None:
        raise MalformedMessage("a header line has no name before a colon (RFC 3261, 7.3)")
    parts = (part.strip(" \t\r\n") for part in text[match.end() :].split("\n"))
    return Header(name=match[1], value=" ".join(part for part in parts if part), raw=raw)


def _cut_body(headers: tuple[Header, ...], rest: bytes) -> bytes:
    """The body by Content-Length; bytes after it are no part of the message (RFC 3261, 18.3)."""
    lengths = {header.value for header in headers if header.full_name == "content-length"}
    if not lengths:
        return rest
    if len(lengths) > 1:
        raise MalformedMessage("several Content-Length headers contradict each other")
    (length,) = lengths
    if not _LENGTH.fullmatch(length):
        raise MalformedMessage("Content-Length is not a number")
    if int(length) > len(rest):
        raise MalformedMessage(f"Content-Length says {int(length)} bytes, {len(rest)} came (RFC 3261, 18.3)")
    return rest[: int(length)]
