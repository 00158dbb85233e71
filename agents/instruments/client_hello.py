"""The first message of a TLS handshake: which versions a client offers and whom it asks for. Pure, and strict.

Takes the first bytes of a connection, gives a :class:`ClientHello` (RFC 8446, 4.1.2 and 5.1; RFC 5246, 7.4.1.2;
RFC 6066, 3). It is read here and not asked of a TLS library, because a library tells only what it agreed to.
"""

from dataclasses import dataclass

from lab_inventory.errors import BadInput

HELLO_BYTES_MAX = 65_536
VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_RECORD_HEADER_BYTES = 5
_RECORD_BYTES_MAX = 1 << 14
_SERVER_NAME = 0
_SUPPORTED_VERSIONS = 43


class MalformedHello(BadInput):
    """The connection does not begin with a ClientHello"""

    slug = "malformed-client-hello"


@dataclass(frozen=True, kw_only=True)
class ClientHello:
    """``offered``: the versions in the client's order of preference, unknown and reserved ones left out.

    Where the client sends no supported_versions it is the one version that it names as its highest.
    ``server_name``: the host name of its Server Name Indication, or None.
    """

    offered: tuple[str, ...]
    server_name: str | None


def read_client_hello(data: bytes) -> ClientHello | None:
    """Read the first bytes of a connection; None while more must come. Raises MalformedHello with the reason."""
    message = _handshake_message(data)
    if message is None:
        return None
    hello = _Reader(message)
    legacy = hello.number(2)
    hello.take(32)
    hello.vector(1, most=32)  # legacy_session_id
    suites = hello.vector(2)
    if not suites or len(suites) % 2:
        raise MalformedHello("the list of cipher suites is empty or of odd length")
    if not hello.vector(1):
        raise MalformedHello("the list of compression methods is empty")
    extensions = _extensions(_Reader(hello.vector(2))) if hello.left else {}
    if hello.left:
        raise MalformedHello(f"{hello.left} bytes follow the extensions")
    offered = [legacy]
    if (told := extensions.get(_SUPPORTED_VERSIONS)) is not None:
        versions = _whole_vector(told, 1)
        if not versions or len(versions) % 2:
            raise MalformedHello("supported_versions is empty or of odd length")
        offered = [int.from_bytes(versions[place : place + 2], "big") for place in range(0, len(versions), 2)]
    names = extensions.get(_SERVER_NAME)
    return ClientHello(
        offered=tuple(VERSIONS[version] for version in offered if version in VERSIONS),
        server_name=None if names is None else _host_name(names),
    )


def _handshake_message(data: bytes) -> bytes | None:
    """The body of the first handshake message, put together from its records; None while it is not whole."""
    collected, place = b"", 0
    while len(data) - place >= _RECORD_HEADER_BYTES:
        kind, major, size = data[place], data[place + 1], int.from_bytes(data[place + 3 : place + 5], "big")
        if kind != _HANDSHAKE_RECORD or major != 3:
            raise MalformedHello("the first record is no TLS handshake")
        if not 0 < size <= _RECORD_BYTES_MAX:
            raise MalformedHello(f"a handshake record has {size} bytes")
        fragment = data[place + _RECORD_HEADER_BYTES : place + _RECORD_HEADER_BYTES + size]
        collected += fragment
        if collected and collected[0] != _CLIENT_HELLO:
            raise MalformedHello("the first handshake message is no ClientHello")
        length = int.from_bytes(collected[1:4], "big") if len(collected) >= 4 else 0
        if length > HELLO_BYTES_MAX:
            raise MalformedHello(f"the ClientHello has more than {HELLO_BYTES_MAX} bytes")
        if len(collected) >= 4 + length and len(collected) >= 4:
            return collected[4 : 4 + length]
        if len(fragment) < size:
            return None
        place += _RECORD_HEADER_BYTES + size
    if data and data[0] != _HANDSHAKE_RECORD:
        raise MalformedHello("the first record is no TLS handshake")
    return None


def _extensions(reader: "_Reader") -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while reader.left:
        kind = reader.number(2)
        if kind in found:
            raise MalformedHello(f"the extension {kind} is there twice (RFC 8446, 4.2)")
        found[kind] = reader.vector(2)
    return found


def _host_name(data: bytes) -> str | None:
    names = _Reader(_whole_vector(data, 2))
    while names.left:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return name.decode("ascii", "backslashreplace")
    return None


def _whole_vector(data: bytes, size_bytes: int) -> bytes:
    reader = _Reader(data)
    value = reader.vector(size_bytes)
    if reader.left:
        raise MalformedHello(f"{reader.left} bytes follow the list in an extension")
    return value


class _Reader:
    """The presentation language of RFC 8446, 3: numbers and vectors, big end first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._place

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise MalformedHello(f"{size} bytes were announced, {self.left} are left")
        self._place += size
        return self._data[self._place - size : self._place]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size_bytes: int, *, most: int = HELLO_BYTES_MAX) -> bytes:
        size = self.number(size_bytes)
        if size > most:
            raise MalformedHello(f"a list has {size} bytes, at most {most} are allowed")
        return self.take(size)
