"""The open suite: identifies the headset, carries out cases, keeps what was heard as evidence."""

import io
import wave
from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from agents.instruments.loop_follow import Signal, follow, noise
from agents.instruments.loop_quality import distortion_db, sine
from agents.instruments.usb.bench_eye import NotOnThisBench
from agents.instruments.usb.naming import Named, described, firmware, serial_identity
from agents.instruments.usb.port import HeadsetPort, Recording, StreamRefused
from agents.instruments.usb.raw import UnreadableDescriptor
from agents.instruments.usb.standard import read_device, read_string
from agents.measure import LabError, Procedure, Recorder
from agents.suites import BenchCheck, Identified
from agents.suites.usb_headset.bench import APPEARS_S, HeadsetBench
from lab_inventory.errors import AssayError
from lab_inventory.measurement import Measurement, Unit
from lab_inventory.messages import Assignment
from lab_inventory.programme import TestCase

CHECK_DB_MAX = -85.0
_EVIDENCE_PER_CASE = 12


class _Told:
    """What the device itself says of who it is."""

    def __init__(self, device_raw: bytes, strings: dict[int, bytes]) -> None:
        device = read_device(device_raw).found
        self.vendor, self.number, self.release = device.vendor, device.product, device.release
        self.maker, self.product, self.serial = (
            _string(strings.get(index, b""))
            for index in (device.manufacturer_index, device.product_index, device.serial_index)
        )


class HeadsetSuite:
    """One run's hold on a slot."""

    def __init__(self, *, bench: HeadsetBench, assignment: Assignment, procedures: Mapping[str, Procedure]) -> None:
        self.procedures = procedures
        self._bench = bench
        self._assignment = assignment
        self._closed = False

    async def check_bench(self) -> BenchCheck:
        """The analysis on sounds of known truth, and the bench port: before the headset is touched."""
        sound = noise(9_600, seed=1)
        found = follow(sound, _behind(sound, 480))
        tone_db = distortion_db(sine(12_000, 48_000, 997.0, 16_384.0), 48_000, 997.0)
        faults = []
        if found is None or round(found.lag) != 480 or found.glitches:
            faults.append("a sound that is 480 samples late is not found there")
        if tone_db > CHECK_DB_MAX:
            faults.append(f"a pure sine has {tone_db:.1f} dB of distortion; expected at most {CHECK_DB_MAX:g} dB")
        await self._bench.eye.stretch_ms()  # raises where the bench port does not answer
        measured = Measurement(
            quantity="analysis_distortion_db", unit=Unit.DECIBEL, value=tone_db,
            instrument=self._assignment.instruments[0].name,
        )  # fmt: skip
        return BenchCheck(passed=not faults, measurements=(measured,), reason="; ".join(faults))

    async def identify_device(self) -> Identified:
        """Wait until the headset can be used, bring it to rest, and let it say who it is."""
        if await self._bench.port.appear(APPEARS_S, whole=False) is None:
            raise LabError(f"no USB headset is in the slot within {APPEARS_S:g} s")
        told = await identity(self._bench.port)
        said, expected = described(told), self._assignment.dut.registration
        if str(expected.identity.kind) == "usb-serial" and expected.identity.value != serial_identity(told):
            why = f"it is {serial_identity(told)}, expected was {expected.identity.value}"
            return Identified(same=False, user_agent=said, reason=why)
        if expected.product.firmware != firmware(told):
            why = f"its firmware is {firmware(told)}, it was {expected.product.firmware}"
            return Identified(same=False, user_agent=said, reason=why)
        return Identified(same=True, user_agent=said, reason="")

    async def carry_out(self, case: TestCase, recorder: Recorder) -> None:
        """One repeat of one case; what was heard in it is kept as evidence, whatever comes of it."""
        bench = self._bench
        recordings: list[tuple[str, Recording]] = []
        try:
            async with bench.one_case(case):
                recordings = bench.recordings
                procedure = self.procedures[case.procedure]
                try:
                    await procedure.carry_out(bench, recorder)
                except StreamRefused as error:
                    bench.measure_rest(procedure, f"it cannot be used so: {error}")
                except NotOnThisBench as error:
                    bench.leave_rest(procedure, error.detail)
        finally:
            kept = recordings[:_EVIDENCE_PER_CASE]
            evidence = [recorder.attach(f"{case.id} {name}.wav", "audio/wav", wav(one)) for name, one in kept]
        for found in bench.found:
            recorder.measure(
                found.quantity,
                found.value,
                uncertainty=found.uncertainty,
                bench_stall=found.bench_stall,
                note=found.note,
                evidence=evidence,
            )
        for quantity, why in bench.unmeasured.items():
            recorder.leave_unmeasured(quantity, why)

    async def close(self) -> None:
        """Leave the headset at rest, and let go of it."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(AssayError):
                await self._bench.to_rest()
        finally:
            await self._bench.port.close()
            await self._bench.hands.close()
            self._bench.eye.close()
            self._bench.meter.stop()


async def identity(port: HeadsetPort) -> Named:
    """Who the device says it is; raises LabError where it has no device descriptor."""
    raw = await port.descriptors()
    try:
        return _Told(raw.device, raw.strings)
    except UnreadableDescriptor as error:
        raise LabError(f"the device does not say who it is: {error.detail}") from error


def wav(recording: Recording) -> bytes:
    """A recording as a WAV file of 16 bits."""
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(recording.rate)
        file.writeframes(recording.sound.astype("<i2").tobytes())
    return into.getvalue()


def _behind(sound: Signal, samples: int) -> Signal:
    return np.concatenate([np.zeros(samples), sound, np.zeros(samples)])


def _string(raw: bytes) -> str:
    try:
        return read_string(raw).found if raw else ""
    except UnreadableDescriptor:
        return ""
