"""The virtual headset as such: control requests, streams, keys, plugging. Knows no network and no clock of its own.

A transport calls :meth:`control`, :meth:`play`, :meth:`record`, :meth:`light` and :meth:`take_report`; a bench presses
keys, looks at lamps and sets the acoustics; a control port changes the :class:`Behaviour`.
"""

import sys
from array import array
from collections import deque
from collections.abc import Callable
from struct import Struct

from agents.simulated.headset.behaviour import HEALTHY, Behaviour
from agents.simulated.headset.descriptors import (
    HID,
    MIC_ENDPOINT,
    MICROPHONE,
    RATES,
    SPEAKER,
    SPEAKER_ENDPOINT,
    configuration_descriptor,
    device_descriptor,
    hid_descriptor,
    string_descriptor,
)
from agents.simulated.headset.ear import Ear
from agents.simulated.headset.keys import Keys, Later
from agents.simulated.headset.mixer import GET_CUR, SET_CUR, Mixer
from agents.simulated.headset.mouth import Acoustics, Mouth, lost_on_bus
from agents.simulated.headset.reports import report_descriptor

EVENTS_MAX = 1_000
TICK_S = 0.05
_SETUP = Struct("<BBHHH")
_ENDPOINTS = {SPEAKER: SPEAKER_ENDPOINT, MICROPHONE: MIC_ENDPOINT}
_TO_CLASS, _TO_ENDPOINT, _FROM_DEVICE = 0x20, 0x02, 0x80


