"""The defects of the virtual headset: each changes one point, nothing at size 0, and what it shows on the wire."""

import asyncio
from array import array
from dataclasses import asdict
from itertools import pairwise
from math import log10, sqrt

import pytest

from agents.simulated.headset.behaviour import HEALTHY
from agents.simulated.headset.defects import DEFECTS, SIZE_MAX, behaviour_with
from agents.simulated.headset.ear import Ear
from agents.simulated.headset.mixer import MIC_MUTE, MIC_VOLUME, SPEAKER_LEFT, Mixer
from agents.simulated.headset.mouth import Acoustics, Mouth, lost_on_bus
from agents.simulated.headset.program import Addresses, VirtualHeadset
from lab_inventory.errors import BadInput
from tests.agents.simulated.headset.usbip_host import WAIT_S, Host, attach

MICROPHONE = 2
TALKER = Acoustics(left_gain=0, talker_hz=1000, talker_peak=10_000)


def changes(slug: str, size: float) -> dict[str, object]:
    healthy = asdict(HEALTHY)
    return {name: value for name, value in asdict(behaviour_with({slug: size})).items() if value != healthy[name]}


def heard(sizes: dict[str, float], frames: int = 200, acoustics: Acoustics = TALKER, gain: float = 1.0) -> array:
    """What a microphone gives alone, without a transport."""
    behaviour, mouth = behaviour_with(sizes), Mouth(Ear(), 48_000, 0.0)
    sound = array("h")
    for frame in range(frames):
        if not lost_on_bus(frame, behaviour):
            sound.extend(mouth.frame(frame, behaviour, acoustics, gain))
    return sound


def level_db(sound: array) -> float:
    return 10 * log10(sum(one * one for one in sound) / len(sound) + 1e-9)


def test_there_are_more_than_forty_and_each_says_what_is_wrong() -> None:
    assert len(DEFECTS) > 40
    assert all(one.wrong and (one.unit is None or one.usual > 0) for one in DEFECTS.values())


@pytest.mark.parametrize("slug", sorted(DEFECTS))
def test_a_defect_changes_exactly_one_point(slug: str) -> None:
    assert len(changes(slug, DEFECTS[slug].usual)) == 1


@pytest.mark.parametrize("slug", sorted(slug for slug, one in DEFECTS.items() if one.unit))
def test_nothing_is_wrong_at_size_0(slug: str) -> None:
    assert changes(slug, 0) == {}


def test_no_two_defects_are_one() -> None:
    assert len({str(changes(slug, DEFECTS[slug].usual)) for slug in DEFECTS}) == len(DEFECTS)


