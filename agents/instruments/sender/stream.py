"""The stream of one audio port: what it sends, computed some seconds ahead, packet by packet as it goes on the wire.

Takes scores (frames, a plan of when each goes, a destination), events and keys; puts packets into the ring of the
sender's process, takes back what is not due when something changes, and keeps what became of each. Numbers and time
stamps go on over all of it: it is one synchronisation source.
"""

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.instruments.packets import Peer
from agents.instruments.rtp_packet import TICKS_PER_FRAME, Outgoing, build_rtp
from agents.instruments.sender.plan import FRAME_NS, Plan
from agents.instruments.sender.ring import PACKET_BYTES_MAX, SLOTS
from agents.instruments.sender.sender import SenderPort
from agents.instruments.srtp import SrtpSender
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.errors import InvariantBroken, Unavailable

PACKETS_MAX = 60_000
AHEAD_NS = 3_000_000_000
"""How far ahead packets are computed: for so long the event loop may be held up."""
LEAD_NS = 2_000_000
"""Between the begin of a score and its first packet: in which the first of it is computed."""
REFILL_S = 0.25
_AT_ONCE_MAX = 50
_AT_ONCE_PAUSE_S = 0.02
_MARGIN_NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is sent to whom: ``frames`` once as the plan has it, from ``began_ns`` on, and then ``then`` over and over.

    ``sequence`` and ``timestamp`` are those of packet 0; ``ticks`` of the RTP clock are in a frame.
    """

    destination: Peer
    address: bytes
    payload_type: int
    began_ns: int
    plan: Plan
    frames: Sequence[bytes]
    then: Sequence[bytes]
    sequence: int
    timestamp: int
    ticks: int

    def at(self, position: int) -> tuple[int, int, bytes] | None:
        """When the sending at this position is due, which packet it is, and its frame; None behind the last."""
        planned = self.plan.sendings
        if position < len(planned):
            sending = planned[position]
            return self.began_ns + sending.offset_ns, sending.number, self.frames[sending.number]
        if not self.then:
            return None
        after = position - len(planned)
        due_ns = self.began_ns + self.plan.ends_ns + after * FRAME_NS
        return due_ns, self.plan.packets + after, self.then[after % len(self.then)]

    def packets_before(self, position: int) -> int:
        """How many packets have been numbered before the sending at this position."""
        planned = self.plan.sendings
        if position >= len(planned):
            return self.plan.packets + position - len(planned)
        return max((sending.number + 1 for sending in planned[:position]), default=0)

    def sequence_of(self, number: int) -> int:
        """The sequence number of a packet."""
        return (self.sequence + number) & 0xFFFF

    def timestamp_of(self, number: int) -> int:
        """The time stamp of a packet."""
        return (self.timestamp + number * self.ticks) & 0xFFFF_FFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    """One packet that is on its way: ``index`` is its place in the ring, None where it is left out."""

    index: int | None
    position: int
    due_ns: int
    sequence: int
    timestamp: int
    octets: int
    host: str
    key: str
    copy: bool


class Stream:
    """What one port sends. What became of it is in ``sent_ns`` and the others once :meth:`settle` has looked."""

    def __init__(self, outlet: Callable[[], SenderPort], *, clock: Clock) -> None:
        self._outlet = outlet
        self.source = int(clock.uniform(1, 0xFFFF_FFFE))
        self._sequence = int(clock.uniform(0, 0x7FFF))  # the lower half, as RFC 3550 has it for SRTP's sake
        self._timestamp = int(clock.uniform(0, 0xFFFF_FFFF))
        self._port: SenderPort | None = None
        self._score: Score | None = None
        self._position = 0
        self._events: dict[int, Outgoing] = {}
        self._planned: deque[_Planned] = deque()
        self._settled = 0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._srtp: SrtpSender | None = None
        self._leave_out_every = 0
        self.secured = False
        self.sent_ns: dict[int, int] = {}
        self.due_ns: dict[int, int] = {}
        self.unsendable: Counter[str] = Counter()
        self.left_out: list[int] = []
        self.packets_sent = 0
        self.octets_sent = 0
        self.first_under: dict[str, int] = {}

    @property
    def timestamp(self) -> int:
        """The time stamp of the next packet."""
        self.settle()
        return self._planned[0].timestamp if self._planned else self._next()[1]

    @property
    def leave_out_every(self) -> int:
        """Of so many audio packets the last is numbered and not sent; 0: none."""
        return self._leave_out_every

    @leave_out_every.setter
    def leave_out_every(self, every: int) -> None:
        self._take_back()
        self._leave_out_every = every
        self._fill()

    def secure(self) -> None:
        """From now on send nothing in clear."""
        if not self.secured:
            self._take_back()
            self.secured = True

    def use_key(self, sender: SrtpSender) -> None:
        """Send under this key from the next packet on."""
        self.secure()
        self._take_back()
        self._srtp = sender
        self._fill()

    def start(
        self,
        destination: Peer,
        *,
        payload_type: int,
        plan: Plan,
        frames: Sequence[bytes],
        then: Sequence[bytes],
        ticks: int = TICKS_PER_FRAME,
    ) -> Score | None:
        """Send this instead of what was sent. None where nothing can be sent there; that counts as unsendable."""
        self.stop()
        try:
            if self._closed:
                raise Unavailable("the port is closed")
            address = socket.inet_aton(socket.gethostbyname(destination[0]))
            if self._port is None:
                self._port = self._outlet()
        except (OSError, Unavailable):
            self.unsendable[destination[0]] += 1
            return None
        self._score = Score(
            destination=destination,
            address=address,
            payload_type=payload_type,
            began_ns=boottime_ns() + LEAD_NS,
            plan=plan,
            frames=frames,
            then=then,
            sequence=self._sequence,
            timestamp=self._timestamp,
            ticks=ticks,
        )
        self._fill()
        return self._score

    def stop(self) -> None:
        """Send no more than what is due within this millisecond; may be called twice."""
        self._take_back()
        self._sequence, self._timestamp = self._next()
        self._number_events_anew()
        self._score, self._position = None, 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add_events(self, events: Sequence[Outgoing]) -> None:
        """Send these in place of the next audio frames, behind the events that wait already."""
        self._take_back()
        first = max(self._packets_before(), max(self._events, default=-1) + 1)
        self._events |= {first + place: event for place, event in enumerate(events)}
        self._fill()

    def close(self) -> None:
        """Stop, and let the sender and the memory of the ring go. What was sent stays known."""
        self.stop()
        self._closed = True
        if self._port is not None:
            self._port.close()
            self.settle()
            self._port = None
            self._planned.clear()

    def settle(self) -> None:
        """Keep what became of the packets that the sender has dealt with."""
        if self._port is None:
            return
        ring, now_ns = self._port.ring, boottime_ns()
        done = ring.done
        while self._planned:
            packet = self._planned[0]
            if packet.index is None:
                if packet.due_ns > now_ns:
                    return
                if len(self.left_out) < PACKETS_MAX:
                    self.left_out.append(packet.sequence)
            elif packet.index < done:
                self._settle(packet, ring.left(packet.index))
                self._settled = packet.index + 1
            else:
                return
            self._planned.popleft()

    def _settle(self, packet: _Planned, left_ns: int) -> None:
        if left_ns < 0:
            self.unsendable[packet.host] += 1  # as if it had been lost; whose fault it is shows by the host
            return
        if packet.key:
            self.first_under.setdefault(packet.key, packet.sequence)
        if not packet.copy:
            self.packets_sent += 1
            self.octets_sent += packet.octets
        if len(self.sent_ns) < PACKETS_MAX:
            self.sent_ns.setdefault(packet.sequence, left_ns)
            self.due_ns.setdefault(packet.sequence, packet.due_ns)

    def _packets_before(self) -> int:
        return 0 if self._score is None else self._score.packets_before(self._position)

    def _next(self) -> tuple[int, int]:
        """The sequence number and the time stamp of the packet that is planned next."""
        if self._score is None:
            return self._sequence, self._timestamp
        number = self._packets_before()
        return self._score.sequence_of(number), self._score.timestamp_of(number)

    def _number_events_anew(self) -> None:
        before = self._packets_before()
        waiting = [self._events[number] for number in sorted(self._events) if number >= before]
        self._events = dict(enumerate(waiting))

    def _take_back(self) -> None:
        """Take back what is not due yet, so that it is planned anew.

        The sender takes only what is due. So it cannot have begun what was still not due after it was forbidden; where
        too much time passed over forbidding it, more is left to it.
        """
        self.settle()
        if self._port is None or not self._planned:
            return
        ring, limit = self._port.ring, self._port.ring.limit
        while True:
            until_ns = boottime_ns() + _MARGIN_NS
            taken = [packet for packet in self._planned if packet.due_ns > until_ns]
            ring.take_back(min((packet.index for packet in taken if packet.index is not None), default=limit))
            if not taken:
                return
            if boottime_ns() < min(packet.due_ns for packet in taken):
                break
        for _ in taken:
            self._planned.pop()
        if self._score is not None:
            self._position = min(packet.position for packet in taken)

    def _fill(self) -> None:
        """Plan packets as far ahead as they may be, a bounded number at once, and come again."""
        score, port = self._score, self._port
        if score is None or port is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self.settle()
        until_ns = boottime_ns() + AHEAD_NS
        pause_s = REFILL_S
        for _ in range(_AT_ONCE_MAX):
            sending = score.at(self._position)
            if sending is None or sending[0] > until_ns or port.ring.limit - self._settled >= SLOTS:
                break
            self._planned.append(self._put(port, score, *sending))
            self._position += 1
        else:
            pause_s = _AT_ONCE_PAUSE_S
        port.tell()
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._fill)

    def _put(self, port: SenderPort, score: Score, due_ns: int, number: int, frame: bytes) -> _Planned:
        """Build one packet and give it to the sender, where it is not one to be left out."""
        event, every = self._events.get(number), self._leave_out_every
        sequence, timestamp = score.sequence_of(number), score.timestamp_of(number)
        payload_type, marker = score.payload_type, number == 0
        index: int | None = None
        if event is not None:
            payload_type, frame, marker = event.payload_type, event.payload, event.marker
        if event is not None or not every or number % every != every - 1:
            data = build_rtp(
                payload_type=payload_type,
                marker=marker,
                sequence=sequence,
                timestamp=timestamp if event is None else (timestamp - event.ticks_before) & 0xFFFF_FFFF,
                ssrc=self.source,
                payload=frame,
            )
            data = self._protected(data)
            if len(data) > PACKET_BYTES_MAX:
                raise InvariantBroken(f"a packet of {len(data)} bytes; the sender takes {PACKET_BYTES_MAX} at most")
            index = port.ring.limit
            port.ring.put(data, (score.address, score.destination[1]), due_ns)
        before = score.at(self._position - 1) if self._position else None
        return _Planned(
            index=index,
            position=self._position,
            due_ns=due_ns,
            sequence=sequence,
            timestamp=timestamp,
            octets=len(frame),
            host=score.destination[0],
            key=self._srtp.crypto.fingerprint if self._srtp is not None else "",
            copy=before is not None and before[1] == number,
        )

    def _protected(self, data: bytes) -> bytes:
        if not self.secured:
            return data
        if self._srtp is None:
            raise InvariantBroken("a secured call sends before its keys are agreed on")
        return self._srtp.protect(data)
