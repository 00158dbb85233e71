"""The bench's end of a sound interface that is wired to a phone's handset socket (docs/how-to/audio-port.md).

L16 at 16 kHz, one channel, over RTP (RFC 3551, 4.5.11; number 96), 20 ms a packet, both ways. The interface has one
sample clock for both: a packet's time stamp is the place of its first sample on it. What the bench sends is played into
the microphone wires 0.3 s after the first packet came; what the earpiece wires carry comes back with its place. So what
is spoken and what is heard is known to the sample, and when that was follows from the packets that came back soonest.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.rtp import build_rtp, parse_rtp
from agents.instruments.rtp_sound import TimedSound
from agents.instruments.sound.samples import Samples
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Unavailable

PAYLOAD_TYPE = 96
RATE_HZ = 16_000
FRAME_SAMPLES = 320
FRAME_S = FRAME_SAMPLES / RATE_HZ
LEAD_S = 0.3
"""How much later than it is sent a sample is played; a packet that is later than that leaves a hole."""
AHEAD_MAX_S = 3.5
"""So much is kept by the interface until its time comes."""
PACKETS_MAX = 30_000
_SILENCE: NDArray[np.int16] = np.zeros(FRAME_SAMPLES, dtype=np.int16)


class AudioPort:
    """Plugged in from ``open`` to ``close``; sends silence where nothing is to be played.

    ``late_ms`` is by how much the beginning of a signal came too late to be played whole; 0: it did not.
    """

    def __init__(self, host: str, peer: Peer, *, clock: Clock) -> None:
        """Raises Unavailable where no port is to be had."""
        self._port = PacketPort.open((host, 0), self._on_packet)
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._first_timestamp = int(clock.uniform(0, 0x7FFF_FFFF))
        self._source = int(clock.uniform(1, 0xFFFF_FFFE))
        self._sequence = int(clock.uniform(0, 0x7FFF))
        self._sent = 0
        self._came: list[tuple[int, int, bytes]] = []
        self._something_came = asyncio.Event()
        self.late_ms = 0.0
        self._begins_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    def _tick(self) -> None:
        now_s = self._loop.time()
        while self._begins_s + FRAME_S * self._sent <= now_s:
            self._send(_SILENCE)
        self._timer = self._loop.call_at(self._begins_s + FRAME_S * self._sent, self._tick)

    def _send(self, frame: NDArray[np.int16]) -> None:
        data = build_rtp(
            payload_type=PAYLOAD_TYPE,
            marker=False,
            sequence=self._sequence,
            timestamp=self._first_timestamp + FRAME_SAMPLES * self._sent & 0xFFFF_FFFF,
            ssrc=self._source,
            payload=frame.astype(">i2").tobytes(),
        )
        with suppress(OSError, Unavailable):  # nobody is there: nothing comes back then either, and that is told
            self._port.send(data, self._peer)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._sent += 1

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
        self._something_came.set()

    async def heard_within(self, seconds: float) -> bool:
        """Wait until the interface has given something back: whether it did."""
        self._something_came.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._something_came.wait()
        except TimeoutError:
            return False
        return True

    def speak(self, samples: Sequence[int]) -> int:
        """Play these once into the microphone wires, 16 bit at 16 kHz; gives the place of the first of them.

        All of it is sent at once: the interface keeps it until its time, so it does not matter how busy the bench is
        meanwhile. Raises BadInput for more than it keeps.
        """
        if len(samples) > AHEAD_MAX_S * RATE_HZ:
            raise BadInput(f"{len(samples)} samples are more than the {AHEAD_MAX_S:g} s that the interface keeps")
        self._tick_now()
        first = self._sent
        padded = np.zeros(-(-len(samples) // FRAME_SAMPLES) * FRAME_SAMPLES, dtype=np.int16)
        padded[: len(samples)] = np.asarray(samples, dtype=np.int16)
        for frame in padded.reshape(-1, FRAME_SAMPLES):
            self._send(frame)
        behind_s = self._loop.time() - self._begins_s - FRAME_S * first - LEAD_S
        self.late_ms = max(self.late_ms, 1000 * behind_s)
        return FRAME_SAMPLES * first

    def _tick_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._tick()

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

    def missing_ms(self) -> float:
        """How much of what the earpiece wires carried did not come, from the first to the last that came."""
        places = sorted({place for place, _, _ in self._came})
        holes = [after - before - FRAME_SAMPLES for before, after in pairwise(places)]
        return 1000 * sum(max(0, hole) for hole in holes) / RATE_HZ

    def close(self) -> None:
        """Pull the plug; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        self._port.close()
