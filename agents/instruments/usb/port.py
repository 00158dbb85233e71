"""The port through which the bench uses a headset as a host does: descriptors, HID reports, controls, sound.

Two implementations: :mod:`agents.instruments.usb.linux_port` by way of the Linux kernel, as any headset is used, and
:mod:`agents.instruments.usb.usbip_port`, which speaks raw USB/IP with the virtual headset and needs no kernel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.measure import LabError

Samples = NDArray[np.int16]
"""16-bit samples; stereo has the shape (n, 2)."""

Signal = NDArray[np.float64]
"""Samples as numbers in LSB of 16 bits."""


class HeadsetGone(LabError):
    """The headset is not on the bus"""

    slug = "headset-gone"


class StreamBroken(LabError):
    """The bench's own host lost or could not carry sound"""

    slug = "stream-broken"


class StreamRefused(Exception):
    """The headset does not take the stream, or the host's drivers do not take the headset: that is the headset's"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawDescriptors:
    """The bytes as the device answers them. ``report`` None: it has no HID; ``strings`` by index; empty: refused.

    ``cleaned``: which of them the kernel may have put right before anybody could see them.
    """

    device: bytes
    configuration: bytes
    strings: dict[int, bytes]
    report: bytes | None
    cleaned: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedReport:
    """One input report as hidraw gives it (its id first where the device uses ids), and when it was read."""

    at_ns: int
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What was recorded while something was played.

    ``sound``: mono, at ``rate`` hertz. ``ahead``: at one instant the position of the recording less that of the
    playing, in samples of ``rate``, as the host reports both: a loop without any delay would find sample p of the
    playing at p + ahead. ``ahead_spread``: how far such reports lay apart (10 to 90 %). ``opened_ns``: when opening
    began; ``arrivals``: pairs of how many samples had been read and when, in ns of CLOCK_BOOTTIME.
    """

    sound: Samples
    rate: int
    ahead: float
    ahead_spread: float
    opened_ns: int
    arrivals: tuple[tuple[int, int], ...]

    def arrived_ns(self, index: int) -> int | None:
        """When the sample at ``index`` had been read; None: never."""
        return next((at_ns for count, at_ns in self.arrivals if count > index), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loudness:
    """What a volume control was set to, to the nearest of its steps, and the range that it declares; in dB."""

    set_db: float
    low_db: float
    high_db: float


class HeadsetPort(Protocol):
    """One attached headset.

    Every method raises HeadsetGone where it is not on the bus. Nothing waits longer than its own limit: each stream
    has a watchdog.
    """

    @property
    def host_sets_mixers(self) -> bool:
        """Whether the host itself sets the controls of a card that appears, so that what a headset kept is not seen."""
        ...

    async def appear(self, timeout_s: float, *, whole: bool = True) -> float | None:
        """Wait until sound and keys of the headset can be used; gives the seconds, None: not within the limit.

        Without ``whole`` one that is on the bus will do, where the host's drivers have had time for it and do not take
        all of it: it can be asked for its descriptors.
        """
        ...

    async def disappear(self, timeout_s: float) -> float | None:
        """Wait until nothing of it is left; gives the seconds, None: not within the limit."""
        ...

    async def descriptors(self) -> RawDescriptors:
        """Ask the device for all its descriptors."""
        ...

    def reports(self) -> Sequence[TimedReport]:
        """Every input report since the last :meth:`forget_reports`, in order."""
        ...

    def forget_reports(self) -> None:
        """Forget the input reports so far."""
        ...

    async def wait_report(self, count: int, timeout_s: float) -> bool:
        """Wait until there are ``count`` input reports; False: not within the limit."""
        ...

    async def write_report(self, report: bytes) -> None:
        """Send one output report."""
        ...

    async def play_and_record(self, sound: Samples, *, play_rate: int, record_rate: int, record_s: float) -> Recording:
        """Play stereo ``sound`` and silence after it while recording for ``record_s``.

        Raises StreamRefused where the headset does not take it, StreamBroken where the bench's host failed.
        """
        ...

    async def set_mute(self, muted: bool) -> bool:
        """Mute the microphone by its control; False: the headset has none."""
        ...

    async def muted(self) -> bool | None:
        """Whether its control says muted; None: the headset has none."""
        ...

    async def set_volume(self, level_db: float) -> Loudness | None:
        """Set the loudness of both ears by its control; None: the headset has none."""
        ...

    async def set_gain(self, level_db: float) -> Loudness | None:
        """Set the gain of the microphone by its control; None: the headset has none."""
        ...

    async def close(self) -> None:
        """Let go of it; may be called more than once."""
        ...
