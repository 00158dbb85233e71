"""USB/IP on the wire, version 1.1.1 (Linux, Documentation/usb/usbip_protocol.rst): packing and unpacking. Pure.

Everything is big-endian. What comes from a host is checked here; a breach raises :class:`ProtocolBreach`.
"""

from dataclasses import dataclass
from struct import Struct

from lab_inventory.errors import BadInput

VERSION = 0x0111
OP_REQ_DEVLIST, OP_REP_DEVLIST, OP_REQ_IMPORT, OP_REP_IMPORT = 0x8005, 0x0005, 0x8003, 0x0003
CMD_SUBMIT, CMD_UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
STALLED, CANCELLED, LOST, BROKEN = -32, -104, -84, -71
"""EPIPE, ECONNRESET, EILSEQ and EPROTO of Linux, as vhci-hcd expects them."""

FULL_SPEED = 2
BUS, DEVICE_NUMBER = 1, 2
DEVID = BUS << 16 | DEVICE_NUMBER

TRANSFER_BYTES_MAX = 1 << 17
PACKETS_MAX = 1_024

OPERATION = Struct(">HHI")
HEAD = Struct(">5I")
BODY_BYTES = 28
_SUBMIT = Struct(">Iiiii8s")
_RETURN = Struct(">5IiiiiI8x")
_UNLINKED = Struct(">5Ii24x")
_PACKET = Struct(">IIIi")
_DEVICE = Struct(">256s32sIIIHHHBBBBBB")


class ProtocolBreach(BadInput):
    """The other side does not speak USB/IP"""

    slug = "usbip-protocol-breach"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """One isochronous packet descriptor; ``length`` is asked for, ``actual`` is what came."""

    offset: int
    length: int
    actual: int = 0
    status: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Submit:
    """One CMD_SUBMIT without its data. ``packets`` is 0 for everything that is not isochronous."""

    number: int
    is_in: bool
    endpoint: int
    length: int
    packets: int
    setup: bytes

    @property
    def address(self) -> int:
        """The endpoint's address with its direction bit (USB 2.0, 9.6.6)."""
        return self.endpoint | (0x80 if self.is_in else 0)


def read_submit(head: tuple[int, ...], body: bytes) -> Submit:
    """A CMD_SUBMIT from its header and body; raises ProtocolBreach for what is out of bounds."""
    _, number, devid, direction, endpoint = head
    _, length, _, packets, _, setup = _SUBMIT.unpack(body)
    if devid != DEVID or direction not in (0, 1) or endpoint > 15:
        raise ProtocolBreach(f"devid {devid:#x}, direction {direction}, endpoint {endpoint}; expected {DEVID:#x}")
    if not 0 <= length <= TRANSFER_BYTES_MAX:
        raise ProtocolBreach(f"a transfer of {length} bytes; expected 0 to {TRANSFER_BYTES_MAX}")
    if not -1 <= packets <= PACKETS_MAX:
        raise ProtocolBreach(f"{packets} isochronous packets; expected at most {PACKETS_MAX}")
    return Submit(
        number=number,
        is_in=direction == 1,
        endpoint=endpoint,
        length=length,
        packets=max(0, packets),
        setup=setup,
    )


def read_packets(raw: bytes, length: int) -> tuple[Packet, ...]:
    """The packet descriptors of a transfer of ``length`` bytes; each must lie within it."""
    found = tuple(Packet(offset=one[0], length=one[1]) for one in _PACKET.iter_unpack(raw))
    if any(one.offset + one.length > length for one in found):
        raise ProtocolBreach(f"an isochronous packet lies outside of the {length} bytes of its transfer")
    return found


def pack_return(
    number: int, status: int, data: bytes = b"", *, actual: int | None = None, frame: int = 0,
    packets: tuple[Packet, ...] = (),
) -> bytes:  # fmt: skip
    """A RET_SUBMIT; ``actual`` is the length where no data go back (OUT). devid, direction, endpoint are 0."""
    told = len(data) if actual is None else actual
    errors = sum(one.status != 0 for one in packets)
    head = _RETURN.pack(RET_SUBMIT, number, 0, 0, 0, status, told, frame & 0x7FFFFFFF, len(packets), errors)
    return head + data + b"".join(_PACKET.pack(one.offset, one.length, one.actual, one.status) for one in packets)


def pack_unlinked(number: int, *, cancelled: bool) -> bytes:
    """A RET_UNLINK: -ECONNRESET if the transfer was still waiting, 0 if it had been answered."""
    return _UNLINKED.pack(RET_UNLINK, number, 0, 0, 0, CANCELLED if cancelled else 0)


def pack_device(busid: str, device: bytes, configuration: bytes) -> bytes:
    """The 312 bytes that tell of a device, from its own descriptors."""
    vendor, product, release = (int.from_bytes(device[at : at + 2], "little") for at in (8, 10, 12))
    path = f"/sys/devices/virtual-lab/{busid}".encode()
    kind = (device[4], device[5], device[6], configuration[5], device[17], configuration[4])
    return _DEVICE.pack(path, busid.encode(), BUS, DEVICE_NUMBER, FULL_SPEED, vendor, product, release, *kind)


def pack_interfaces(configuration: bytes) -> bytes:
    """Class, subclass and protocol of each interface, four bytes each, for the list of devices."""
    told, at = b"", 0
    while at + 9 <= len(configuration) and configuration[at] >= 2:
        if configuration[at + 1] == 4 and configuration[at + 3] == 0:
            told += configuration[at + 5 : at + 8] + b"\0"
        at += configuration[at]
    return told
