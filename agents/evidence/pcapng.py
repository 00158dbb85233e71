"""A capture of a case as a pcapng file, which Wireshark and tshark open (draft-ietf-opsawg-pcapng). Pure.

The bench's sockets see payloads and addresses and no headers; so the IPv4, UDP and TCP headers are made up from the
addresses, which the file says of itself. A message that came over TCP or TLS stands in a TCP stream of its own peer,
without the stream's beginning; what was TLS is in clear, because the bench was the end of it. Times are the kernel's,
moved from CLOCK_BOOTTIME to the wall clock by the difference of both when the case ended.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

MEDIA_TYPE = "application/x-pcapng"
SNAP_BYTES = 65_535
LINKTYPE_IPV4 = 228
_NANOSECONDS = 9
_COMMENT, _USER_APPLICATION, _INTERFACE_NAME, _TIME_RESOLUTION = 1, 4, 2, 9
_UDP, _TCP = 17, 6
_PAYLOAD_BYTES_MAX = 65_535 - 20 - 20
_TCP_FLAGS_PUSH_ACK = 0x18


@dataclass(frozen=True, kw_only=True, slots=True)
class CapturedPacket:
    """One payload with its addresses. ``wall_ns``: ns since 1970 in UTC; ``length``: of the payload as it was, where
    ``payload`` is only its beginning. ``dscp``: the mark that its datagram had.
    """

    wall_ns: int
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    length: int | None = None
    transport: str = "udp"
    comment: str = ""
    dscp: int = 0


def pcapng(packets: Iterable[CapturedPacket], *, interface: str, application: str, comment: str) -> bytes:
    """The file: section header, one interface with times in nanoseconds, one block a packet in the order given."""
    section = _options(((_COMMENT, comment), (_USER_APPLICATION, application)))
    header = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    described = _option(_INTERFACE_NAME, interface.encode()) + _option(_TIME_RESOLUTION, bytes([_NANOSECONDS]))
    interface_block = struct.pack("<HHI", LINKTYPE_IPV4, 0, SNAP_BYTES) + described + _END
    streams: dict[tuple[tuple[str, int], tuple[str, int]], int] = {}
    return b"".join(
        [
            _block(0x0A0D0D0A, header + section),
            _block(1, interface_block),
            *(_block(6, _enhanced(packet, streams)) for packet in packets),
        ]
    )


def _enhanced(packet: CapturedPacket, streams: dict[tuple[tuple[str, int], tuple[str, int]], int]) -> bytes:
    payload = packet.payload[:_PAYLOAD_BYTES_MAX]
    whole = max(len(payload), min(packet.length or 0, _PAYLOAD_BYTES_MAX))
    if packet.transport == "udp":
        inner, kind = struct.pack("!HHHH", packet.source[1], packet.destination[1], 8 + whole, 0), _UDP
    else:
        sent = streams.get((packet.source, packet.destination), 1)
        heard = streams.get((packet.destination, packet.source), 1)
        streams[packet.source, packet.destination] = (sent + whole) & 0xFFFF_FFFF
        ports = (packet.source[1], packet.destination[1])
        inner = struct.pack("!HHIIBBHHH", *ports, sent, heard, 5 << 4, _TCP_FLAGS_PUSH_ACK, 65_535, 0, 0)
        kind = _TCP
    data = _ipv4(packet, kind, len(inner) + whole) + inner + payload
    length = len(data) - len(payload) + whole
    stamp = struct.pack("<III", 0, packet.wall_ns >> 32, packet.wall_ns & 0xFFFF_FFFF)
    options = _options(((_COMMENT, packet.comment),)) if packet.comment else b""
    return stamp + struct.pack("<II", len(data), length) + _padded(data) + options


def _ipv4(packet: CapturedPacket, kind: int, length: int) -> bytes:
    """A header with a right checksum (RFC 791, 3.1; RFC 1071); UDP and TCP go without one, as UDP may (RFC 768)."""
    start = struct.pack("!BBHHHBBH", 0x45, packet.dscp << 2, 20 + length, 0, 0x4000, 64, kind, 0)
    header = start + _address(packet.source[0]) + _address(packet.destination[0])
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]


def _address(host: str) -> bytes:
    """A host that is no IPv4 address stands as 0.0.0.0."""
    try:
        return IPv4Address(host).packed
    except AddressValueError:
        return bytes(4)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _options(given: Sequence[tuple[int, str]]) -> bytes:
    return b"".join(_option(code, text.encode()[:_OPTION_BYTES_MAX]) for code, text in given) + _END


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


_OPTION_BYTES_MAX = 4_000
_END = struct.pack("<HH", 0, 0)
