"""What a procedure works with: the headset as a host has it, the hands at it, the eye on it, and what was found."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from agents.drivers.headset import HeadsetHands
from agents.instruments.loop_follow import Followed, Signal, follow
from agents.instruments.stall import StallMeter
from agents.instruments.usb.bench_eye import Eye, NotOnThisBench
from agents.instruments.usb.headset_rules import Quantity
from agents.instruments.usb.port import (
    HeadsetGone,
    HeadsetPort,
    Recording,
    Samples,
    StreamRefused,
    TimedReport,
)
from agents.instruments.usb.raw import UnreadableDescriptor
from agents.instruments.usb.report_descriptor import ReportDescriptor, read_report_descriptor
from agents.instruments.usb.reports import UnreadableReport, UsageValue, read_input
from agents.measure import LabError, Procedure
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.ics import Answers
from lab_inventory.measurement import Value
from lab_inventory.programme import TestCase

PAD_S = 0.15
"""Silence before a sound: an emulated host may begin to play later than it begins to record."""

TAIL_S = 0.3
"""Recorded after it, so that a headset with a long delay is heard as well."""

APPEARS_S = 12.0
DISAPPEARS_S = 5.0
SETTLE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Found:
    """One value for the recorder."""

    quantity: str
    value: Value | None
    note: str
    uncertainty: float | None
    bench_stall: float | None


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What was played in the left ear and what was heard. ``followed`` None: it was not found again.

    ``began``: where the sound lies in what was played, in samples of the recording's rate; ``stretch_ms``: how long an
    emulated bus clock stood still meanwhile.
    """

    sent: Signal
    heard: Signal
    rate: int
    followed: Followed | None
    recording: Recording
    began: int
    stretch_ms: float

    @property
    def latency_ms(self) -> float | None:
        """From ear to mouth, with the host's own share taken off as the host reports it."""
        if self.followed is None:
            return None
        return (self.followed.lag - self.began - self.recording.ahead) * 1000 / self.rate