class Headset:
    """One headset. ``later`` does something after so many seconds; ``now`` gives seconds, for the list of events."""

    def __init__(self, serial: str, later: Later, now: Callable[[], float]) -> None:
        self.serial = serial
        self.behaviour: Behaviour = HEALTHY
        self.acoustics = Acoustics()
        self.mixer = Mixer()
        self.events: deque[tuple[float, str, object]] = deque(maxlen=EVENTS_MAX)
        self.on_bus = False
        self.attached = False
        self.failures = 0
        self.report_ready: Callable[[], None] = _nothing
        self.stream_ended: Callable[[int], None] = _nothing_with
        self.left_bus: Callable[[], None] = _nothing
        self._later = later
        self._now = now
        self.keys = Keys(later, self._report_waits, self.saw)
        self._settings = {SPEAKER: 0, MICROPHONE: 0}
        self._rates = {SPEAKER_ENDPOINT: max(RATES), MIC_ENDPOINT: max(RATES)}
        self._ear = Ear()
        self._mouth: Mouth | None = None
        self._openings = 0
        self._plugs = 0
        self._attachments = 0
        self._plug_wish = 0
        self._due_mutes = 0.0
        self._due_drops = 0.0

    # ---- plugging --------------------------------------------------------------------------------------------------

    def plug(self) -> None:
        """Put the plug in; the headset is on the bus at once or after its delay."""
        self._plugs += 1
        self._plug_wish += 1
        wish, skipped = self._plug_wish, self.behaviour.plugs_skipped
        if skipped and self._plugs % skipped == 0:
            self.saw("plug-skipped", self._plugs)
        elif self.behaviour.plug_delay_s:
            self._later(self.behaviour.plug_delay_s, lambda: self._arrive(wish))
        else:
            self._arrive(wish)

    def unplug(self) -> None:
        """Pull the plug."""
        self._plug_wish += 1
        if self.on_bus:
            self.on_bus = False
            self.saw("unplugged", None)
            self.left_bus()

    def _arrive(self, wish: int) -> None:
        if wish == self._plug_wish and not self.on_bus:
            self.on_bus = True
            self.saw("plugged", None)

    def attach(self) -> None:
        """A host has taken the device: power is on."""
        self.attached = True
        self.saw("attached", None)
        if self.behaviour.hook_on_plug:
            self.keys.report_hook(True)
        self._attachments += 1
        self._tick_later(self._attachments)

    def detach(self) -> None:
        """The host is gone, and power with it."""
        self.attached = False
        self.keys.forget()
        self._settings = {SPEAKER: 0, MICROPHONE: 0}
        self._mouth = None
        if not self.behaviour.state_survives_replug:
            self.mixer.forget()
        self.saw("detached", None)

    def _tick_later(self, attachment: int) -> None:
        self._later(TICK_S, lambda: self._tick(attachment))

    def _tick(self, attachment: int) -> None:
        """What happens by itself, every :data:`TICK_S` while this host is there."""
        if not self.attached or attachment != self._attachments:
            return
        self._due_mutes += self.behaviour.spurious_per_minute / 60 * TICK_S
        self._due_drops += self.behaviour.drops_per_minute / 60 * TICK_S
        if self._due_mutes >= 1:
            self._due_mutes -= 1
            self.keys.report_mute()
        if self._due_drops >= 1:
            self._due_drops = 0.0
            self.unplug()
            self.plug()
            return
        self._tick_later(attachment)

    # ---- control endpoint ------------------------------------------------------------------------------------------

    def control(self, setup: bytes, data: bytes) -> bytes | None:
        """One control transfer (USB 2.0, 9.3): the data it gives, empty for OUT; None is a stall."""
        to, request, value, index, length = _SETUP.unpack(setup)
        if to & 0x60 == _TO_CLASS:
            answer = self._class_request(to, request, value, index, data)
        elif to & 0x60 == 0:
            answer = self._standard_request(to, request, value, index)
        else:
            answer = None
        return None if answer is None else answer[:length]

    def _standard_request(self, to: int, request: int, value: int, index: int) -> bytes | None:
        """USB 2.0, 9.4."""
        if request == 6 and to & _FROM_DEVICE:
            return self._descriptor(value >> 8, value & 0xFF)
        if request == 11:
            return self._set_interface(index, value)
        if request == 10:
            return bytes((self._settings.get(index, 0),))
        if request == 0:
            return bytes(2)
        if request == 8:
            return b"\1"
        return b"" if request in (1, 3, 5, 9) else None  # features, address, configuration

    def _descriptor(self, kind: int, index: int) -> bytes | None:
        if kind == 1:
            return device_descriptor(self.behaviour)
        if kind == 2:
            return configuration_descriptor(self.behaviour) if index == 0 else None
        if kind == 3:
            return string_descriptor(index, self.serial, self.behaviour)
        if kind == 0x21:
            return hid_descriptor(self.behaviour)
        return report_descriptor(self.behaviour) if kind == 0x22 else None

    def _set_interface(self, number: int, setting: int) -> bytes | None:
        if number not in _ENDPOINTS:
            return b"" if setting == 0 and number <= HID else None
        if setting not in (0, 1):
            return None
        if setting == 1 and number == MICROPHONE:
            self._openings += 1
            refused = self.behaviour.openings_refused
            if refused and self._openings % refused == 0:
                return None
            if not self.behaviour.mute_survives_reopen:
                self.mixer.unmute()
        self._settings[number] = setting
        self.saw("setting", (number, setting))
        self._restart(_ENDPOINTS[number])
        self.stream_ended(_ENDPOINTS[number])
        return b""

    def _class_request(self, to: int, request: int, value: int, index: int, data: bytes) -> bytes | None:
        if to & 0x1F == _TO_ENDPOINT:
            return self._endpoint_request(request, value >> 8, index & 0xFF, data)
        if index & 0xFF == HID:
            return self._hid_request(to, request, value, data)
        control = (index >> 8, value >> 8, value & 0xFF)
        if to & _FROM_DEVICE:
            return self.mixer.get(request, control)
        if request != SET_CUR or not self.mixer.set(control, data):
            return None
        self.saw("mixer", self.mixer.levels())
        return b""

    def _endpoint_request(self, request: int, selector: int, endpoint: int, data: bytes) -> bytes | None:
        """The sampling frequency (UAC1, 5.2.3.2.3.1)."""
        if endpoint not in self._rates or selector != 1:
            return None
        if request == GET_CUR:
            return self._rates[endpoint].to_bytes(3, "little")
        rate = int.from_bytes(data, "little")
        if request != SET_CUR or len(data) != 3 or rate not in RATES:
            return None
        self._rates[endpoint] = rate
        self.saw("rate", (endpoint, rate))
        self._restart(endpoint)
        return b""

    def _hid_request(self, to: int, request: int, value: int, data: bytes) -> bytes | None:
        """HID 1.11, 7.2: GET_REPORT, SET_REPORT, SET_IDLE."""
        if request == 1 and to & _FROM_DEVICE:
            return self.keys.current(value & 0xFF)
        if request == 9:
            return b"" if self.light(data) else None
        return b"" if request == 10 else None

    # ---- streams and reports ---------------------------------------------------------------------------------------

    def play(self, frame: int, packet: bytes) -> None:
        """One packet of sound for the ears, in bus frame ``frame``."""
        samples = array("h", packet[: len(packet) & ~3])
        if sys.byteorder == "big":
            samples.byteswap()
        left, right = samples[0::2], samples[1::2]
        if not self.behaviour.channels_right:
            left, right = right, left
        one, other = (self.mixer.ear_gain(channel, self.behaviour) for channel in (0, 1))
        self._ear.play(frame, _scaled(left, one), _scaled(right, other))

    def record(self, frame: int) -> bytes | None:
        """What the microphone gives in bus frame ``frame``; None: the packet is lost on the bus."""
        if lost_on_bus(frame, self.behaviour):
            return None
        if self._mouth is None or not self.behaviour.mic_alive:
            return b""
        samples = self._mouth.frame(frame, self.behaviour, self.acoustics, self.mixer.mic_gain(self.behaviour))
        if sys.byteorder == "big":
            samples.byteswap()
        return samples.tobytes()

    def streams(self, endpoint: int) -> bool:
        """Whether ``endpoint`` is isochronous and its interface is in the setting that carries sound."""
        return any(self._settings[number] == 1 for number, one in _ENDPOINTS.items() if one == endpoint)

    def light(self, report: bytes) -> bool:
        """An output report for the lamps; False if it is none."""
        return self.keys.light(report, self.behaviour)

    def take_report(self) -> bytes | None:
        """The next input report, if one waits."""
        return self.keys.take()

    def press(self, key: str) -> None:
        """A finger presses a key once; without power nothing happens."""
        if self.attached:
            self.keys.press(key, self.behaviour)

    def saw(self, kind: str, value: object) -> None:
        """Note an event with its time, for the bench."""
        self.events.append((self._now(), kind, value))

    def _report_waits(self) -> None:
        self.report_ready()  # whoever serves the device now

    def _restart(self, endpoint: int) -> None:
        if endpoint == SPEAKER_ENDPOINT:
            self._ear.open(self._rates[endpoint])
        elif self._settings[MICROPHONE] == 1:
            extra_s = self.behaviour.latency_step_s if self._openings % 2 == 0 else 0.0
            self._mouth = Mouth(self._ear, self._rates[endpoint], extra_s)
        else:
            self._mouth = None


def _scaled(samples: "array[int]", gain: float) -> "array[int]":
    if gain == 1.0:
        return samples
    return array("h", (max(-32_768, min(32_767, round(one * gain))) for one in samples))


def _nothing() -> None:
    """Nobody listens."""


def _nothing_with(_: int) -> None:
    """Nobody listens."""
