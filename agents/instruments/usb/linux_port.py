"""The headset as Linux has it: usbfs, hidraw, ALSA. What a test host of the lab uses, real headset or virtual.

``path`` chooses the device where several are attached: the port as udev's ID_PATH names it, or one below it on a hub;
empty: the only one that is attached.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from agents.instruments.usb import alsa
from agents.instruments.usb.hidraw import HidRaw
from agents.instruments.usb.port import (
    HeadsetGone,
    Loudness,
    RawDescriptors,
    Recording,
    Samples,
    StreamRefused,
    TimedReport,
)
from agents.instruments.usb.usbfs import UsbUnit, audio_units, read_descriptors
from agents.measure import LabError
from lab_inventory.clock import boottime_ns

LOOK_S = 0.01
DRIVERS_S = 4.0
"""So long the drivers have for a device that is on the bus; what they have not taken then they refuse."""

PROGRAM_S = 10.0
RULES = ("/usr/lib/udev/rules.d", "/etc/udev/rules.d")
_RESTORE = "90-alsa-restore.rules"
_ENDS = re.compile(r"min=(-?\d+),max=(-?\d+)")
_EVENLY = re.compile(r"dBminmax(?:mute)?-min=(-?[\d.]+)dB,max=(-?[\d.]+)dB")
_BY_STEPS = re.compile(r"dBscale-min=(-?[\d.]+)dB,step=([\d.]+)dB")
_CONTROL = re.compile(r"numid=(\d+),iface=MIXER,name='([^']*)'\n((?:  .*\n)*)")


class LinuxPort:
    """One headset of this machine."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._hid = HidRaw()
        self._unit: UsbUnit | None = None
        self._partly: UsbUnit | None = None
        self._controls: tuple[str, list[tuple[str, str, str]]] = ("", [])

    @property
    def host_sets_mixers(self) -> bool:
        """As the port says: by alsactl, unless its rule for udev is masked."""
        own, masked = (Path(folder) / _RESTORE for folder in RULES)
        return own.exists() and not masked.is_symlink()

    async def appear(self, timeout_s: float, *, whole: bool = True) -> float | None:
        """As the port says; the sound card with its streams and hidraw must be there."""
        began_ns = boottime_ns()
        seen_ns: int | None = None
        while (boottime_ns() - began_ns) / 1e9 < timeout_s:
            unit = self._look()
            if unit is None:
                seen_ns = None
            elif (unit.card is not None and unit.hidraw is not None and _opened(self._hid, unit)) or (
                not whole and unit == self._partly
            ):
                return self._have(unit, began_ns)
            elif seen_ns is None:
                seen_ns = boottime_ns()
            elif not whole and (boottime_ns() - seen_ns) / 1e9 > DRIVERS_S:
                self._partly = unit
                return self._have(unit, began_ns)
            await asyncio.sleep(LOOK_S)
        return None

    def _have(self, unit: UsbUnit, began_ns: int) -> float:
        if unit != self._unit:
            self._controls = ("", [])
        self._unit = unit
        return (boottime_ns() - began_ns) / 1e9

    async def disappear(self, timeout_s: float) -> float | None:
        """As the port says."""
        began_ns = boottime_ns()
        while (boottime_ns() - began_ns) / 1e9 < timeout_s:
            if self._look() is None:
                self._hid.close()
                self._unit = self._partly = None
                return (boottime_ns() - began_ns) / 1e9
            await asyncio.sleep(LOOK_S)
        return None

    def _look(self) -> UsbUnit | None:
        units = audio_units()
        if self._path:
            units = tuple(one for one in units if one.path == self._path or one.path.startswith(f"{self._path}."))
        if len(units) > 1:
            places = ", ".join(one.place for one in units)
            raise LabError(f"several audio devices are attached ({places}) and nothing tells which is meant")
        return units[0] if units else None

    def unit(self) -> UsbUnit:
        """The device as it is; raises HeadsetGone where it is not there.

        While its hidraw node is open the kernel would say that it leaves, and it need not be looked for again.
        """
        if self._unit is not None and self._unit.card is not None and self._hid.is_open:
            return self._unit
        unit = self._look()
        if unit is None:
            raise HeadsetGone("no USB audio device of the slot is attached")
        if not self._hid.is_open and unit.hidraw is not None:
            self._hid.open(unit.hidraw)
        self._unit = unit
        return unit

    async def descriptors(self) -> RawDescriptors:
        """As the port says."""
        return await asyncio.to_thread(read_descriptors, self.unit())

    def reports(self) -> Sequence[TimedReport]:
        """As the port says."""
        return self._hid.reports()

    def forget_reports(self) -> None:
        """As the port says."""
        self.unit()
        self._hid.forget()

    async def wait_report(self, count: int, timeout_s: float) -> bool:
        """As the port says."""
        return await self._hid.wait(count, timeout_s)

    async def write_report(self, report: bytes) -> None:
        """As the port says."""
        if self.unit().hidraw is None:
            raise StreamRefused("the host's drivers made no hidraw of it")
        self._hid.write(report)

    async def play_and_record(self, sound: Samples, *, play_rate: int, record_rate: int, record_s: float) -> Recording:
        """As the port says."""
        card = self._card()

        def carry_out() -> Recording:
            return alsa.play_and_record(card, sound, play_rate=play_rate, record_rate=record_rate, record_s=record_s)

        return await asyncio.to_thread(carry_out)

    async def set_mute(self, muted: bool) -> bool:
        """As the port says."""
        found = await self._control(_is_capture_switch)
        if found is not None:
            await self._set(found[0], "off" if muted else "on")
        return found is not None

    async def muted(self) -> bool | None:
        """As the port says."""
        self._controls = ("", [])
        found = await self._control(_is_capture_switch)
        return None if found is None else ": values=off" in found[1]

    async def set_volume(self, level_db: float) -> Loudness | None:
        """As the port says."""
        return await self._loudness(_is_playback_volume, level_db)

    async def set_gain(self, level_db: float) -> Loudness | None:
        """As the port says."""
        return await self._loudness(_is_capture_volume, level_db)

    async def close(self) -> None:
        """As the port says."""
        self._hid.close()

    def _card(self) -> str:
        card = self.unit().card
        if card is None:
            raise StreamRefused("the host's drivers made no sound card of it")
        return card

    async def _loudness(self, wanted: Callable[[str], bool], level_db: float) -> Loudness | None:
        found = await self._control(wanted)
        steps = None if found is None else raw_volume(found[1], level_db)
        if found is None or steps is None:
            return None
        await self._set(found[0], str(steps[0]))
        return steps[1]

    async def _set(self, number: str, value: str) -> None:
        await _run("amixer", "-q", "-c", self._card(), "cset", f"numid={number}", "--", value)

    async def _control(self, wanted: Callable[[str], bool]) -> tuple[str, str] | None:
        """The number of a control and what is told of it; listed once for each time the card came."""
        card = self._card()
        if self._controls[0] != card:
            self._controls = (card, _CONTROL.findall(await _run("amixer", "-c", card, "contents")))
        return next(((number, rest) for number, name, rest in self._controls[1] if wanted(name)), None)


