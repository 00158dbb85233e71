"""RTP: one packet read and built, and one audio port that sends at an even pace and keeps what comes (RFC 3550).

Takes encoded frames, gives received packets with the kernel's times. Sending runs on the event loop; receiving does not
depend on it. What the packets say is found out in ``rtp_analysis``, ``dtmf`` and ``audio``.
"""

import asyncio
import struct
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.rtcp import ReceptionReport, Report, reports
from agents.instruments.sdes import Crypto
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sender.plan import Plan, plan
from agents.instruments.srtp import SrtpReceiver, SrtpSender
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.errors import InvariantBroken, Unavailable

PACKETS_MAX = 60_000
REPORTS_MAX = 10_000
PROTECTED_KEPT = 50
"""Authentic packets kept as they came, so that it can be shown that another key does not open them."""
FRAME_S = 0.02
TICKS_PER_FRAME = 160
"""A frame of 20 ms at the RTP clock of 8000 Hz that PCMU, PCMA and G.722 share."""
_HEADER = struct.Struct("!BBHII")
_PAIR_ATTEMPTS = 50


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


@dataclass(frozen=True, kw_only=True)
class SignalSent:
    """A signal on its way: what was planned for its packets, and which of the stream they are.

    ``started_ns``: when its first packet is due (CLOCK_BOOTTIME); ``first_sequence`` and ``first_timestamp``: those of
    packet 0 of the plan, from which the others count on.
    """

    plan: Plan
    started_ns: int
    first_sequence: int
    first_timestamp: int

    @property
    def ends_ns(self) -> int:
        """When a packet after the last would be due."""
        return self.started_ns + self.plan.duration_ns


