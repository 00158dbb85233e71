"""What a sound interface does to sound by itself: a signal from its microphone wires to its earpiece wires, joined."""

import asyncio
from dataclasses import dataclass

from agents.instruments.audio_port import LEAD_S, RATE_HZ, AudioPort
from agents.instruments.sound.delay import NotInRecording, find_delay
from agents.instruments.sound.samples import level_dbov, to_pcm
from agents.instruments.syllables import syllables
from agents.sound_interface import address_of
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable

SIGNAL_S = 2.0
AROUND_S = 0.6
"""So much earlier or later the signal may come."""
ANSWERS_WITHIN_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Joined:
    """From the one wires to the other: ms by the places of both, below 0 where it comes before its place; and dB."""

    delay_ms: float
    gain_db: float


async def measured(address: str, clock: Clock) -> Joined:
    """Raises BadInput for what is no address, Unavailable where nothing answers or the signal does not come back."""
    peer = address_of(address)
    spoken = syllables(rate_hz=RATE_HZ, seconds=SIGNAL_S, seed=1)
    port = AudioPort("0.0.0.0", peer, clock=clock)  # noqa: S104 - where the interface is, only its host knows
    try:
        if not await port.heard_within(ANSWERS_WITHIN_S):
            raise Unavailable(f"no sound interface answers at {address}")
        await asyncio.sleep(AROUND_S)
        place = port.speak(to_pcm(spoken).tolist())
        await asyncio.sleep(LEAD_S + SIGNAL_S + 2 * AROUND_S)
        recording, at_ns = port.recording(), port.moment_ns(place)
    finally:
        port.close()
    if recording is None or at_ns is None:
        raise Unavailable(f"the sound interface at {address} fell silent")
    heard = recording.cut(at_ns - int(AROUND_S * 1e9), SIGNAL_S + 2 * AROUND_S)
    try:
        late_ms = find_delay(spoken, heard, RATE_HZ).delay_ms
    except NotInRecording as error:
        raise Unavailable(
            f"what was spoken does not come back at {address}: join microphone and earpiece wires ({error})"
        ) from error
    first = max(0, round(late_ms * RATE_HZ / 1000))
    gain_db = level_dbov(heard[first : first + spoken.size]) - level_dbov(spoken)
    return Joined(delay_ms=late_ms - 1000 * AROUND_S, gain_db=gain_db)
