"""The headset suite over raw USB/IP: what it measures of a headset that is healthy and of one that is not."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agents.drivers.headset import BenchPortHands, OperatorHands
from agents.instruments.stall import StallMeter
from agents.instruments.usb.bench_eye import BenchEye, NoEye, NotOnThisBench
from agents.instruments.usb.port import HeadsetGone
from agents.instruments.usb.usbip_port import UsbIpPort
from agents.measure import LabError, Recorder
from agents.score import usb_headset as seeded
from agents.simulated.headset.defects import DEFECTS, behaviour_with
from agents.simulated.headset.program import VirtualHeadset
from agents.suites.usb_headset import PROCEDURES
from agents.suites.usb_headset.bench import HeadsetBench
from lab_inventory.clock import SystemClock
from lab_inventory.programme import TestCase
from tests.ports import free_ports

ANY_PORT = ("127.0.0.1", 0)


@pytest.fixture
async def headset() -> VirtualHeadset:
    return VirtualHeadset("VH0001")


@pytest.fixture
async def bench(headset: VirtualHeadset) -> AsyncIterator[HeadsetBench]:
    addresses = await headset.open(ANY_PORT, ANY_PORT, None)
    control = f"127.0.0.1:{addresses.bench[1]}"
    meter = StallMeter()
    meter.start()
    made = HeadsetBench(
        port=UsbIpPort(addresses.usbip), hands=BenchPortHands(control), eye=BenchEye(control), meter=meter,
        clock=SystemClock(), ics={},
    )  # fmt: skip
    yield made
    await made.port.close()
    await made.hands.close()
    made.eye.close()
    meter.stop()
    await headset.close()


async def measured(bench: HeadsetBench, procedure: str, tmp_path: Path, **parameters: float) -> dict[str, object]:
    case = TestCase(id="TC-X", title="x", procedure=procedure, duration_s=10, parameters=dict(parameters))
    found = PROCEDURES[procedure]
    recorder = Recorder(declared=found.measures, instrument=seeded.INSTRUMENT, folder=tmp_path)
    async with bench.one_case(case):
        await found.carry_out(bench, recorder)
        assert {one.quantity for one in bench.found} == set(found.measures)
        return {one.quantity: one.value for one in bench.found}


async def test_delays_and_rates_are_those_that_were_set(
    bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path
) -> None:
    headset.device.behaviour = behaviour_with({"rate-drift": 700, "latency": 30})
    found = await measured(bench, "latency", tmp_path, openings=1)
    assert found["loop_ms"] == pytest.approx(40, abs=0.5)
    found = await measured(bench, "rates", tmp_path)
    assert found["rate_error_percent"] == pytest.approx(0.07, abs=0.002)


async def test_a_packet_that_is_lost_on_the_bus_is_found_though_nobody_is_told(
    bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path
) -> None:
    headset.device.behaviour = behaviour_with({"packets-lost": 4})
    found = await measured(bench, "loop-sound", tmp_path, sound_s=1)
    assert found["lost_samples"] in {3 * 48, 4 * 48, 5 * 48}
    assert found["lost_samples"] == 48 * int(str(found["glitches"]))


async def test_an_echo_has_the_size_that_was_set(bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path) -> None:
    headset.device.behaviour = behaviour_with({"echo": 1})
    assert (await measured(bench, "echo", tmp_path))["echo_loss_db"] == pytest.approx(40, abs=0.5)


async def test_bouncing_and_falling_hooks_are_told_apart(
    bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path
) -> None:
    for defects, expected in (
        ({}, (True, True)),
        ({"hook-bounces": 2.0}, (False, False)),
        ({"hook-stuck": 1.0}, (False, False)),
    ):
        headset.device.behaviour = behaviour_with(defects)
        found = await measured(bench, "hook-and-mute-keys", tmp_path, presses=2)
        assert (found["hook_one_report_a_press"], found["hook_stays"]) == expected, defects
        assert (found["hook_ms"] is None) is ("hook-stuck" in defects)


async def test_five_hundred_random_steps_leave_both_sides_agreed(
    bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path
) -> None:
    assert await measured(bench, "state-agreement", tmp_path, steps=500) == {"disagreements": 0}
    headset.device.behaviour = behaviour_with({"mute-key-twice": 1, "hook-as-press": 1})
    assert int(str((await measured(bench, "state-agreement", tmp_path, steps=100))["disagreements"])) > 0


async def test_a_headset_that_does_not_come_back_is_the_labs_error_between_two_cases(
    bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.suites.usb_headset.bench.APPEARS_S", 0.1)
    headset.device.behaviour = behaviour_with({"plug-slow": 60_000})
    headset.device.unplug()
    with pytest.raises(HeadsetGone, match="does not come back"):
        await measured(bench, "idle-noise", tmp_path)


async def test_a_bench_port_that_hangs_up_is_the_labs_error(
    bench: HeadsetBench, headset: VirtualHeadset, tmp_path: Path
) -> None:
    await headset._bench.close()
    with pytest.raises(LabError, match="the bench port"):
        await bench.eye.look()


def test_every_defect_of_the_headset_is_scored_or_it_is_said_why_not() -> None:
    assert set(DEFECTS) <= set(seeded.SEEDS) | set(seeded.NOT_SCORED)
    assert set(seeded.SEEDS) <= set(DEFECTS)
    assert not set(seeded.SEEDS) & set(seeded.NOT_SCORED)


def test_both_sizes_of_a_defect_lie_on_both_sides_of_its_limit() -> None:
    programme = seeded.programme()
    sizes = {one: dict(seeded.sizes_of(seed, programme)) for one, seed in seeded.SEEDS.items() if seed.sized}
    assert sizes["latency"] == {0.8: pytest.approx(32), 1.2: pytest.approx(55.2)}
    assert sizes["echo"] == {0.8: pytest.approx(0.142, abs=0.001), 1.2: pytest.approx(0.226, abs=0.001)}
    assert all(size[0.8] < size[1.2] for size in sizes.values())


def test_every_requirement_of_the_profile_has_a_line_of_the_golden_profile_and_a_defect() -> None:
    programme = seeded.programme()
    wanted = {one.id for one in programme.requirements if "digital" in one.profiles and not one.manual}
    assert all(one.case for one in programme.requirements if "digital" in one.profiles)
    without = wanted - {seed.requirement for seed in seeded.SEEDS.values()}
    assert without == {"UA-FMT-02", "UA-HID-04", "UA-LAT-01", "UA-LAT-02", "UA-LAT-04"}  # found by others as well


async def test_with_a_person_at_the_headset_keys_are_seen_and_what_needs_instruments_stays_unmeasured(
    headset: VirtualHeadset, tmp_path: Path
) -> None:
    addresses = await headset.open(ANY_PORT, ANY_PORT, None)
    (page,) = free_ports(1)
    meter = StallMeter()
    meter.start()
    hands = OperatorHands(f"127.0.0.1:{page}", "The headset", timeout_s=5.0)
    bench = HeadsetBench(
        port=UsbIpPort(addresses.usbip), hands=hands, eye=NoEye(), meter=meter, clock=SystemClock(), ics={}
    )
    person = asyncio.create_task(presses_what_is_asked(headset, page))
    try:
        case = TestCase(id="TC-X", title="x", procedure="k", duration_s=10, parameters={"presses": 2})
        recorder = Recorder(declared={}, instrument=seeded.INSTRUMENT, folder=tmp_path)
        async with bench.one_case(case):
            await PROCEDURES["hook-and-mute-keys"].carry_out(bench, recorder)
            found = {one.quantity: one.value for one in bench.found}
            assert found == {
                "hook_one_report_a_press": True, "hook_stays": True, "mute_one_report_a_press": True,
            }  # fmt: skip
            assert set(bench.unmeasured) == {"hook_ms", "mute_ms"}
            with pytest.raises(NotOnThisBench, match="lamps"):
                await PROCEDURES["lamps"].carry_out(bench, recorder)
            with pytest.raises(NotOnThisBench, match="coupler"):
                await PROCEDURES["rates"].carry_out(bench, recorder)
    finally:
        person.cancel()
        await hands.close()
        await bench.port.close()
        meter.stop()
        await headset.close()


async def presses_what_is_asked(headset: VirtualHeadset, page: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page}") as person:
        while True:
            try:
                text = (await person.get("/")).text
            except httpx.TransportError:
                await asyncio.sleep(0.01)
                continue
            prompt = re.search(r'name="prompt" value="([^"]+)"', text)
            if prompt is None:
                await asyncio.sleep(0.01)
                continue
            headset.device.press("hook" if "key hook" in text else "mute")
            await person.post("/answer", data={"prompt": prompt[1], "said": "done"})