@pytest.mark.parametrize("sizes", [{"no-such": 1}, {"echo": -1}, {"echo": float("nan")}, {"echo": SIZE_MAX * 2}])
def test_an_unknown_defect_or_a_bad_size_is_refused(sizes: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        behaviour_with(sizes)


def test_a_quiet_microphone_is_quieter_by_its_size() -> None:
    assert level_db(heard({})) - level_db(heard({"mic-quiet": 12})) == pytest.approx(12, abs=0.05)


def test_a_fast_microphone_gives_more_samples_by_its_size() -> None:
    assert len(heard({}, frames=1000)) == 48_000
    assert len(heard({"rate-drift": 2000}, frames=1000)) == 48_096


def test_lost_samples_leave_jumps_and_the_count_of_samples_as_it_is() -> None:
    ramp = Acoustics(left_gain=0, talker_hz=1, talker_peak=30_000)
    sound = heard({"samples-lost": 10}, frames=1000, acoustics=ramp)
    steps = [abs(b - a) for a, b in pairwise(sound[:6000])]
    assert len(sound) == 48_000
    assert sum(step >= 6 for step in steps) == 1


def test_lost_packets_leave_fewer_samples() -> None:
    assert len(heard({"packets-lost": 10}, frames=1000)) == 48_000 - 10 * 48


def test_noise_has_the_level_of_its_size() -> None:
    quiet = Acoustics(left_gain=0)
    sound = heard({"noise": 300}, frames=500, acoustics=quiet)
    assert level_db(sound) == pytest.approx(20 * log10(300 / sqrt(3)), abs=0.2)
    assert not any(heard({}, acoustics=quiet))


def test_hum_and_offset_are_as_large_as_their_size() -> None:
    quiet = Acoustics(left_gain=0)
    hum = heard({"hum": 100}, acoustics=quiet)
    assert (max(hum), min(hum)) == (100, -100)
    assert set(heard({"offset": 200}, acoustics=quiet)) == {200}


def test_lost_treble_takes_from_high_tones_and_not_from_low_ones() -> None:
    low = Acoustics(left_gain=0, talker_hz=100, talker_peak=10_000)
    high = Acoustics(left_gain=0, talker_hz=20_000, talker_peak=10_000)
    lost = [
        level_db(heard({}, acoustics=one)) - level_db(heard({"treble-lost": 80}, acoustics=one)) for one in (low, high)
    ]
    assert lost[0] < 0.1 and lost[1] > 6


def test_distortion_makes_a_third_harmonic_of_its_size() -> None:
    full = Acoustics(left_gain=0, talker_hz=1000, talker_peak=32_767)
    straight, bent = heard({}, acoustics=full), heard({"distortion": 20}, acoustics=full)
    assert max(abs(a - b) for a, b in zip(straight, bent, strict=True)) == pytest.approx(0.2 * 32_768, rel=0.01)


def test_an_echo_comes_back_after_12_ms_with_its_share() -> None:
    ear, behaviour = Ear(), behaviour_with({"echo": 3})
    mouth, silent = Mouth(ear, 48_000, 0.0), Acoustics(left_gain=0)
    ear.open(48_000)
    click = array("h", [10_000] + [0] * 47)
    for frame in range(20):
        ear.play(frame, click if frame == 0 else array("h", bytes(96)), array("h", bytes(96)))
    sound = array("h")
    for frame in range(20):
        sound.extend(mouth.frame(frame, behaviour, silent, 1.0))
    assert {at: one for at, one in enumerate(sound) if one} == {12 * 48: 300}


def test_mute_is_silent_unless_it_leaks_by_its_size_or_is_ignored() -> None:
    mixer = Mixer()
    assert mixer.set(MIC_MUTE, b"\1")
    assert mixer.mic_gain(HEALTHY) == 0
    assert mixer.mic_gain(behaviour_with({"mute-leaks": 1})) == pytest.approx(0.01)
    assert mixer.mic_gain(behaviour_with({"mute-ignored": 1})) == 1


def test_volume_follows_its_steps_unless_they_are_wrong_or_ignored() -> None:
    mixer = Mixer()
    assert mixer.set(SPEAKER_LEFT, (-20 * 256).to_bytes(2, "little", signed=True))
    assert 20 * log10(mixer.ear_gain(0, HEALTHY)) == pytest.approx(-20)
    assert 20 * log10(mixer.ear_gain(0, behaviour_with({"volume-steps-wrong": 50}))) == pytest.approx(-30)
    assert mixer.ear_gain(0, behaviour_with({"volume-ignored": 1})) == 1
    assert mixer.ear_gain(1, behaviour_with({"right-ear-silent": 1})) == 0


def test_a_volume_outside_its_range_is_held_at_its_end() -> None:
    mixer = Mixer()
    assert mixer.set(MIC_VOLUME, (100 * 256).to_bytes(2, "little", signed=True))
    assert mixer.levels()["mic_db"] == 12
    assert not mixer.set(MIC_VOLUME, b"\1")


async def presses(host: Host, headset: VirtualHeadset, sizes: dict[str, float], key: str, count: int) -> list[bytes]:
    """Every report of one press, and then that of a hook key which works as a full stop."""
    headset.device.behaviour = behaviour_with(sizes)
    headset.device.press(key)
    headset.device.behaviour = HEALTHY
    headset.device.press("hook")
    polls = [host.poll()[1] for _ in range(count + 1)]
    return [(await asyncio.wait_for(one, WAIT_S)).data for one in polls][:-1]


@pytest.mark.parametrize(
    ("slug", "size", "key", "reports"),
    [
        ("hook-stuck", 1, "hook", []),
        ("hook-bounces", 2, "hook", [(1, 1), (1, 0)] * 2 + [(1, 1)]),
        ("hook-as-press", 1, "hook", [(1, 1), (1, 0)]),
        ("mute-key-dead", 1, "mute", []),
        ("mute-key-twice", 1, "mute", [(1, 2), (1, 0)] * 2),
        ("volume-keys-dead", 1, "volume-up", []),
        ("volume-keys-twice", 1, "volume-up", [(2, 1), (2, 0)] * 2),
        ("volume-keys-swapped", 1, "volume-up", [(2, 2), (2, 0)]),
    ],
)
async def test_a_faulty_key_shows_in_the_reports(
    host: Host, headset: VirtualHeadset, slug: str, size: float, key: str, reports: list[tuple[int, int]]
) -> None:
    assert await presses(host, headset, {slug: size}, key, len(reports)) == [bytes(one) for one in reports]


async def test_late_keys_are_late_by_their_size(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"keys-late": 80})
    loop = asyncio.get_running_loop()
    began, (_, poll) = loop.time(), host.poll()
    headset.device.press("hook")
    await asyncio.wait_for(poll, WAIT_S)
    assert loop.time() - began >= 0.079


