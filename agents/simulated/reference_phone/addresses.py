"""The values in SIP headers: addresses, Via, CSeq, parameters. Pure; each failure is Unreadable (RFC 3261, 20, 25)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.simulated.reference_phone.message import Message, Unreadable

SIP_PORT = 5060
SIPS_PORT = 5061
_PARAMETER = re.compile(r'\s*;\s*([^\s=;,"<>]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"<>]+))?\s*')
_NAMED = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^",;<>]*?)\s*<\s*([^<>]*?)\s*>')
_BARE = re.compile(r'\s*([^\s;,<>"]+)')
_VIA = re.compile(
    r"\s*SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-]+)\s+(\[[0-9A-Fa-f:.]+\]|[^\s:;,]+)(?:\s*:\s*([0-9]{1,5}))?", re.I
)
_CSEQ = re.compile(r"\s*([0-9]{1,12})\s+(\S+)\s*")
_URI = re.compile(
    r"(sips?):(?:([^@]*)@)?(\[[0-9A-Fa-f:.]+\]|[^\s:;?@\[\]]+)(?::([0-9]{1,5}))?((?:;[^?]*)?)(?:\?(.*))?", re.I
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):.+")
_AUTH_PARAMETER = re.compile(r'\s*([A-Za-z0-9\-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)')


@dataclass(frozen=True, kw_only=True)
class Address:
    """``"display" <uri>;parameters`` with the parameters by lower-case name."""

    uri: str
    display: str
    parameters: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Via:
    """The first value of Via."""

    transport: str
    host: str
    port: int | None
    parameters: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class SipUri:
    """A sip or sips URI; ``headers`` is what stands behind the question mark."""

    scheme: str
    user: str
    host: str
    port: int | None
    parameters: str
    headers: str

    def bare(self) -> str:
        """Without headers: as it stands in a request line."""
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}:{user}{self.host}{port}{self.parameters}"


def scheme_of(uri: str) -> str:
    """The scheme in lower case; raises Unreadable."""
    match = _SCHEME.fullmatch(uri)
    if match is None:
        raise Unreadable("the URI has no scheme")
    return match[1].lower()


def sip_uri(text: str) -> SipUri:
    """Take a sip or sips URI apart; raises Unreadable."""
    match = _URI.fullmatch(text.strip())
    if match is None or not 0 < int(match[4] or SIP_PORT) < 65536:
        raise Unreadable(f"not a SIP URI: {text[:60]}")
    port = int(match[4]) if match[4] else None
    return SipUri(
        scheme=match[1].lower(), user=match[2] or "", host=match[3], port=port, parameters=match[5] or "",
        headers=match[6] or "",
    )  # fmt: skip


def addresses(values: tuple[str, ...]) -> tuple[Address, ...]:
    """Every address in the lines of one header; raises Unreadable."""
    return tuple(found for value in values for found in _addresses(value))


def address(message: Message, name: str) -> Address:
    """The one address of From, To, Refer-To or such, or the first of Contact; raises Unreadable."""
    found = addresses(message.all(name)[:1])
    if not found:
        raise Unreadable(f"{name} has no address")
    return found[0]


def _addresses(value: str) -> Iterator[Address]:
    place = 0
    while place < len(value):
        match = _NAMED.match(value, place)
        if match:
            display, uri, bare = match[1].strip('"'), match[2], False
        else:
            match = _BARE.match(value, place)
            if match is None:
                raise Unreadable("an address cannot be read")
            display, uri, bare = "", match[1], True
        scheme_of(uri)
        if bare and "?" in uri:
            raise Unreadable("an address with headers stands outside of <> (RFC 3261, 20.10)")
        parameters, place = _parameters(value, match.end())
        yield Address(uri=uri, display=display, parameters=parameters)
        rest = value[place:].lstrip()
        if rest and not rest.startswith(","):
            raise Unreadable("something stands behind an address")
        place = len(value) - len(rest) + 1
        if rest and not value[place:].strip():
            raise Unreadable("nothing follows a comma")


def _parameters(value: str, place: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while (match := _PARAMETER.match(value, place)) is not None:
        found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
        place = match.end()
    return found, place


def parameters_of(value: str) -> tuple[str, dict[str, str]]:
    """``word;name=value;...``: the word, and its parameters by lower-case name."""
    word, semicolon, rest = value.partition(";")
    return word.strip(), _parameters(semicolon + rest, 0)[0]


def top_via(message: Message) -> Via:
    """The first Via; raises Unreadable."""
    value = message.get("Via")
    match = _VIA.match(value)
    if match is None or not 0 < int(match[3] or SIP_PORT) < 65536:
        raise Unreadable("Via cannot be read")
    parameters, _ = _parameters(value, match.end())
    port = int(match[3]) if match[3] else None
    return Via(transport=match[1].upper(), host=match[2], port=port, parameters=parameters)


def count_vias(message: Message) -> int:
    """How many values of Via there are; raises Unreadable unless each can be read to its end."""
    count = 0
    for value in message.all("Via"):
        place = 0
        while True:
            match = _VIA.match(value, place)
            if match is None:
                raise Unreadable("a Via cannot be read")
            _, place = _parameters(value, match.end())
            count += 1
            if place == len(value):
                break
            if value[place] != ",":
                raise Unreadable("something stands behind a Via")
            place += 1
    return count


def cseq(message: Message) -> tuple[int, str]:
    """Number and method; raises Unreadable where the number is not below 2**31 (RFC 3261, 8.1.1.5)."""
    match = _CSEQ.fullmatch(message.get("CSeq"))
    if match is None or int(match[1]) >= 1 << 31:
        raise Unreadable("CSeq is not a number below 2**31 and a method")
    return int(match[1]), match[2]


def tag(message: Message, name: str) -> str:
    """The tag of From or To; empty where there is none. Raises Unreadable."""
    return address(message, name).parameters.get("tag", "")


def challenge(value: str) -> tuple[str, dict[str, str]]:
    """Scheme in lower case and parameters of one WWW-Authenticate or Proxy-Authenticate; raises Unreadable."""
    scheme, _, rest = value.strip().partition(" ")
    found: dict[str, str] = {}
    place = 0
    while place < len(rest):
        match = _AUTH_PARAMETER.match(rest, place)
        if match is None:
            raise Unreadable("a challenge cannot be read")
        found[match[1].lower()] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        place = match.end()
    return scheme.lower(), found