@dataclass(kw_only=True)
class HeadsetBench:
    """One slot during one run. ``found`` and ``unmeasured`` are those of the case that is carried out now.

    ``coupled``: whether the bench has a coupler. ``controls_at_rest``: whether mute and loudness are as
    :meth:`to_rest` sets them; whoever turns them says that they are not.
    """

    port: HeadsetPort
    hands: HeadsetHands
    eye: Eye
    meter: StallMeter
    clock: Clock
    ics: Answers
    coupled: bool = True
    controls_at_rest: bool = False
    case: TestCase | None = None
    found: list[Found] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)
    recordings: list[tuple[str, Recording]] = field(default_factory=list)
    _report: ReportDescriptor | None = None

    # ---- what was found --------------------------------------------------------------------------------------------

    def measure(
        self,
        quantity: str,
        value: Value | None,
        note: str = "",
        *,
        uncertainty: float | None = None,
        bench_stall: float | None = None,
    ) -> None:
        """Say what was found of one declared quantity; None where it was looked for in vain, which ``note`` says."""
        self.found.append(
            Found(quantity=quantity, value=value, note=note, uncertainty=uncertainty, bench_stall=bench_stall)
        )

    def take(self, quantities: tuple[Quantity, ...], names: dict[str, str]) -> None:
        """Say what an instrument found, under the programme's names for it; others are left out."""
        for one in quantities:
            if one.quantity in names:
                self.measure(names[one.quantity], one.value, one.note)

    def measure_rest(self, procedure: Procedure, note: str) -> None:
        """Say why nothing was seen of whatever the procedure has not measured yet."""
        known = {found.quantity for found in self.found} | set(self.unmeasured)
        for quantity in procedure.measures:
            if quantity not in known:
                self.measure(quantity, None, note)

    def leave_rest(self, procedure: Procedure, why: str) -> None:
        """Say that this bench cannot measure whatever the procedure has not measured yet."""
        known = {found.quantity for found in self.found} | set(self.unmeasured)
        for quantity in procedure.measures:
            if quantity not in known:
                self.leave_unmeasured(quantity, why)

    def leave_unmeasured(self, quantity: str, why: str) -> None:
        """Say that this bench cannot measure a quantity, and why: it is inconclusive then."""
        self.unmeasured[quantity] = why

    def parameter(self, name: str) -> float:
        """A number the case gives; raises LabError where the programme does not."""
        value = self.case.parameters.get(name) if self.case else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise LabError(f"the test case has no number {name}")
        return float(value)

    def declared_absent(self, feature: str) -> bool:
        """Whether the ICS says that the product lacks a feature."""
        return self.ics.get(feature) is False

    @asynccontextmanager
    async def one_case(self, case: TestCase) -> AsyncIterator[None]:
        """Around a case: nothing of the case before is there, and nothing of this one stays."""
        self.case, self.found, self.unmeasured, self.recordings = case, [], {}, []
        try:
            await self.to_rest()
            yield
        finally:
            self.case = None

    async def to_rest(self) -> None:
        """On the bus, not muted, everything at 0 dB, lamps dark, the coupler at the left ear, nobody talks."""
        if await self.port.appear(APPEARS_S, whole=False) is None:
            await self.hands.unplug()
            await self.port.disappear(DISAPPEARS_S)
            await self.hands.plug()
            if await self.port.appear(APPEARS_S, whole=False) is None:
                raise HeadsetGone("the headset does not come back to the bus between two cases")
        try:
            await self.eye.couple(left=1.0, right=0.0)
        except NotOnThisBench:
            self.coupled = False
        await self.eye.talk(hertz=1000.0, peak=0.0)
        if not self.controls_at_rest:
            with suppress(StreamRefused, HeadsetGone):  # one that leaves the bus by itself is for a case to see
                await self.port.set_mute(False)
                await self.port.set_volume(0.0)
                await self.port.set_gain(0.0)
                self.controls_at_rest = True

    # ---- descriptors and reports -----------------------------------------------------------------------------------

    async def report_descriptor(self) -> ReportDescriptor | None:
        """The HID report descriptor as it was read; None: there is none that can be read."""
        if self._report is None:
            raw = (await self.port.descriptors()).report
            self._report = parsed_report(raw)
        return self._report

    def said(self, descriptor: ReportDescriptor) -> list[tuple[TimedReport, tuple[UsageValue, ...]]]:
        """What every report since the last forgetting says; one that cannot be read says nothing."""
        every = []
        for report in self.port.reports():
            try:
                every.append((report, read_input(descriptor, report.data)))
            except UnreadableReport:
                every.append((report, ()))
        return every

    def lateness_ms(self, since_ns: int, until_ns: int) -> float:
        """The worst lateness of the bench in a window."""
        return self.meter.lateness_ms(since_ns, until_ns)

    # ---- sound -----------------------------------------------------------------------------------------------------

    async def loop(
        self,
        sent: Signal,
        *,
        rate: int = 48_000,
        right: Signal | None = None,
        at_record_rate: Signal | None = None,
        record_rate: int | None = None,
        name: str = "loop",
        tail_s: float = TAIL_S,
    ) -> Loop:
        """Play a sound in the left ear (and another in the right one), record, and find it again.

        ``at_record_rate``: the same sound at the recording's rate, where that is another. Raises StreamRefused.
        """
        heard_at = record_rate or rate
        if not self.coupled:
            raise NotOnThisBench("this bench has no coupler from ear to mouth")
        pad = round(PAD_S * rate)
        sound = np.zeros((pad + len(sent), 2), np.int16)
        sound[pad:, 0] = sent
        if right is not None:
            sound[pad:, 1] = right
        before = await self.eye.stretch_ms()
        recording = await self.record(
            sound, play_rate=rate, record_rate=heard_at, record_s=PAD_S + len(sent) / rate + tail_s, name=name
        )
        after = await self.eye.stretch_ms()
        heard = recording.sound.astype(float)
        looked_for = sent if at_record_rate is None else at_record_rate
        followed = await asyncio.to_thread(follow, looked_for, heard) if len(heard) > len(looked_for) else None
        return Loop(
            sent=looked_for, heard=heard, rate=heard_at, followed=followed, recording=recording,
            began=round(PAD_S * heard_at), stretch_ms=after - before,
        )  # fmt: skip

    async def record(
        self, sound: Samples, *, play_rate: int, record_rate: int, record_s: float, name: str
    ) -> Recording:
        """Play and record, and keep what was heard."""
        recording = await self.port.play_and_record(
            sound, play_rate=play_rate, record_rate=record_rate, record_s=record_s
        )
        self.recordings.append((name, recording))
        return recording

    async def silence(self, seconds: float, *, name: str) -> Signal:
        """What the microphone gives while nothing is played, in LSB."""
        nothing = np.zeros((48, 2), np.int16)
        recording = await self.record(nothing, play_rate=48_000, record_rate=48_000, record_s=seconds, name=name)
        return recording.sound.astype(float)[round(PAD_S * 48_000) :]

    async def replug(self) -> float | None:
        """Pull the plug and put it in again; how long until it can be used, in s, None: it cannot."""
        self.controls_at_rest = False
        await self.hands.unplug()
        if await self.port.disappear(DISAPPEARS_S) is None:
            raise LabError(f"the host still has the headset {DISAPPEARS_S:g} s after it was unplugged")
        began_ns = boottime_ns()
        await self.hands.plug()
        seconds = await self.port.appear(APPEARS_S)
        return None if seconds is None else (boottime_ns() - began_ns) / 1e9


async def or_refused(sound: Awaitable[Loop]) -> Loop | str:
    """The loop, or why the headset refused it."""
    try:
        return await sound
    except StreamRefused as error:
        return str(error)


def parsed_report(raw: bytes | None) -> ReportDescriptor | None:
    """A report descriptor as it was read; None where there is none that can be read."""
    try:
        return read_report_descriptor(raw).found if raw else None
    except UnreadableDescriptor:
        return None
