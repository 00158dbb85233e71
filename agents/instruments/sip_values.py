"""Typed values of SIP headers. Takes a message or a header value, gives sipmessage's types. Pure.

Every failure is a MalformedMessage that names the header. Lists and credentials are taken apart here: sipmessage's
patterns for them run for a time exponential in the length of some junk, and the names of its parameters know no case.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from sipmessage import Address, CSeq, Via

from agents.instruments.sip_message import MalformedMessage, Request, SipMessage

VALUE_CHARACTERS_MAX = 2048

_Typed = TypeVar("_Typed")
_LIST_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<])+')
_SEPARATOR = re.compile(r'("(?:[^"\\]|\\.)*")| ?([/:;=]) ?')
_AUTH_PARAMETER = re.compile(r'\s*([A-Za-z0-9\-.!%*_+`\'~]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)')


def header(message: SipMessage, name: str) -> str:
    """The first value of this header. Raises MalformedMessage when it is missing or longer than is read here."""
    value = message.get(name)
    if value is None:
        raise MalformedMessage(f"{name} is missing")
    if len(value) > VALUE_CHARACTERS_MAX:
        raise MalformedMessage(f"{name} is longer than {VALUE_CHARACTERS_MAX} characters")
    return value


def split_list(value: str) -> tuple[str, ...]:
    """The items of a comma list; commas in quotes or angle brackets divide nothing (RFC 3261, 7.3.1)."""
    return tuple(item.strip() for item in _LIST_ITEM.findall(value) if item.strip())


def top_via(message: SipMessage) -> Via:
    """The first Via: where answers go and which transaction this is (RFC 3261, 17.1.3, 17.2.3)."""
    first = (split_list(header(message, "Via")) or ("",))[0]
    # White space may stand around every separator (RFC 3261, 25.1); sipmessage reads it around few.
    tight = _SEPARATOR.sub(lambda found: found[1] or found[2], " ".join(first.split()))
    via = _typed("Via", Via.parse, tight)
    if via.port is not None and not 0 < via.port < 65536:
        raise MalformedMessage("the port in Via is none")
    return via


def cseq(message: SipMessage) -> CSeq:
    """The CSeq: number and method (RFC 3261, 20.16)."""
    value = _typed("CSeq", CSeq.parse, header(message, "CSeq"))
    if value.sequence >= 1 << 31:
        raise MalformedMessage("CSeq is not below 2**31 (RFC 3261, 8.1.1.5)")
    return value


def address(message: SipMessage, name: str) -> Address:
    """The address in From, To or the first Contact."""
    return _typed(name, Address.parse, (split_list(header(message, name)) or ("",))[0])


def contacts(message: SipMessage) -> tuple[Address, ...]:
    """Every Contact address, in order; ``*`` is none (it is no address)."""
    items = [item for value in message.get_all("Contact") for item in split_list(value[:VALUE_CHARACTERS_MAX])]
    return tuple(_typed("Contact", Address.parse, item) for item in items if item != "*")


def parameter(parameters: Mapping[str, str | None], name: str) -> str | None:
    """The value of a parameter of this name in any case, unquoted; "" when it has none; None if absent."""
    for key, value in parameters.items():
        if key.lower() == name.lower():
            return "" if value is None else value.strip('"')
    return None


def tag(message: SipMessage, name: str) -> str | None:
    """The tag of From or To; None when there is none."""
    return parameter(address(message, name).parameters, "tag")


def branch(message: SipMessage) -> str:
    """The branch of the first Via. Raises MalformedMessage when it is missing."""
    value = parameter(top_via(message).parameters, "branch")
    if not value:
        raise MalformedMessage("the first Via has no branch (RFC 3261, 8.1.1.7)")
    return value


def call_id(message: SipMessage) -> str:
    """The Call-ID. Raises MalformedMessage when it is missing."""
    return header(message, "Call-ID")


def tokens(message: SipMessage, name: str) -> frozenset[str]:
    """The items of a header that is a list of tokens (Supported, Require, Allow), in lower case."""
    return frozenset(
        item.lower() for value in message.get_all(name) for item in split_list(value[:VALUE_CHARACTERS_MAX])
    )


def credentials(value: str) -> dict[str, str]:
    """The parameters of ``Digest name=value, ...`` by lower-case name (RFC 3261, 25.1). Raises MalformedMessage."""
    scheme, _, rest = value[:VALUE_CHARACTERS_MAX].strip().partition(" ")
    if scheme.lower() != "digest":
        raise MalformedMessage("the credentials or the challenge are not of scheme Digest")
    found: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _AUTH_PARAMETER.match(rest, position)
        if match is None:
            raise MalformedMessage("a Digest parameter is not name=value")
        name = match[1].lower()
        if name in found:
            raise MalformedMessage(f"the Digest parameter {name} is there twice")
        found[name] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        position = match.end()
    return found


def check_routable(message: SipMessage) -> None:
    """Raise MalformedMessage unless all is there that matching and answering need (RFC 3261, 8.1.1)."""
    call_id(message)
    branch(message)
    sequence = cseq(message)
    address(message, "From")
    address(message, "To")
    if isinstance(message, Request) and sequence.method != message.method:
        raise MalformedMessage("the method in CSeq is not the method of the request (RFC 3261, 8.1.1.5)")


def _typed(name: str, read: Callable[[str], _Typed], value: str) -> _Typed:
    try:
        return read(value)
    except (ValueError, TypeError) as error:  # TypeError: sipmessage hands parameter names on as keyword arguments
        raise MalformedMessage(f"{name} cannot be read: {error}") from error
