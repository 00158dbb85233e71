"""RTP of one call (RFC 3550, RFC 3551, RFC 4733): one packet each 20 ms, of the microphone or of the keys.

What comes in is counted for the reports (RTCP) and played. One clock drives both ways, the loop's; what is due is due
by that clock, so that lateness does not add up.
"""

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass
from itertools import count

from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.dtls import Certificate, Handshake, is_handshake
from agents.simulated.reference_phone.hearing import HEADER_BYTES, Heard, Sent, report
from agents.simulated.reference_phone.jack import Jack
from agents.simulated.reference_phone.keypad import dual_tone
from agents.simulated.reference_phone.mouth import Mouth
from agents.simulated.reference_phone.playout import Playout
from agents.simulated.reference_phone.session import Section
from agents.simulated.reference_phone.sound import Encoder, Frame
from agents.simulated.reference_phone.srtp import SrtpReceiver, SrtpSender
from lab_inventory.clock import Clock

FRAME_S = 0.02
FRAME_SAMPLES = 160
"""Of a frame, in ticks of the RTP clock, at 8000 Hz; that of Opus is six times as fast (RFC 7587, 4.1)."""
KEY_S = 0.1
CLOCK_HZ = 8000
DURATION_MAX = 0xFFFF
GAP_FRAMES = 4
VOLUME = 10
PORTS_TRIED = 64
DATAGRAM_BYTES_MAX = 65_535
BURST_MAX = 64
PAUSES_EVERY, PAUSES_FROM = 100, 25
RARELY = 1000
REPORT_S = 5.0
REPORT_SPREAD = (0.5 / 1.21828, 1.5 / 1.21828)
"""The interval of reports is drawn anew each time, as a share of 5 s, and halved for the first (RFC 3550, 6.3.1)."""
KEYS = "0123456789*#ABCD"


@dataclass(kw_only=True)
class _Key:
    code: int
    timestamp: int
    samples: int
    sent: int = 0
    ends: int = 0


