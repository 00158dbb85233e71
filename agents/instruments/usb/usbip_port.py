"""The headset over raw USB/IP, without a kernel: what a host's drivers do for it, done here and in bus frames.

Only a simulated headset is reached so. Nothing is cleaned by a kernel and no time is lost in a virtual machine, so
it is the fast tier in which the suite is scored; what a real host makes of the headset it does not show.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from agents.instruments.usb.audio import MUTE_CONTROL, USB_STREAMING, VOLUME_CONTROL, Stream, Unit, read_audio
from agents.instruments.usb.port import (
    HeadsetGone,
    Loudness,
    RawDescriptors,
    Recording,
    Samples,
    StreamBroken,
    StreamRefused,
    TimedReport,
)
from agents.instruments.usb.raw import UnreadableDescriptor
from agents.instruments.usb.standard import HID_CLASS, Configuration, InterfaceSetting, read_configuration
from agents.instruments.usb.usbip_wire import Reply, UsbIpLine
from lab_inventory.clock import boottime_ns

REPORTS_MAX = 20_000
LOOK_S = 0.01
WATCHDOG_S = 10.0
"""So much longer than it lasts may a recording take: the bus waits for a busy machine."""

_FRAMES = 8
"""In one transfer, as Linux queues them."""

_AHEAD = 6
"""Transfers that wait at once in each direction."""

_SET_CUR, _GET_CUR, _GET_MIN, _GET_MAX = 0x01, 0x81, 0x82, 0x83
_DB = 256
"""Volumes come in 1/256 dB (UAC1, table 5-20)."""


class UsbIpPort:
    """One headset that a USB/IP server offers."""

    def __init__(self, address: tuple[str, int], busid: str = "1-1") -> None:
        self._address = address
        self._busid = busid
        self._line: UsbIpLine | None = None
        self._polling: asyncio.Task[None] | None = None
        self._reports: deque[TimedReport] = deque(maxlen=REPORTS_MAX)
        self._came = asyncio.Event()
        self._raw: RawDescriptors | None = None
        self._configuration: Configuration | None = None

    @property
    def host_sets_mixers(self) -> bool:
        """False: there is no host but this one."""
        return False

    async def appear(self, timeout_s: float, *, whole: bool = True) -> float | None:
        """As the port says: take the device as soon as it is offered, and enumerate it."""
        began_ns = boottime_ns()
        while (boottime_ns() - began_ns) / 1e9 < timeout_s:
            if self._line is not None and not self._line.ended.is_set():
                return (boottime_ns() - began_ns) / 1e9
            line = await UsbIpLine.take(self._address, self._busid)
            if line is not None:
                await self._let_go()
                self._line = line
                with suppress(HeadsetGone):
                    await self._enumerate(line)
                    return (boottime_ns() - began_ns) / 1e9
            await asyncio.sleep(LOOK_S)
        return None

    async def disappear(self, timeout_s: float) -> float | None:
        """As the port says."""
        began_ns = boottime_ns()
        if self._line is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._line.ended.wait()
            except TimeoutError:
                return None
        return (boottime_ns() - began_ns) / 1e9

    async def descriptors(self) -> RawDescriptors:
        """As the port says."""
        line = self._here()
        device = await _descriptor(line, 1, length=18)
        head = await _descriptor(line, 2, length=9)
        total = int.from_bytes(head[2:4], "little")
        configuration = await _descriptor(line, 2, length=total)
        numbers = sorted({device[at] for at in (14, 15, 16) if len(device) == 18 and device[at]})
        strings = {one: await _descriptor(line, 3, one, length=255) for one in (0, *numbers)}
        hid = _hid(configuration)
        report = None
        if hid is not None:
            report = await _descriptor(line, 0x22, interface=hid.number, length=4096) or None
        return RawDescriptors(device=device, configuration=configuration, strings=strings, report=report)

    def reports(self) -> Sequence[TimedReport]:
        """As the port says."""
        return tuple(self._reports)

    def forget_reports(self) -> None:
        """As the port says."""
        self._here()
        self._reports.clear()

    async def wait_report(self, count: int, timeout_s: float) -> bool:
        """As the port says."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._reports) < count:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return False
        return True

    async def write_report(self, report: bytes) -> None:
        """As the port says, by SET_REPORT (HID 1.11, 7.2.2)."""
        hid = _hid(self._known().configuration)
        number = report[0] if report else 0
        if hid is not None:
            await self._here().control(0x21, 9, 0x0200 | number, hid.number, data=report)

    async def play_and_record(self, sound: Samples, *, play_rate: int, record_rate: int, record_s: float) -> Recording:
        """As the port says."""
        opened_ns = boottime_ns()
        line = self._here()
        ear, mouth = self._stream(is_in=False, rate=play_rate), self._stream(is_in=True, rate=record_rate)
        try:
            for stream, rate in ((ear, play_rate), (mouth, record_rate)):
                await _open(line, stream, rate)
            async with asyncio.timeout(record_s + WATCHDOG_S):
                return await _carry(line, (ear, play_rate), (mouth, record_rate), sound, record_s, opened_ns)
        except TimeoutError:
            raise StreamBroken(f"the streams did not end within {record_s + WATCHDOG_S:g} s") from None
        finally:
            with suppress(HeadsetGone):
                for stream in (mouth, ear):
                    await line.control(0x01, 11, 0, stream.interface)

    def _stream(self, *, is_in: bool, rate: int) -> Stream:
        """The setting that carries 16-bit sound in this direction at this rate."""
        for one in read_audio(self._known().parsed).found.streams:
            declared = rate in one.rates or (one.rate_range and one.rate_range[0] <= rate <= one.rate_range[1])
            if one.endpoint.is_in is is_in and one.bits == 16 and declared:
                return one
        raise StreamRefused(f"no setting {'records' if is_in else 'plays'} 16 bits at {rate} Hz")

    async def set_mute(self, muted: bool) -> bool:
        """As the port says."""
        unit = self._unit(to_host=True, control=MUTE_CONTROL)
        if unit is not None:
            await self._set(unit, MUTE_CONTROL, bytes((muted,)))
        return unit is not None

    async def muted(self) -> bool | None:
        """As the port says."""
        unit = self._unit(to_host=True, control=MUTE_CONTROL)
        if unit is None:
            return None
        channel = _channels(unit, MUTE_CONTROL)[0]
        reply = await self._here().control(0xA1, _GET_CUR, MUTE_CONTROL << 8 | channel, self._index(unit), length=1)
        return any(reply.data)

    async def set_volume(self, level_db: float) -> Loudness | None:
        """As the port says."""
        return await self._loudness(self._unit(to_host=False, control=VOLUME_CONTROL), level_db)

    async def set_gain(self, level_db: float) -> Loudness | None:
        """As the port says."""
        return await self._loudness(self._unit(to_host=True, control=VOLUME_CONTROL), level_db)

    async def close(self) -> None:
        """As the port says."""
        await self._let_go()

    # ---- inside ----------------------------------------------------------------------------------------------------

    async def _loudness(self, unit: Unit | None, level_db: float) -> Loudness | None:
        if unit is None:
            return None
        await self._set(unit, VOLUME_CONTROL, struct.pack("<h", round(level_db * _DB)))
        ends = []
        for request in (_GET_CUR, _GET_MIN, _GET_MAX):
            value = VOLUME_CONTROL << 8 | _channels(unit, VOLUME_CONTROL)[0]
            reply = await self._here().control(0xA1, request, value, self._index(unit), length=2)
            ends.append(int.from_bytes(reply.data, "little", signed=True) / _DB)
        return Loudness(set_db=ends[0], low_db=ends[1], high_db=ends[2])

    async def _set(self, unit: Unit, control: int, value: bytes) -> None:
        for channel in _channels(unit, control):
            await self._here().control(0x21, _SET_CUR, control << 8 | channel, self._index(unit), data=value)

    def _unit(self, *, to_host: bool, control: int) -> Unit | None:
        """The feature unit on the way from the mouth (``to_host``) or to the ears that has this control."""
        audio = read_audio(self._known().parsed).found
        from_usb = {one.number for one in audio.terminals if one.source is None and one.terminal_type == USB_STREAMING}
        for unit in audio.units:
            if unit.has(control) and bool(set(unit.sources) & from_usb) is not to_host:
                return unit
        return None

    def _index(self, unit: Unit) -> int:
        control = next((one.number for one in self._known().parsed.settings if one.interface_subclass == 1), 0)
        return unit.number << 8 | control

    def _known(self) -> "_Known":
        self._here()
        if self._raw is None or self._configuration is None:
            raise StreamRefused("the headset has no configuration that can be read")
        return _Known(self._raw.configuration, self._configuration)

    def _here(self) -> UsbIpLine:
        if self._line is None or self._line.ended.is_set():
            raise HeadsetGone("the headset is not on the bus")
        return self._line

    async def _enumerate(self, line: UsbIpLine) -> None:
        self._raw = await self.descriptors()
        try:
            self._configuration = read_configuration(self._raw.configuration).found
        except UnreadableDescriptor:
            self._configuration = None
        await line.control(0x00, 9, 1, 0)
        hid = _hid(self._raw.configuration)
        ends = [one for one in hid.endpoints if one.is_in] if hid is not None else []
        if ends:
            self._polling = asyncio.create_task(self._poll(line, ends[0].address, ends[0].packet_bytes_max))

    async def _poll(self, line: UsbIpLine, endpoint: int, length: int) -> None:
        with suppress(HeadsetGone):
            while True:
                reply = await line.submit(endpoint, length=length)
                if reply.status == 0:
                    self._reports.append(TimedReport(at_ns=boottime_ns(), data=reply.data))
                    self._came.set()

    async def _let_go(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            self._polling = None
        if self._line is not None:
            await self._line.close()
            self._line = None


class _Known:
    """The configuration as bytes and as it was read."""

    def __init__(self, configuration: bytes, parsed: Configuration) -> None:
        self.configuration = configuration
        self.parsed = parsed


def _channels(unit: Unit, control: int) -> tuple[int, ...]:
    """The channels that have a control; the master alone where it has it (UAC1, 4.3.2.5)."""
    having = tuple(at for at, bits in enumerate(unit.controls) if bits >> control - 1 & 1)
    return (0,) if 0 in having else having


def _hid(configuration: bytes) -> InterfaceSetting | None:
    try:
        settings = read_configuration(configuration).found.settings
    except UnreadableDescriptor:
        return None
    return next((one for one in settings if one.interface_class == HID_CLASS), None)


async def _descriptor(line: UsbIpLine, kind: int, index: int = 0, *, interface: int = 0, length: int) -> bytes:
    """One descriptor; empty where the device refuses it."""
    to = 0x81 if kind == 0x22 else 0x80
    language = 0x0409 if kind == 3 and index else interface
    return (await line.control(to, 6, kind << 8 | index, language, length=length)).data


async def _open(line: UsbIpLine, stream: Stream, rate: int) -> None:
    """Set the setting and the rate (USB 2.0, 9.4.10; UAC1, 5.2.3.2.3.1)."""
    opened = await line.control(0x01, 11, stream.alternate, stream.interface)
    if opened.status:
        raise StreamRefused(f"interface {stream.interface} does not take setting {stream.alternate}")
    if stream.sets_rate:
        address = stream.endpoint.address
        answer = await line.control(0x22, _SET_CUR, 0x0100, address, data=rate.to_bytes(3, "little"))
        if answer.status:
            raise StreamRefused(f"endpoint 0x{address:02x} does not take {rate} Hz")


async def _carry(
    line: UsbIpLine, ear: tuple[Stream, int], mouth: tuple[Stream, int], sound: Samples, record_s: float, opened_ns: int
) -> Recording:
    """Keep transfers queued in both directions until everything is recorded."""
    (out, play_rate), (into, record_rate) = ear, mouth
    frames = -(-round(record_s * 1000) // _FRAMES) * _FRAMES
    per_frame = play_rate // 1000
    padded = np.zeros((frames * per_frame, 2), np.int16)
    padded[: min(len(sound), len(padded))] = sound[: len(padded)]
    raw, size = padded.astype("<i2").tobytes(), 4 * per_frame
    plays: deque[asyncio.Future[Reply]] = deque()
    records: deque[asyncio.Future[Reply]] = deque()
    heard: list[bytes] = []
    arrivals: list[tuple[int, int]] = []
    first_play = first_record = None
    count = 0

    def queue(at: int) -> None:
        if at < frames:
            begin = at * size
            plays.append(line.submit(out.endpoint.address, data=raw[begin : begin + _FRAMES * size],
                                     packets=[size] * _FRAMES))  # fmt: skip
            room = into.endpoint.packet_bytes_max
            records.append(line.submit(into.endpoint.address, length=room * _FRAMES, packets=[room] * _FRAMES))

    for at in range(0, _AHEAD * _FRAMES, _FRAMES):
        queue(at)
    for at in range(0, frames, _FRAMES):
        queue(at + _AHEAD * _FRAMES)
        recorded, played = await records.popleft(), await plays.popleft()
        if recorded.status or played.status:
            raise StreamRefused(f"transfers ended with {recorded.status} and {played.status}")
        first_record = recorded.frame if first_record is None else first_record
        first_play = played.frame if first_play is None else first_play
        heard += [packet for packet in recorded.packets if packet]  # Linux skips what was lost, and so does this
        count += sum(len(packet) // 2 for packet in recorded.packets if packet) // into.channels
        arrivals.append((count, boottime_ns()))
    samples = np.frombuffer(b"".join(heard), "<i2")[:: into.channels].astype(np.int16)
    ahead = ((first_play or 0) - (first_record or 0)) * record_rate / 1000
    return Recording(
        sound=samples, rate=record_rate, ahead=ahead, ahead_spread=0.0, opened_ns=opened_ns, arrivals=tuple(arrivals)
    )