class RtpPort:
    """An even UDP port for RTP with the next one for RTCP; keeps what comes and sends frames every 20 ms.

    ``heard`` is what came; ``unsendable`` counts by host what could not even be sent (a phone may name any address);
    ``foreign`` counts datagrams that are no RTP, ``rtcp_packets`` what came on the RTCP port;
    ``rtcp_heard`` has it in clear, ``rtcp`` its reports, and ``reports`` what the phone says there of what it hears.
    ``sent_ns`` has the time each packet left (ns of CLOCK_BOOTTIME) by its sequence number. Once it is ``secured``,
    only what authenticates is ``heard``; the rest is ``unauthentic``, but for copies of what was heard, and so it is
    with ``rtcp_unauthentic``. ``first_under`` has the sequence number of the first packet sent under each own key, by
    its fingerprint. ``leave_out_every``: of so many audio packets the last is numbered and not sent, so that the phone
    has a loss to tell of; their numbers are in ``left_out``. 0: none is.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._ports: tuple[PacketPort, PacketPort] | None = None
        self.heard: Arrivals[RtpPacket] = Arrivals(most=PACKETS_MAX)
        self.sent_ns: dict[int, int] = {}
        self.foreign = 0
        self.unsendable: Counter[str] = Counter()
        self.rtcp_packets = 0
        self._ssrc = int(clock.uniform(1, 0xFFFF_FFFE))
        self._sequence = int(clock.uniform(0, 0x7FFF))  # the lower half, as RFC 3550 has it for SRTP's sake
        self._timestamp = int(clock.uniform(0, 0xFFFF_FFFF))
        self._events: deque[Outgoing] = deque()
        self._sending: _Sending | None = None
        self._sender: SrtpSender | None = None
        self._receivers: list[SrtpReceiver] = []
        self.secured = False
        self.protected: list[bytes] = []
        self.reports: Arrivals[ReceptionReport] = Arrivals(most=REPORTS_MAX)
        self.rtcp_heard: list[Packet] = []
        self.rtcp: Arrivals[Report] = Arrivals(most=REPORTS_MAX)
        self.leave_out_every = 0
        self.left_out: list[int] = []
        self.packets_sent = 0
        self.octets_sent = 0
        self._frames = 0
        self.first_under: dict[str, int] = {}
        self._unauthentic: list[Packet] = []
        self._rtcp_unauthentic: list[Packet] = []
        self._opened_before: set[bytes] = set()

    def open(self, host: str) -> Self:
        """Bind a free pair of ports. Raises Unavailable when there is none."""
        for _ in range(_PAIR_ATTEMPTS):
            media = PacketPort.open((host, 0), self._on_packet)
            if media.address[1] % 2 == 0:
                try:
                    control = PacketPort.open((host, media.address[1] + 1), self._on_rtcp)
                except Unavailable:
                    media.close()
                    continue
                self._ports = (media, control)
                return self
            media.close()
        raise Unavailable(f"no free pair of UDP ports for RTP at {host}")

    @property
    def address(self) -> Peer:
        """Where this port receives RTP."""
        return self._media().address

    @property
    def kernel_dropped(self) -> int:
        """Datagrams the kernel lost because the bench did not read in time."""
        return self._media().dropped

    @property
    def clock_steps(self) -> int:
        """How often the wall clock, of which the kernel's times of arrival are, was set meanwhile."""
        return self._media().clock_steps

    def packets(self, *, since_ns: int = 0, until_ns: int | None = None) -> tuple[RtpPacket, ...]:
        """What came in [since_ns, until_ns), in order of arrival."""
        return tuple(
            packet
            for packet in self.heard.all()
            if packet.at_ns >= since_ns and (until_ns is None or packet.at_ns < until_ns)
        )

    @property
    def source(self) -> int:
        """The synchronisation source (SSRC) under which this port sends."""
        return self._ssrc

    @property
    def timestamp(self) -> int:
        """The time stamp of the next packet."""
        return self._timestamp

    def send_report(self, data: bytes, peer: Peer) -> None:
        """Send an RTCP packet from the port for it. Raises OSError, or Unavailable where it keeps being refused."""
        assert self._ports is not None, "the RTP port is not open"  # noqa: S101 - a mistake of the programmer
        self._ports[1].send(data, peer)

    @property
    def unauthentic(self) -> tuple[Packet, ...]:
        """What came after this port was secured and authenticates under no key of the call, in order of arrival."""
        return tuple(self._unauthentic)

    @property
    def rtcp_unauthentic(self) -> tuple[Packet, ...]:
        """The same for RTCP."""
        return tuple(self._rtcp_unauthentic)

    def secure(self) -> None:
        """From now on take nothing that does not authenticate; a key may still be on its way."""
        self.secured = True

    def use_keys(self, *, own: Crypto, theirs: Crypto) -> None:
        """Send under ``own`` and hear under ``theirs`` too; earlier keys of the phone go on being heard.

        What came before its key was known is looked at again: audio may overtake the answer.
        """
        self.secure()
        if self._sender is None or self._sender.crypto != own:
            self._sender = SrtpSender(own)
        if all(receiver.crypto != theirs for receiver in self._receivers):
            self._receivers.insert(0, SrtpReceiver(theirs))
            waiting, self._unauthentic = self._unauthentic, []
            for packet in waiting:
                self._on_packet(packet)
            waiting, self._rtcp_unauthentic = self._rtcp_unauthentic, []
            for packet in waiting:
                self._take_rtcp(packet)

    def start_sending(self, destination: Peer, *, payload_type: int, frames: Sequence[bytes]) -> None:
        """Send ``frames`` (20 ms each) over and over at an even pace until stopped; a stream begun before goes on."""
        self.stop_sending()
        self._sending = _Sending(self, destination, payload_type, frames)

    def send_signal(
        self,
        destination: Peer,
        *,
        payload_type: int,
        frames: Sequence[bytes],
        then: Sequence[bytes],
        impairment: Impairment = CLEAN,
        seed: int = 0,
    ) -> SignalSent:
        """Send ``frames`` (20 ms each) once, as the plan of this impairment has it; ``then`` over and over after it.

        What was being sent stops. Returns at once; the plan and its times are in what is given back.
        """
        if impairment != CLEAN:
            raise InvariantBroken("impaired signals are not sent yet")
        self.stop_sending()
        sent = SignalSent(
            plan=plan(len(frames), impairment, seed=seed),
            started_ns=boottime_ns(),
            first_sequence=self._sequence,
            first_timestamp=self._timestamp,
        )
        self._sending = _Sending(self, destination, payload_type, then, before=frames)
        return sent

    def stop_sending(self) -> None:
        """Send no more; may be called twice."""
        if self._sending is not None:
            self._sending.stop()
            self._sending = None

    def send_events(self, events: Sequence[Outgoing]) -> None:
        """Send these in place of the next audio frames, one each 20 ms; only while sending."""
        self._events.extend(events)

    def close(self) -> None:
        """Stop sending and let go of both ports; what was received stays."""
        self.stop_sending()
        if self._ports is not None:
            for port in self._ports:
                port.close()

    def send_frame(self, destination: Peer, payload_type: int, frame: bytes, *, first: bool) -> None:
        """Send the next packet of the stream: a waiting event packet, else this frame."""
        timestamp = self._timestamp
        marker = first
        if not self._events and self._left_out():
            return
        if self._events:
            event = self._events.popleft()
            payload_type, frame, marker = event.payload_type, event.payload, event.marker
            timestamp = (timestamp - event.ticks_before) & 0xFFFF_FFFF
        data = build_rtp(
            payload_type=payload_type,
            marker=marker,
            sequence=self._sequence,
            timestamp=timestamp,
            ssrc=self._ssrc,
            payload=frame,
        )
        if self.secured:
            if self._sender is None:
                raise InvariantBroken("a secured call sends before its keys are agreed on")
            data = self._sender.protect(data)
            self.first_under.setdefault(self._sender.crypto.fingerprint, self._sequence)
        try:
            at_ns = self._media().send(data, destination)
        except (OSError, Unavailable):
            self.unsendable[destination[0]] += 1  # as if it had been lost; whose fault it is shows by the host
        else:
            self.packets_sent += 1
            self.octets_sent += len(frame)
            if len(self.sent_ns) < PACKETS_MAX:
                self.sent_ns[self._sequence] = at_ns
        self._advance()

    def _left_out(self) -> bool:
        """Whether the audio packet that is due is one to be left out; then it is."""
        self._frames += 1
        if not self.leave_out_every or self._frames % self.leave_out_every:
            return False
        if len(self.left_out) < PACKETS_MAX:
            self.left_out.append(self._sequence)
        self._advance()
        return True

    def _advance(self) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + TICKS_PER_FRAME) & 0xFFFF_FFFF

    def _media(self) -> PacketPort:
        assert self._ports is not None, "the RTP port is not open"  # noqa: S101 - a mistake of the programmer
        return self._ports[0]

    def _on_packet(self, packet: Packet) -> None:
        key = ""
        if self.secured:
            opened = self._opened(packet)
            if opened is None:
                return
            packet, key = opened
        read = parse_rtp(packet)
        if read is None:
            self.foreign += 1
        else:
            self.heard.add(replace(read, key=key) if key else read)

    def _opened(self, packet: Packet) -> tuple[Packet, str] | None:
        """The packet in clear and the key it came under; None, and kept, where it authenticates under none."""
        for receiver in self._receivers:
            plain = receiver.unprotect(packet.data)
            if plain is not None:
                if len(self.protected) < PROTECTED_KEPT:
                    self.protected.append(packet.data)
                self._opened_before.add(packet.data)
                return replace(packet, data=plain), receiver.crypto.fingerprint
        if packet.data not in self._opened_before and len(self._unauthentic) < PACKETS_MAX:
            self._unauthentic.append(packet)
        return None

    def _on_rtcp(self, packet: Packet) -> None:
        self.rtcp_packets += 1
        self._take_rtcp(packet)

    def _take_rtcp(self, packet: Packet) -> None:
        data: bytes | None = packet.data
        if self.secured:
            opened = (receiver.unprotect_rtcp(packet.data) for receiver in self._receivers)
            data = next((plain for plain in opened if plain is not None), None)
        if data is not None:
            if len(self.rtcp_heard) < REPORTS_MAX:
                self.rtcp_heard.append(replace(packet, data=data))
            for report in reports(data, packet.at_ns):
                self.rtcp.add(report)
                for block in report.heard:
                    self.reports.add(block)
        elif len(self._rtcp_unauthentic) < REPORTS_MAX:
            self._rtcp_unauthentic.append(packet)


class _Sending:
    """The pace: each frame is due 20 ms after the one before was due, not after it was sent."""

    def __init__(
        self, port: RtpPort, destination: Peer, payload_type: int, frames: Sequence[bytes], before: Sequence[bytes] = ()
    ) -> None:
        self._port = port
        self._before = before
        self._destination = destination
        self._payload_type = payload_type
        self._frames = frames
        self._index = 0
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        frames, index = (self._before, 0) if self._index < len(self._before) else (self._frames, len(self._before))
        frame = frames[(self._index - index) % len(frames)]
        self._port.send_frame(self._destination, self._payload_type, frame, first=self._index == 0)
        self._index += 1
        self._due_s += FRAME_S
        self._timer = self._loop.call_at(self._due_s, self._tick)
