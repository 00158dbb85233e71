"""One RTP packet, read and built (RFC 3550, 5.1). Pure."""

import struct
from dataclasses import dataclass

from agents.instruments.packets import Packet

FRAME_S = 0.02
TICKS_PER_FRAME = 160
"""A frame of 20 ms at the RTP clock of 8000 Hz that PCMU, PCMA and G.722 share."""
_HEADER = struct.Struct("!BBHII")


@dataclass(frozen=True, kw_only=True, slots=True)
class RtpPacket:
    """One packet as it came; ``at_ns`` is the kernel's time (CLOCK_BOOTTIME), ``timestamp`` the sender's.

    ``key``: the fingerprint of the key under which it authenticated; empty where it came in clear. ``dscp``: the mark
    of its datagram, as :class:`Packet` has it.
    """

    at_ns: int
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    key: str = ""
    dscp: int | None = None


def parse_rtp(packet: Packet) -> RtpPacket | None:
    """Read one datagram; None when it is no RTP packet of version 2 (RFC 3550, 5.1)."""
    data = packet.data
    if len(data) < _HEADER.size or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:  # header extension: 16 bits of profile, 16 bits of length in words (5.3.1)
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if start > end:
        return None
    return RtpPacket(
        at_ns=packet.at_ns,
        payload_type=second & 0x7F,
        marker=bool(second & 0x80),
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=data[start:end],
        dscp=packet.dscp,
    )


def build_rtp(*, payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """One packet without extension, padding or contributing sources."""
    return _HEADER.pack(0x80, payload_type | (0x80 if marker else 0), sequence, timestamp, ssrc) + payload


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A packet in place of the next audio frame: DTMF events are sent this way. ``timestamp`` as in RFC 4733, 2.2.1."""

    payload_type: int
    marker: bool
    payload: bytes
    ticks_before: int
