"""The sound of a phone's RTP stream in time: decoded packets, each at its place by its time stamp. Pure.

The first sample of a packet stands at the moment at which the packet came, by those that came soonest: what jitters is
later than that and not earlier. Where a packet is missing there is silence.
"""

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.instruments.audio import decode, sample_rate_hz
from agents.instruments.rtp import RtpPacket
from agents.instruments.rtp_analysis import in_sequence
from agents.instruments.sound.samples import Samples, to_pcm

TICKS_HZ = 8000
"""The RTP clock of PCMU, PCMA and G.722 (RFC 3551, 4.5)."""
SECONDS_MAX = 600


@dataclass(frozen=True, kw_only=True)
class TimedSound:
    """``begins_ns``: when the first sample stands (CLOCK_BOOTTIME). Full scale is 1.0."""

    samples: Samples
    rate_hz: int
    begins_ns: int

    def cut(self, since_ns: int, seconds: float) -> Samples:
        """So much from a moment on, in silence where there is nothing."""
        first = round((since_ns - self.begins_ns) * self.rate_hz / 1e9)
        wanted = np.zeros(round(seconds * self.rate_hz))
        low, high = max(0, first), min(len(self.samples), first + len(wanted))
        if low < high:
            wanted[low - first : high - first] = self.samples[low:high]
        return wanted


def wav_of(sound: TimedSound) -> bytes:
    """The sound as a WAV file: 16 bit, one channel."""
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate_hz)
        file.writeframes(to_pcm(sound.samples).astype("<i2").tobytes())
    return kept.getvalue()


def rtp_sound(packets: Sequence[RtpPacket], payload_type: int, encoding: str) -> TimedSound | None:
    """The packets of one source in PCMU, PCMA or G722, all from its beginning; None where there are none.

    A time stamp that lies ten minutes off is taken for a fault, and its packet is left out.
    """
    heard = [packet for packet in in_sequence(packets) if packet.payload_type == payload_type and packet.payload]
    if not heard:
        return None
    rate_hz = sample_rate_hz(encoding)
    pcm = np.asarray(decode(encoding, (packet.payload for packet in heard)), dtype=np.float64) / 32768
    ticks = [_signed(packet.timestamp - heard[0].timestamp) for packet in heard]
    earliest = min(ticks)
    last = max(tick for tick in ticks if tick - earliest < SECONDS_MAX * TICKS_HZ)
    scale = rate_hz // TICKS_HZ
    samples = np.zeros((last - earliest + max(len(packet.payload) for packet in heard)) * scale)
    at = 0
    for packet, tick in zip(heard, ticks, strict=True):
        size, place = len(packet.payload) * scale, (tick - earliest) * scale
        if tick <= last:
            samples[place : place + size] = pcm[at : at + size]
        at += size
    begins_ns = min(
        packet.at_ns - (tick - earliest) * 1_000_000_000 // TICKS_HZ for packet, tick in zip(heard, ticks, strict=True)
    )
    return TimedSound(samples=samples, rate_hz=rate_hz, begins_ns=begins_ns)


def _signed(difference: int) -> int:
    return (difference + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