async def test_spurious_mutes_come_though_nobody_pressed(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"spurious-mute": 1200})
    assert (await asyncio.wait_for(host.poll()[1], WAIT_S)).data == bytes((1, 2))
    assert not any(kind == "pressed" for _, kind, _ in headset.device.events)


@pytest.mark.parametrize("lamp", ["mute", "off-hook", "ring", "hold"])
async def test_a_lamp_that_is_ignored_stays_dark_and_the_others_shine(
    host: Host, headset: VirtualHeadset, lamp: str
) -> None:
    headset.device.behaviour = behaviour_with({f"led-{lamp}-ignored": 1})
    await host.control(0x21, 9, 0x0201, 3, data=bytes((1, 0b1111)))
    assert {name for name, lit in headset.device.keys.lamps.items() if not lit} == {lamp}


async def test_late_lamps_follow_late_by_their_size(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"led-late": 60})
    loop = asyncio.get_running_loop()
    began = loop.time()
    await host.control(0x21, 9, 0x0201, 3, data=bytes((1, 0b100)))
    assert not headset.device.keys.lamps["ring"]
    async with asyncio.timeout(WAIT_S):
        while not headset.device.keys.lamps["ring"]:
            await asyncio.sleep(0.002)
    assert loop.time() - began >= 0.059


async def test_off_hook_is_reported_on_plugging_only_with_the_defect(
    headset: VirtualHeadset, addresses: Addresses
) -> None:
    headset.device.behaviour = behaviour_with({"hook-on-plug": 1})
    host = await until_attached(addresses)
    assert (await asyncio.wait_for(host.poll()[1], WAIT_S)).data == bytes((1, 1))
    await host.disconnect()


@pytest.mark.parametrize(
    ("slug", "serial"), [(None, "VH0001"), ("serial-shared", "0123456789"), ("serial-missing", None)]
)
async def test_the_serial_number_is_its_own_or_shared_or_missing(
    host: Host, headset: VirtualHeadset, slug: str | None, serial: str | None
) -> None:
    headset.device.behaviour = behaviour_with({slug: 1} if slug else {})
    index = (await host.descriptor(1))[16]
    assert bool(index) == (serial is not None)
    if serial is not None:
        assert (await host.descriptor(3, index))[2:].decode("utf-16-le") == serial


async def test_mute_is_lost_on_reopening_only_with_the_defect(host: Host, headset: VirtualHeadset) -> None:
    await host.control(0x21, 1, 0x0100, 0x0500, data=b"\1")
    await host.open(MICROPHONE, 0x82)
    assert (await host.control(0xA1, 0x81, 0x0100, 0x0500, length=1)).data == b"\1"
    await host.close_stream(MICROPHONE)
    headset.device.behaviour = behaviour_with({"mute-lost-on-reopen": 1})
    await host.open(MICROPHONE, 0x82)
    assert (await host.control(0xA1, 0x81, 0x0100, 0x0500, length=1)).data == b"\0"


