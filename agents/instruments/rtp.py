"""One audio port: it sends what it is told when it is due, and keeps what comes with the kernel's times (RFC 3550).

Takes encoded frames, gives received packets. Sending is the work of the sender's process, and receiving does not depend
on the event loop either. What the packets say is found out in ``rtp_analysis``, ``dtmf`` and ``audio``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.rtcp import ReceptionReport, Report, reports
from agents.instruments.rtp_packet import FRAME_S, TICKS_PER_FRAME, Outgoing, RtpPacket, build_rtp, parse_rtp
from agents.instruments.sdes import Crypto
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sender.plan import Plan, plan
from agents.instruments.sender.sender import Sender, SenderPort
from agents.instruments.sender.stream import PACKETS_MAX, Stream
from agents.instruments.srtp import SrtpReceiver, SrtpSender
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable

__all__ = [
    "FRAME_S",
    "PACKETS_MAX",
    "TICKS_PER_FRAME",
    "Outgoing",
    "RtpPacket",
    "RtpPort",
    "SignalSent",
    "build_rtp",
    "parse_rtp",
]

REPORTS_MAX = 10_000
PROTECTED_KEPT = 50
"""Authentic packets kept as they came, so that it can be shown that another key does not open them."""
_PAIR_ATTEMPTS = 50


@dataclass(frozen=True, kw_only=True)
class SignalSent:
    """A signal on its way: what was planned for its packets, and which of the stream they are.

    ``started_ns``: when its first packet is due, where it is not delayed (CLOCK_BOOTTIME); ``first_sequence`` and
    ``first_timestamp``: those of packet 0 of the plan, from which the others count on.
    """

    plan: Plan
    started_ns: int
    first_sequence: int
    first_timestamp: int

    @property
    def ends_ns(self) -> int:
        """When all of it is sent, and the time of its last packet is over."""
        return self.started_ns + self.plan.ends_ns


class RtpPort:
    """An even UDP port for RTP with the next one for RTCP; keeps what comes, and has frames sent every 20 ms.

    ``sender``: the process that sends for it; without one it starts its own when it first sends, and ends it when it is
    closed. ``heard`` is what came; ``foreign`` counts datagrams that are no RTP, ``rtcp_packets`` what came on the RTCP
    port; ``rtcp_heard`` has it in clear, ``rtcp`` its reports, and ``reports`` what the phone says there of what it
    hears. Once it is ``secured``, only what authenticates is ``heard``; the rest is ``unauthentic``, but for copies of
    what was heard, and so it is with ``rtcp_unauthentic``.
    """

    def __init__(self, *, clock: Clock, sender: Sender | None = None) -> None:
        self._ports: tuple[PacketPort, PacketPort] | None = None
        self._sender = sender or Sender()
        self._ends_sender = sender is None
        self._stream = Stream(self._outlet, clock=clock)
        self.signal: SignalSent | None = None
        self.heard: Arrivals[RtpPacket] = Arrivals(most=PACKETS_MAX)
        self.foreign = 0
        self.rtcp_packets = 0
        self._srtp: SrtpSender | None = None
        self._receivers: list[SrtpReceiver] = []
        self.secured = False
        self.protected: list[bytes] = []
        self.reports: Arrivals[ReceptionReport] = Arrivals(most=REPORTS_MAX)
        self.rtcp_heard: list[Packet] = []
        self.rtcp: Arrivals[Report] = Arrivals(most=REPORTS_MAX)
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
        return self._stream.source

    @property
    def timestamp(self) -> int:
        """The time stamp of the next packet."""
        return self._stream.timestamp

    @property
    def sent_ns(self) -> dict[int, int]:
        """When each packet left (ns of CLOCK_BOOTTIME), by its sequence number."""
        return self._sent().sent_ns

    @property
    def due_ns(self) -> dict[int, int]:
        """When each of the packets that have left was due."""
        return self._sent().due_ns

    @property
    def unsendable(self) -> Counter[str]:
        """By host what could not even be sent: a phone may name any address."""
        return self._sent().unsendable

    @property
    def left_out(self) -> list[int]:
        """The sequence numbers of what was left out on purpose."""
        return self._sent().left_out

    @property
    def packets_sent(self) -> int:
        """How many packets have left, without copies."""
        return self._sent().packets_sent

    @property
    def octets_sent(self) -> int:
        """How many octets of payload they had."""
        return self._sent().octets_sent

    @property
    def first_under(self) -> dict[str, int]:
        """The sequence number of the first packet sent under each own key, by its fingerprint."""
        return self._sent().first_under

    @property
    def leave_out_every(self) -> int:
        """Of so many audio packets the last is numbered and not sent, to have a loss told of; 0: none is."""
        return self._stream.leave_out_every

    @leave_out_every.setter
    def leave_out_every(self, every: int) -> None:
        self._stream.leave_out_every = every

    def lateness_ms(self, since_ns: int = 0, until_ns: int | None = None) -> float:
        """By how much the latest packet that was due in [since_ns, until_ns) left late, in ms; 0 where none was due."""
        sent = self._sent()
        late = (
            sent.sent_ns[number] - due_ns
            for number, due_ns in sent.due_ns.items()
            if due_ns >= since_ns and (until_ns is None or due_ns < until_ns)
        )
        return max(late, default=0) / 1e6

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
        """From now on take and send nothing that does not authenticate; a key may still be on its way."""
        self.secured = True
        self._stream.secure()

    def use_keys(self, *, own: Crypto, theirs: Crypto) -> None:
        """Send under ``own`` and hear under ``theirs`` too; earlier keys of the phone go on being heard.

        What came before its key was known is looked at again: audio may overtake the answer.
        """
        self.secure()
        if self._srtp is None or self._srtp.crypto != own:
            self._srtp = SrtpSender(own)
            self._stream.use_key(self._srtp)
        if all(receiver.crypto != theirs for receiver in self._receivers):
            self._receivers.insert(0, SrtpReceiver(theirs))
            waiting, self._unauthentic = self._unauthentic, []
            for packet in waiting:
                self._on_packet(packet)
            waiting, self._rtcp_unauthentic = self._rtcp_unauthentic, []
            for packet in waiting:
                self._take_rtcp(packet)

    def start_sending(
        self, destination: Peer, *, payload_type: int, frames: Sequence[bytes], ticks: int = TICKS_PER_FRAME
    ) -> None:
        """Send ``frames`` (20 ms each, ``ticks`` of the RTP clock) over and over at an even pace until stopped.

        A stream begun before goes on with its numbers and time stamps.
        """
        self.signal = None
        self._stream.start(destination, payload_type=payload_type, plan=plan(0), frames=(), then=frames, ticks=ticks)

    def send_signal(
        self,
        destination: Peer,
        *,
        payload_type: int,
        frames: Sequence[bytes],
        then: Sequence[bytes],
        impairment: Impairment = CLEAN,
        seed: int = 0,
        ticks: int = TICKS_PER_FRAME,
    ) -> SignalSent | None:
        """Send ``frames`` (20 ms each) once, as the plan of this impairment has it; ``then`` over and over after it.

        What was being sent stops. Returns at once, and says what was planned for when; None where nothing can be sent
        to this destination at all. It stays in ``signal`` until something else is sent, or nothing any more.
        """
        self.signal = None
        planned = plan(len(frames), impairment, seed=seed)
        score = self._stream.start(
            destination, payload_type=payload_type, plan=planned, frames=frames, then=then, ticks=ticks
        )
        if score is None:
            return None
        self.signal = SignalSent(
            plan=planned,
            started_ns=score.began_ns,
            first_sequence=score.sequence,
            first_timestamp=score.timestamp,
        )
        return self.signal

    def stop_sending(self) -> None:
        """Send no more; may be called twice."""
        self.signal = None
        self._stream.stop()

    def send_events(self, events: Sequence[Outgoing]) -> None:
        """Send these in place of the next audio frames, one each 20 ms; only while sending."""
        self._stream.add_events(events)

    def close(self) -> None:
        """Stop sending and let go of both ports; what was received stays."""
        self._stream.close()
        if self._ends_sender:
            self._sender.close()
        if self._ports is not None:
            for port in self._ports:
                port.close()

    def _sent(self) -> Stream:
        self._stream.settle()
        return self._stream

    def _outlet(self) -> SenderPort:
        return self._sender.port(self._media().fileno())

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
