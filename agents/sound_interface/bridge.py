"""Between packets and a sound card: plays what comes into the microphone wires, sends what the earpiece wires carry.

Both streams of a card share its clock, and a place is a sample of the recording. Which sample of the playing stream
sounds at which place is found once, before anybody is served: the streams of most cards start together, and of others
the driver says how far each is.
"""

import math
import socket
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from agents.instruments.audio_port import FRAME_SAMPLES, RATE_HZ
from agents.instruments.packets import Peer
from agents.instruments.usb.alsa import Pcm
from agents.instruments.usb.port import StreamBroken, StreamRefused
from agents.measure import LabError
from agents.sound_interface.jack import Frames, Jack
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import Unavailable

BUFFER_US = 200_000
"""Of both streams: less than the lead of the first packet, and long enough for a machine that is busy."""
SETTLES = 8_000
"""After so many samples the places of both streams are compared, until as many again have come."""
WATCHDOG_S = 3.0
AGAIN_S = 0.5
TRIES = 5
_DATAGRAM_BYTES_MAX = 65_535


@dataclass(frozen=True, kw_only=True)
class Card:
    """ALSA names of the device that is played to and of the one that is recorded, and their gains in dB.

    ``own_delay_ms``: from the one to the other with microphone and earpiece wires joined; it is taken off.
    """

    playback: str
    capture: str
    out_db: float = 0.0
    in_db: float = 0.0
    own_delay_ms: float = 0.0


def serve(port: socket.socket, card: Card, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Serve until stopped. Where the card stops, or this process came too late for it, it is opened again.

    ``port``: bound, UDP, not blocking. Raises Unavailable where the card is not there, or breaks at every start.
    """
    tries = TRIES
    while not stop.is_set():
        try:
            with _Streams(card) as streams:
                while not stop.is_set() and not streams.settled():
                    _datagrams(port)
                    streams.play(None)
                say(f"serves; the streams of the card are {streams.apart} samples apart")
                tries = TRIES
                _exchange(port, card, streams, stop)
        except (LabError, StreamRefused) as error:
            tries -= 1
            if tries == 0 or not isinstance(error, StreamBroken):
                raise Unavailable(f"the sound card is not to be had: {error}") from error
            say(f"the card is opened again: {error}")
            stop.wait(AGAIN_S)


def _exchange(port: socket.socket, card: Card, streams: "_Streams", stop: threading.Event) -> None:
    jack = Jack(
        source=boottime_ns() & 0xFFFF_FFFF,
        gain_out=_factor(card.out_db),
        gain_in=_factor(card.in_db),
        late=round(card.own_delay_ms * RATE_HZ / 1000),
    )
    pending: Frames = np.zeros(0, dtype=np.int16)
    while not stop.is_set():
        pending = np.concatenate((pending, streams.recorded()))
        for data, peer in _datagrams(port):
            jack.take(data, peer, streams.count)
        while pending.size >= FRAME_SAMPLES:
            _send(port, jack.heard(pending[:FRAME_SAMPLES], streams.count - pending.size))
            pending = pending[FRAME_SAMPLES:]
        streams.play(jack)


class _Streams:
    """Both streams of a card, running. ``count`` samples were recorded; sample n of the playing stream sounds at the
    place n + ``apart``.
    """

    def __init__(self, card: Card) -> None:
        self._playing = _stream(card.playback, capture=False)
        try:
            self._recording = _stream(card.capture, capture=True)
        except BaseException:
            self._playing.close()
            raise
        self.count = self._written = self.apart = 0
        self._seen: list[int] = []
        self._last_ns = boottime_ns()

    def __enter__(self) -> Self:
        self._together = True
        try:
            self._recording.link(self._playing)
        except StreamBroken:
            self._together = False
        # Whole, it would start by itself.
        self._written = self._playing.write(np.zeros(self._playing.free() * 3 // 4, dtype=np.int16))
        self._recording.start()
        if not self._together:
            self._playing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recording.close()
        self._playing.close()

    def settled(self) -> bool:
        """Record on: whether it is known by now how far the streams are apart. StreamBroken where it never will be."""
        self.recorded()
        ahead, behind = self._playing.delay(), self._recording.delay()
        if self.count > SETTLES and ahead is not None and behind is not None:
            self._seen.append(self.count + behind - (self._written - ahead))
        if self.count <= 2 * SETTLES:
            return False
        if not self._together:
            if not self._seen:
                raise StreamBroken("the driver does not tell how far its streams are")
            self.apart = round(statistics.median(self._seen))
        return True

    def recorded(self) -> Frames:
        """What came since, after a wait of 20 ms at most. Raises StreamBroken where nothing comes any more."""
        self._recording.wait()
        sound = self._recording.read()[:, 0]
        self.count += sound.size
        now_ns = boottime_ns()
        if sound.size:
            self._last_ns = now_ns
        elif now_ns - self._last_ns > WATCHDOG_S * 1e9:
            raise StreamBroken(f"no sample came within {WATCHDOG_S:g} s")
        return sound

    def play(self, jack: Jack | None) -> None:
        """Give the playing stream as much as it takes, silence where nobody is there."""
        free = self._playing.free()
        if free > 0:
            sound = jack.spoken(self._written + self.apart, free) if jack else np.zeros(free, dtype=np.int16)
            self._written += self._playing.write(sound)


def _stream(name: str, *, capture: bool) -> Pcm:
    return Pcm(name, capture=capture, channels=1, rate=RATE_HZ, resample=True, buffer_us=BUFFER_US)


def _datagrams(port: socket.socket) -> list[tuple[bytes, Peer]]:
    found: list[tuple[bytes, Peer]] = []
    while True:
        try:
            found.append(port.recvfrom(_DATAGRAM_BYTES_MAX))
        except OSError:
            return found


def _send(port: socket.socket, packet: tuple[bytes, Peer] | None) -> None:
    if packet is not None:
        try:
            port.sendto(*packet)
        except OSError:
            return  # a full buffer or a bench that is gone: a lost packet, as on any network


def _factor(gain_db: float) -> float:
    return math.pow(10, gain_db / 20)