def _opened(hid: HidRaw, unit: UsbUnit) -> bool:
    if not hid.is_open and unit.hidraw is not None:
        try:
            hid.open(unit.hidraw)
        except HeadsetGone:
            return False  # udev has not made its node yet
    return True


def _is_capture_switch(name: str) -> bool:
    return name.endswith("Capture Switch")


def _is_capture_volume(name: str) -> bool:
    return name.endswith("Capture Volume")


def _is_playback_volume(name: str) -> bool:
    return name.endswith("Playback Volume")


def raw_volume(told: str, level_db: float) -> tuple[int, Loudness] | None:
    """The value that sets a control to the nearest step of ``level_db``, by what amixer tells of it; None: it tells no
    decibels. amixer's cset takes no decibels itself, and takes "0dB" for the lowest value.
    """
    ends, evenly, by_steps = _ENDS.search(told), _EVENLY.search(told), _BY_STEPS.search(told)
    if ends is None or (evenly is None and by_steps is None):
        return None
    low, high = int(ends[1]), int(ends[2])
    if evenly is not None:
        low_db, high_db = float(evenly[1]), float(evenly[2])
        step_db = (high_db - low_db) / max(1, high - low)
    elif by_steps is not None:
        low_db, step_db = float(by_steps[1]), float(by_steps[2])
        high_db = low_db + step_db * (high - low)
    if step_db <= 0:
        return None
    raw = max(low, min(high, low + round((level_db - low_db) / step_db)))
    return raw, Loudness(set_db=low_db + step_db * (raw - low), low_db=low_db, high_db=high_db)


async def _run(*program: str) -> str:
    """The output of a program of ALSA's; raises LabError where it fails or does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise LabError(f"{program[0]} cannot be started: {error.strerror}; install alsa-utils") from error
    try:
        async with asyncio.timeout(PROGRAM_S):
            out, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LabError(f"{program[0]} did not end within {PROGRAM_S:g} s") from None
    if process.returncode:
        said = complaint.decode(errors="replace").strip()
        if "No such device" in said or "Invalid card" in said:
            raise HeadsetGone(said)
        raise LabError(f"{' '.join(program)}: {said}")
    return out.decode(errors="replace")