async def test_every_third_opening_is_refused_with_the_defect(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"opening-refused": 1})
    statuses = [(await host.control(0x01, 11, 1, MICROPHONE)).status for _ in range(6)]
    assert statuses == [0, 0, -32, 0, 0, -32]


async def test_a_ghost_is_there_and_gives_empty_packets(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"ghost": 1})
    await host.open(MICROPHONE, 0x82)
    reply = await asyncio.wait_for(host.record(5), WAIT_S)
    assert [one[2:] for one in reply.packets] == [(0, 0)] * 5


async def test_a_headset_that_hangs_answers_nothing_and_lets_the_host_give_up(
    host: Host, headset: VirtualHeadset
) -> None:
    headset.device.behaviour = behaviour_with({"hangs": 1})
    number, answer = host.submit(0, 1, length=2, setup=bytes((0x80, 0, 0, 0, 0, 0, 2, 0)))
    assert await asyncio.wait_for(host.unlink(number), WAIT_S) == -104
    assert not answer.done()
    headset.device.behaviour = behaviour_with({})
    assert (await host.control(0x80, 0, 0, 0, length=2)).status == 0


async def test_a_lost_packet_has_its_status_and_no_data(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"packets-lost": 250})
    await host.open(MICROPHONE, 0x82)
    reply = await asyncio.wait_for(host.record(8), WAIT_S)
    assert [one[3] for one in reply.packets].count(-84) == 2
    assert len(reply.data) == 6 * 96 and reply.head[9] == 2


async def test_a_rate_that_is_ignored_shows_in_the_packets(host: Host, headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"rate-ignored": 1})
    await host.open(MICROPHONE, 0x82, 16_000)
    reply = await asyncio.wait_for(host.record(4), WAIT_S)
    assert [one[2] for one in reply.packets] == [96] * 4


async def test_state_is_lost_on_replug_only_with_the_defect(
    host: Host, headset: VirtualHeadset, addresses: Addresses
) -> None:
    headset.device.behaviour = behaviour_with({"state-lost-on-replug": 1})
    await host.control(0x21, 1, 0x0100, 0x0500, data=b"\1")
    headset.device.unplug()
    await asyncio.wait_for(host.ended.wait(), WAIT_S)
    headset.device.plug()
    again = await until_attached(addresses)
    assert (await again.control(0xA1, 0x81, 0x0100, 0x0500, length=1)).data == b"\0"
    await again.disconnect()


async def test_a_headset_that_drops_off_the_bus_comes_back(
    host: Host, headset: VirtualHeadset, addresses: Addresses
) -> None:
    headset.device.behaviour = behaviour_with({"drops-off-bus": 1200})
    await asyncio.wait_for(host.ended.wait(), WAIT_S)
    headset.device.behaviour = HEALTHY
    await (await until_attached(addresses)).disconnect()


async def test_every_third_plug_does_not_bring_the_headset_with_the_defect(headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"plug-skipped": 1})
    seen = []
    for _ in range(6):
        headset.device.plug()
        seen.append(headset.device.on_bus)
        headset.device.unplug()
    assert seen == [True, True, False, True, True, False]


async def test_a_slow_plug_that_is_pulled_before_it_arrived_stays_away(headset: VirtualHeadset) -> None:
    headset.device.behaviour = behaviour_with({"plug-slow": 30})
    headset.device.plug()
    headset.device.unplug()
    headset.device.plug()
    async with asyncio.timeout(WAIT_S):
        while not headset.device.on_bus:
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.05)
    assert [kind for _, kind, _ in headset.device.events] == ["plugged"]


async def until_attached(addresses: Addresses) -> Host:
    async with asyncio.timeout(WAIT_S):
        while True:
            status, _, host = await attach(addresses.usbip)
            if status == 0:
                return host
            await asyncio.sleep(0.005)