class MediaStream:
    """One socket and its sender. ``follow`` says where to and whether; ``press`` queues keys."""

    def __init__(self, *, behaviour: Behaviour, clock: Clock, tone_hz: int, jack: Jack | None = None) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._jack = jack
        self._mouth = Mouth(behaviour, tone_hz=tone_hz, seed=int(clock.uniform(0, 1 << 31)))
        self._playout = Playout(behaviour, seed=int(clock.uniform(0, 1 << 31)))
        self._encoder = Encoder("PCMU")
        self._socket: socket.socket | None = None
        self._report_socket: socket.socket | None = None
        self._reports_to: tuple[str, int] | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._heard = Heard()
        self._their_master: bytes | None = None
        self._sent = 0
        self._sent_bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self._target: tuple[str, int] | None = None
        self._codec: tuple[int, str] = (0, "PCMU/8000")
        self._event: int | None = None
        self._keys: deque[str] = deque()
        self._key: _Key | None = None
        self._gap = 0
        self._last_key = 0
        self._marked = True
        self._sequence = int(clock.uniform(0, 30_000))
        self._ssrc = int(clock.uniform(1, 0xFFFF_FFFE))
        self._timestamp = int(clock.uniform(0, 0x7FFF_FFFF))
        self._clock_hz = CLOCK_HZ
        self._lost = 0.0
        self._extra_ticks = 0.0
        self._of_source = 0.0
        self._master: bytes | None = None
        self._secured: SrtpSender | None = None
        self._handshake: Handshake | None = None
        self._early: deque[bytes] = deque(maxlen=8)
        """What came of a handshake before the answer did."""
        self._awaits_keys = False
        self._ticks = 0
        self._was_held = False

    def open(self, host: str) -> int:
        """Bind a free even port, and give it."""
        loop = asyncio.get_running_loop()
        for _ in range(PORTS_TRIED):
            found, beside = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            found.setblocking(False)
            beside.setblocking(False)
            try:
                found.bind((host, 0))
                port = int(found.getsockname()[1])
                if port % 2 == 0:
                    beside.bind((host, port + 1))
                    for marked in (found, beside):
                        marked.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._behaviour.media_mark << 2)
                    self._socket, self._report_socket = found, beside
                    loop.add_reader(found, self._hear)
                    loop.add_reader(beside, self._read, beside)
                    return port
            except OSError:
                pass  # the port beside it is taken
            found.close()
            beside.close()
        raise OSError("no pair of ports was free")

    def _read(self, beside: socket.socket) -> bytes:
        try:
            return beside.recv(DATAGRAM_BYTES_MAX)
        except OSError:
            return b""

    def _hear(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for _ in range(BURST_MAX):
            packet = self._read(self._socket) if self._socket is not None else b""
            if not packet:
                return
            if is_handshake(packet):
                self._shake_hands(packet)
                continue
            plain = self._heard.take(packet, now_s, self._clock_hz)
            if plain is not None:
                self._playout.take(plain, now_s)

    def _shake_hands(self, came: bytes) -> None:
        if self._handshake is None:
            self._early.append(came)
        elif self._behaviour.finishes_handshake:
            self._handshake.take(came)

    def key_by_dtls(self, remote: Section, certificate: Certificate) -> None:
        """Begin the handshake, or wait for it, once for the whole call; nothing is sent before it has ended well."""
        if self._handshake is not None:
            return
        target = (remote.host, remote.port)
        self._awaits_keys = self._behaviour.encrypts_dtls_audio
        self._handshake = Handshake(
            certificate,
            remote.fingerprints,
            begins=not remote.begins,
            checks=self._behaviour.checks_fingerprint,
            send=lambda datagram: self._emit(datagram, target),
            done=self._keyed,
        )
        while self._early:
            self._shake_hands(self._early.popleft())

    def _keyed(self, own: bytes, theirs: bytes) -> None:
        if self._awaits_keys:
            self._secured = SrtpSender(own)
        self._heard.secured = SrtpReceiver(theirs)
        self._awaits_keys = False

    def follow(self, remote: Section | None, sends: bool, master: bytes | None = None) -> None:
        """Send to where the other side wants it, or be silent; under a master key, where there is one."""
        if master != self._master:
            self._master = master
            self._secured = SrtpSender(master) if master else None
        self._listen_to(remote, secured=master is not None)
        codec = remote.codec if remote else None
        if codec is not None:
            self._playout.use(codec)
        self._playout.muted = self._was_held and not self._behaviour.plays_after_hold
        self._was_held = self._was_held or (self._target is not None and not sends)
        if not sends or remote is None or codec is None or not remote.host:
            self._target = None
            return
        self._event = remote.event
        if codec != self._codec or self._target is None:
            self._encoder = Encoder(codec[1])
            self._marked = True
            self._clock_hz = self._behaviour.opus_clock_hz if codec[1].startswith("opus") else CLOCK_HZ
        self._codec, self._target = codec, (remote.host, remote.port)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def _listen_to(self, remote: Section | None, *, secured: bool) -> None:
        """Count what comes under the key of the other side, and report to it, also while nothing is sent."""
        usable = remote is not None and remote.port and remote.host
        self._reports_to = (remote.host, remote.report_port) if remote is not None and usable else None
        key = remote.key if remote is not None and secured else None
        theirs = key[1] if key else None
        if theirs != self._their_master and (self._their_master is None or self._behaviour.takes_new_key):
            self._their_master = theirs
            self._heard.secured = SrtpReceiver(theirs) if theirs else None
        if self._reporting is None and self._behaviour.sends_reports and usable:
            self._reporting = asyncio.create_task(self._report())

    async def _report(self) -> None:
        for number in count():
            share = self._clock.uniform(*REPORT_SPREAD)
            await asyncio.sleep(REPORT_S * share * self._behaviour.report_interval_share * (1 if number else 0.5))
            self._send_report(ends=False)

    def _send_report(self, *, ends: bool) -> None:
        if self._report_socket is None or self._reports_to is None:
            return
        if self._handshake is not None:  # the port of reports would need a handshake of its own (RFC 5764, 4.1)
            return
        packets = self._sent + round(self._behaviour.report_count_extra)
        sent = Sent(source=self._ssrc, packets=packets, payload_bytes=self._sent_bytes, timestamp=self._timestamp)
        block = self._heard.block(tells_loss=self._behaviour.reports_loss)
        wall_s = self._clock.now().timestamp()
        packet = report(sent, block, wall_s, "phone", sends=self._target is not None, ends=ends)
        if self._secured is not None:
            packet = self._secured.protect_report(packet)
        try:
            self._report_socket.sendto(packet, self._reports_to)
        except OSError:
            return

    def press(self, keys: str) -> bool:
        """Queue keys; whether events were agreed on and every key is one."""
        if self._event is None or not keys or any(key not in KEYS for key in keys):
            return False
        for key in keys:
            if key == self._behaviour.lost_key:
                continue
            self._keys.extend([key] * (2 if key == self._behaviour.doubled_key else 1))
        return True

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            self._step(loop, self._captured(due_s))
            self._extra_ticks += self._behaviour.timestamp_extra_ticks
            ticks = round(self._clock_hz * FRAME_S)
            self._timestamp = (self._timestamp + ticks + int(self._extra_ticks)) & 0xFFFF_FFFF
            self._extra_ticks %= 1
            due_s += FRAME_S * (1 + self._behaviour.pace_stretch)
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    def _captured(self, due_s: float) -> Frame:
        """Play 20 ms, and give the 20 ms that the microphone had until now."""
        heard = self._playout.frame(due_s)
        spoken = None
        if self._jack is not None:
            self._jack.play(heard, due_s)
            spoken = self._jack.microphone(due_s)
        return self._mouth.frame(spoken, heard)

    def _step(self, loop: asyncio.AbstractEventLoop, frame: Frame) -> None:
        """What is due now."""
        self._ticks += 1
        if (self._ticks - PAUSES_FROM) % PAUSES_EVERY * FRAME_S < self._behaviour.pause_s:
            self._marked = True
            return
        if self._target is None or self._awaits_keys:
            return
        packet = self._key_packet() or self._audio_packet(frame)
        if packet is None:
            return
        self._sent += 1
        self._sent_bytes += len(packet) - HEADER_BYTES
        if self._secured is not None:
            packet = self._secured.protect(packet)
        self._lost += self._behaviour.loss_share
        if self._lost >= 1:
            self._lost -= 1
            return
        late_s = self._clock.uniform(0.0, self._behaviour.jitter_s) if self._behaviour.jitter_s else 0.0
        if self._sent % RARELY == RARELY // 2:
            late_s += self._behaviour.rarely_late_s
        if late_s:
            loop.call_later(late_s, self._emit, packet, self._target)
        else:
            self._emit(packet, self._target)

    def _emit(self, packet: bytes, target: tuple[str, int]) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(packet, target)
            except OSError:
                return  # a full buffer or a port that is gone: a lost packet, as on any network

    def _header(self, payload_type: int, timestamp: int) -> bytes:
        jumps = self._behaviour.sequence_jump_every and self._sent % self._behaviour.sequence_jump_every < 1
        self._sequence = (self._sequence + (2 if self._sent and jumps else 1)) & 0xFFFF
        marker, self._marked = self._marked or self._behaviour.marks_every_packet, False
        self._of_source += 1
        if 0 < self._behaviour.source_kept_packets < self._of_source:
            self._ssrc, self._of_source = int(self._clock.uniform(1, 0xFFFF_FFFE)), 1
        return struct.pack("!BBHII", 0x80, marker << 7 | payload_type, self._sequence, timestamp, self._ssrc)

    def _audio_packet(self, frame: Frame) -> bytes | None:
        payload_type, name = self._codec
        if name.startswith("G722") and not self._behaviour.g722_sent:
            return None
        if name.startswith("opus") and not self._behaviour.opus_sent:
            return None
        if self._behaviour.event_in_band and self._gap > 0:
            frame = dual_tone(self._last_key)
        return self._header(payload_type, self._timestamp) + self._encoder.encode(frame)

    def _key_packet(self) -> bytes | None:
        """The packet of a key: its time stamp stays, its duration grows, its end comes thrice (RFC 4733, 2.5.1)."""
        if self._key is None:
            self._gap -= 1
            if not self._keys or self._gap > 0 or self._event is None:
                return None
            samples = round(KEY_S * CLOCK_HZ)
            self._key = _Key(code=KEYS.index(self._keys.popleft()), timestamp=self._timestamp, samples=samples)
            self._marked = self._behaviour.event_marked
        key = self._key
        key.sent = min(key.sent + FRAME_SAMPLES, key.samples)
        ends = key.sent == key.samples
        moved = self._timestamp - key.timestamp if self._behaviour.event_timestamp_moves else 0
        header = self._header(self._event or 0, (key.timestamp + moved) & 0xFFFF_FFFF)
        told = key.sent + (round(self._behaviour.event_extra_s * CLOCK_HZ) if ends else 0)
        volume = VOLUME + (key.sent // FRAME_SAMPLES % 4 if self._behaviour.event_volume_moves else 0)
        payload = struct.pack("!BBH", key.code, ends << 7 | volume, min(told, DURATION_MAX))
        key.ends += ends
        if key.ends >= self._behaviour.event_ends:
            self._key, self._gap, self._marked, self._last_key = None, GAP_FRAMES, True, key.code
        return header + payload

    @property
    def sends(self) -> bool:
        """Whether audio goes out now."""
        return self._target is not None

    def close(self) -> None:
        """Stop, say so where reports were sent, and let go of the ports."""
        if self._reporting is not None:
            self._send_report(ends=True)
        if self._handshake is not None:
            self._handshake.close()
        for task in (self._sending, self._reporting):
            if task is not None:
                task.cancel()
        self._sending = self._reporting = None
        for found in (self._socket, self._report_socket):
            if found is not None:
                asyncio.get_running_loop().remove_reader(found)
                found.close()
        self._socket = self._report_socket = None
