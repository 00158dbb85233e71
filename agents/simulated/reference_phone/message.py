"""SIP messages: read from bytes, with every header as (name, value), and written. Pure (RFC 3261, 7 and 25).

Reading is lenient about white space, folding and compact names, as RFC 3261 asks; ``fault_of`` says what is too wrong
to be served. No value is understood here (see ``addresses``).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

HEADER_BYTES_MAX = 60_000
_COMPACT = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "e": "Content-Encoding", "f": "From",
    "i": "Call-ID", "k": "Supported", "l": "Content-Length", "m": "Contact", "o": "Event", "r": "Refer-To",
    "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires",
}  # fmt: skip
_WORD = r"[A-Za-z0-9\-.!%*_+`'~]+"
_REQUEST = re.compile(r"([^\s]+)\s+(.+?)\s+(SIP/\S+)\s*", re.IGNORECASE)
_REQUEST_STRICT = re.compile(rf"{_WORD} [^\s<>]+ SIP/[0-9]+\.[0-9]+", re.IGNORECASE)
_RESPONSE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE | re.DOTALL)
_HEADER = re.compile(rf"({_WORD})[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOLD = re.compile(r"\r?\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,9}")

REASONS = {
    100: "Trying", 180: "Ringing", 200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
    420: "Bad Extension", 422: "Session Interval Too Small", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 500: "Server Internal Error",
    504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large", 603: "Decline",
}  # fmt: skip


class Unreadable(Exception):
    """These bytes, or this value, are not what they should be; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: a request has a method, a response a status. ``start`` is the start line as it came."""

    start: str
    method: str = ""
    uri: str = ""
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    surplus: int = 0
    """Bytes after the body that Content-Length tells of; negative where they are missing."""

    def get(self, name: str) -> str:
        """The first value of a header; empty where it is missing."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, a line each."""
        return tuple(value for known, value in self.headers if known.lower() == name.lower())

    def has(self, name: str) -> bool:
        """Whether the header is there."""
        return any(known.lower() == name.lower() for known, _ in self.headers)

    def tokens(self, name: str) -> frozenset[str]:
        """The words of a comma list such as Supported, in lower case."""
        words = (word.strip().lower() for value in self.all(name) for word in value.split(","))
        return frozenset(word for word in words if word)

    def encode(self) -> bytes:
        """The bytes, with Content-Length."""
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


def request(method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Message:
    """A request."""
    return Message(start=f"{method} {uri} SIP/2.0", method=method, uri=uri, headers=tuple(headers), body=body)


def response(status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Message:
    """A response."""
    return Message(start=f"SIP/2.0 {status} {REASONS[status]}", status=status, headers=tuple(headers), body=body)


def read(data: bytes) -> Message:
    """One message of a datagram. Raises Unreadable where not even its start line can be told."""
    data = data.lstrip(b"\r\n")
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        head, separator, rest = data.partition(b"\n\n")
    if not head or len(head) > HEADER_BYTES_MAX:
        raise Unreadable("no header, or more of it than is read")
    lines = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape")).replace("\r\n", "\n").split("\n")
    start, *others = lines
    headers: list[tuple[str, str]] = []
    for line in others:
        match = _HEADER.fullmatch(line)
        # A line that is no header stays under a name that no header has, so that fault_of sees it.
        headers.append((_COMPACT.get(match[1].lower(), match[1]), match[2].strip()) if match else ("", line))
    length = next((value for name, value in headers if name.lower() == "content-length"), None)
    told = int(length) if length is not None and _LENGTH.fullmatch(length) else len(rest)
    common = {"start": start, "headers": tuple(headers), "body": rest[:told], "surplus": len(rest) - told}
    answered = _RESPONSE.fullmatch(start)
    if answered:
        return replace(Message(start=start, status=int(answered[1])), **common)  # type: ignore[arg-type]
    asked = _REQUEST.fullmatch(start)
    if asked is None:
        raise Unreadable("the start line is neither a request's nor a response's")
    return replace(Message(start=start, method=asked[1], uri=asked[2]), **common)  # type: ignore[arg-type]


def fault_of(message: Message) -> tuple[int, str] | None:
    """Status and words of what makes a request unfit to be served, by the form of its lines alone; None: nothing."""
    if not _REQUEST_STRICT.fullmatch(message.start):
        return 400, "the request line is not method, URI and version with one space between"
    if not message.start.upper().endswith(" SIP/2.0"):
        return 505, "not SIP/2.0"
    if message.uri.lower().startswith(("sip:", "sips:")) and "?" in message.uri.rpartition("@")[2]:
        return 400, "the Request-URI has headers (RFC 3261, 19.1.1)"
    if any(not name for name, _ in message.headers):
        return 400, "a line is no header"
    for name in ("From", "To", "Call-ID", "CSeq", "Via"):
        if not message.get(name):
            return 400, f"{name} is missing"
    for name in ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type"):
        if len(message.all(name)) > 1:
            return 400, f"{name} is there more than once"
    length = message.get("Content-Length")
    if message.has("Content-Length") and not _LENGTH.fullmatch(length):
        return 400, "Content-Length is no number"
    if message.surplus < 0:
        return 400, "the body is shorter than Content-Length (RFC 3261, 18.3)"
    return None
