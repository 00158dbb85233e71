"""What the bench saw in one case, as the files that are kept of it: masked, bounded, in the forms that people open.

Takes the trace and the calls of a case; gives file contents. Attaching them is the suite's.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from agents.evidence.masking import Masking
from agents.evidence.pcapng import MEDIA_TYPE, CapturedPacket, pcapng
from agents.instruments.digest import DigestVerdict
from agents.instruments.packets import Packet, Peer
from agents.instruments.registrar import RegisterRecord
from agents.instruments.rtp import RtpPacket, SentFrame, build_rtp
from agents.instruments.sdp import AudioFormat
from agents.version import VERSION
from lab_inventory.evidence.lines import (
    CAPTURE,
    RTP_PACKETS,
    SIP_MEDIA_TYPE,
    SIP_MESSAGES,
    SipLine,
    read_sip,
    write_sip,
)
from lab_inventory.noun import host_and_port

RTP_PAYLOAD_BYTES_KEPT = 16
"""Of each RTP payload in a capture: a telephone event is whole with 4 (RFC 4733, 2.3), audio is not kept."""
CAPTURE_BYTES_MAX = 16_000_000
CAPTURE_SAYS = (
    "IPv4, UDP and TCP headers were made up from the addresses of the bench's sockets and the marks (DSCP) that came. "
    "Times are the kernel's, moved from CLOCK_BOOTTIME to the wall clock. "
    "Credentials and keys are masked with as many bytes. "
    "What came over TLS stands in clear as TCP. RTP: what the bench received, its payloads cut."
)


@dataclass(frozen=True, kw_only=True)
class CaseFile:
    """One file: how its name ends, and what is in it."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The audio of a call: what came to ``address``, from where as far as the phone said it, and when what was sent.

    ``reports``: the RTCP that came to the next port, in clear. ``formats``: what payload types mean in this call, the
    bench's own numbers first. ``sent``: the audio that left. ``name``: what the recording is called where a number of
    the call would not tell whose it is.
    """

    call: str
    address: Peer
    source: Peer | None
    packets: Sequence[RtpPacket]
    sent_ns: Sequence[int]
    reports: Sequence[Packet] = ()
    formats: Sequence[AudioFormat] = ()
    sent: Sequence[SentFrame] = ()
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the bench saw in a case. ``trace``: its JSON lines as instruments keep them, not masked yet.

    ``wall_offset_ns``: the wall clock less CLOCK_BOOTTIME. ``interface``: what the slot is called.
    """

    bench: Peer
    interface: str
    trace: bytes
    records: Sequence[RegisterRecord]
    heard: Sequence[Heard]
    rtp: bytes
    wall_offset_ns: int


def case_files(seen: Seen, masking: Masking) -> tuple[CaseFile, ...]:
    """The files of a case; those with nothing in them are left out."""
    lines = masked_lines(seen, masking)
    rtp = seen.rtp + b"".join(_sent_line(one) for one in seen.heard if one.sent_ns)
    files = [
        CaseFile(name=SIP_MESSAGES, media_type=SIP_MEDIA_TYPE, data=write_sip(lines)),
        CaseFile(name=RTP_PACKETS, media_type=SIP_MEDIA_TYPE, data=rtp),
    ]
    if lines or rtp:
        files.append(CaseFile(name=CAPTURE, media_type=MEDIA_TYPE, data=capture(seen, lines)))
    return tuple(file for file in files if file.data)


def masked_lines(seen: Seen, masking: Masking) -> tuple[SipLine, ...]:
    """The messages without secrets; beside a REGISTER with credentials stands what the registrar made of them."""
    found = {(record.at_ns, f"{record.peer[0]}:{record.peer[1]}"): record for record in seen.records}
    lines = []
    for line in read_sip(seen.trace).lines:
        masked = masking.mask(line.raw)
        record = found.get((line.at_ns, line.peer)) if line.incoming else None
        lines.append(
            replace(
                line,
                raw=masked.data,
                masked=masked.replaced,
                fault=masking.text(line.fault),
                digest=masking.text(_words(record)) if record else "",
            )
        )
    return tuple(lines)


def capture(seen: Seen, lines: Iterable[SipLine]) -> bytes:
    """The capture in the order of its times; over the bound the last packets are left out, which the file says."""
    packets = sorted([*_sip_packets(seen, lines), *_rtp_packets(seen)], key=lambda packet: packet.wall_ns)
    kept: list[CapturedPacket] = []
    size_bytes = 0
    for packet in packets:
        size_bytes += 100 + len(packet.payload) + len(packet.comment)
        if size_bytes > CAPTURE_BYTES_MAX:
            break
        kept.append(packet)
    missing = f" {len(packets) - len(kept)} packets at the end are left out." if len(kept) < len(packets) else ""
    application = f"assay-agent {VERSION}"
    return pcapng(kept, interface=seen.interface, application=application, comment=CAPTURE_SAYS + missing)


def _sip_packets(seen: Seen, lines: Iterable[SipLine]) -> Iterator[CapturedPacket]:
    for line in lines:
        if line.fault and not line.incoming:  # it was not sent
            continue
        peer = host_and_port(line.peer)
        transport = "udp" if line.transport == "udp" else "tcp"
        said = [f"cannot be read: {line.fault}"] if line.fault else []
        said += [f"masked: {', '.join(line.masked)}"] if line.masked else []
        said += [f"credentials {line.digest}"] if line.digest else []
        said += [f"came over {line.transport.upper()}"] if line.transport not in ("udp", "tcp") else []
        yield CapturedPacket(
            wall_ns=line.at_ns + seen.wall_offset_ns,
            source=peer if line.incoming else seen.bench,
            destination=seen.bench if line.incoming else peer,
            payload=line.raw,
            transport=transport,
            comment="; ".join(said),
            dscp=line.dscp or 0,
        )


def _rtp_packets(seen: Seen) -> Iterator[CapturedPacket]:
    """Header and the beginning of the payload; extensions and contributing sources were passed over on reading."""
    for one in seen.heard:
        unknown = "" if one.source else "the phone did not say from where it sends"
        for packet in one.packets:
            data = build_rtp(
                payload_type=packet.payload_type,
                marker=packet.marker,
                sequence=packet.sequence,
                timestamp=packet.timestamp,
                ssrc=packet.ssrc,
                payload=packet.payload[:RTP_PAYLOAD_BYTES_KEPT],
            )
            yield CapturedPacket(
                wall_ns=packet.at_ns + seen.wall_offset_ns,
                source=one.source or ("0.0.0.0", 0),  # noqa: S104 - no address to bind: none is known
                destination=one.address,
                payload=data,
                length=12 + len(packet.payload),
                comment=unknown,
                dscp=packet.dscp or 0,
            )
        for report in one.reports:
            yield CapturedPacket(
                wall_ns=report.at_ns + seen.wall_offset_ns,
                source=report.peer,
                destination=(one.address[0], one.address[1] + 1),
                payload=report.data,
                dscp=report.dscp or 0,
            )


def _sent_line(one: Heard) -> bytes:
    """What the bench sent in a call, summed up."""
    first_ns, last_ns = min(one.sent_ns), max(one.sent_ns)
    fields = {"call": one.call, "sent": len(one.sent_ns), "first_ns": first_ns, "last_ns": last_ns}
    return json.dumps(fields).encode() + b"\n"


def _words(record: RegisterRecord) -> str:
    if record.verdict is DigestVerdict.ABSENT:
        return ""
    return f"{record.verdict.value}: {record.reason}" if record.reason else record.verdict.value
