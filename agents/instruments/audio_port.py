"""The bench's end of a sound interface that is wired to a phone's handset socket (docs/how-to/audio-port.md).

L16 at 16 kHz, one channel, over RTP (RFC 3551, 4.5.11; number 96), 20 ms a packet, both ways. The interface has one
sample clock for both: a packet's time stamp is the place of its first sample on it. What the bench sends is played into
the microphone wires 0.1 s after the first packet came; what the earpiece wires carry comes back with its place. So what
is spoken and what is heard is known to the sample, and when that was follows from the packets that came back soonest.
"""

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.rtp import build_rtp, parse_rtp
from agents.instruments.rtp_sound import TimedSound
from agents.instruments.sound.samples import Samples
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.errors import Unavailable

PAYLOAD_TYPE = 96
RATE_HZ = 16_000
FRAME_SAMPLES = 320
FRAME_S = FRAME_SAMPLES / RATE_HZ
LEAD_S = 0.1
"""How much later than it is sent a sample is played; a packet that is later than that leaves a hole."""
PACKETS_MAX = 30_000


class AudioPort:
    """Plugged in from ``open`` to ``close``; sends silence where nothing is to be played.

    ``late_ms`` is the worst lateness of a packet that was sent; ``missing`` counts packets that never came back.
    """

    def __init__(self, host: str, peer: Peer, *, clock: Clock) -> None:
        """Raises Unavailable where no port is to be had."""
        self._port = PacketPort.open((host, 0), self._on_packet)
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._first_timestamp = int(clock.uniform(0, 0x7FFF_FFFF))
        self._source = int(clock.uniform(1, 0xFFFF_FFFE))
        self._sequence = int(clock.uniform(0, 0x7FFF))
        self._waiting: NDArray[np.int16] = np.zeros(0, dtype=np.int16)
        self._sent = 0
        self._came: list[tuple[int, int, bytes]] = []
        self.late_ms = 0.0
        self._due_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    def _tick(self) -> None:
        self.late_ms = max(self.late_ms, 1000 * (self._loop.time() - self._due_s))
        frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        frame[: len(self._waiting[:FRAME_SAMPLES])] = self._waiting[:FRAME_SAMPLES]
        self._waiting = self._waiting[FRAME_SAMPLES:]
        data = build_rtp(
            payload_type=PAYLOAD_TYPE,
            marker=False,
            sequence=self._sequence,
            timestamp=self._first_timestamp + FRAME_SAMPLES * self._sent & 0xFFFF_FFFF,
            ssrc=self._source,
            payload=frame.astype(">i2").tobytes(),
        )
        try:
            self._port.send(data, self._peer)
        except (OSError, Unavailable):
            pass  # nobody is there (any more): nothing comes back then either, and that is what is told
        self._sequence = self._sequence + 1 & 0xFFFF
        self._sent += 1
        self._due_s += FRAME_S
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _on_packet(self, packet: Packet) -> None:
        read = parse_rtp(packet)
        if (
            read is None
            or packet.peer != self._peer
            or read.payload_type != PAYLOAD_TYPE
            or len(read.payload) != 2 * FRAME_SAMPLES
            or len(self._came) >= PACKETS_MAX
        ):
            return
        place = (read.timestamp - self._first_timestamp + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
        self._came.append((place, packet.at_ns, read.payload))

    async def heard_within(self, seconds: float) -> bool:
        """Wait until the interface has given something back: whether it did."""
        until_ns = boottime_ns() + int(seconds * 1e9)
        known = len(self._came)
        while len(self._came) == known and boottime_ns() < until_ns:
            await asyncio.sleep(0.01)
        return len(self._came) > known

    def speak(self, samples: Sequence[int]) -> int:
        """Play these once into the microphone wires, 16 bit at 16 kHz; gives the place of the first of them."""
        self._waiting = np.asarray(samples, dtype=np.int16)
        return FRAME_SAMPLES * self._sent

    def moment_ns(self, place: int) -> int | None:
        """When a place on the clock of the interface was, by boot time; None before anything came back."""
        if not self._came:
            return None
        begins_ns = min(at_ns - at * 1_000_000_000 // RATE_HZ for at, at_ns, _ in self._came)
        return begins_ns + place * 1_000_000_000 // RATE_HZ

    def recording(self) -> TimedSound | None:
        """Everything that came from the earpiece wires; None where nothing did."""
        first_ns = self.moment_ns(0)
        if first_ns is None:
            return None
        earliest = min(place for place, _, _ in self._came)
        latest = max(place for place, _, _ in self._came)
        samples: Samples = np.zeros(latest - earliest + FRAME_SAMPLES)
        for place, _, data in self._came:
            at = place - earliest
            samples[at : at + FRAME_SAMPLES] = np.frombuffer(data, dtype=">i2").astype(np.float64) / 32768
        begins_ns = first_ns + earliest * 1_000_000_000 // RATE_HZ
        return TimedSound(samples=samples, rate_hz=RATE_HZ, begins_ns=begins_ns)

    def close(self) -> None:
        """Pull the plug; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        self._port.close()
