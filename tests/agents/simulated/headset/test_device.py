"""The headset without a transport: what its acoustics are is known by construction, to the sample."""

import struct
from array import array

import pytest

from agents.simulated.headset.behaviour import HEALTHY
from agents.simulated.headset.defects import behaviour_with
from agents.simulated.headset.device import Headset
from agents.simulated.headset.mouth import Acoustics

SPEAKER, MICROPHONE = 1, 2
SILENT_LEFT, CLICK = 0, 10_000


def headset(sizes: dict[str, float] | None = None, acoustics: Acoustics | None = None) -> Headset:
    one = Headset("VH0001", lambda seconds, what: None if seconds else what(), lambda: 0.0)
    one.behaviour = behaviour_with(sizes or {})
    one.acoustics = acoustics or Acoustics()
    return one


def ask(one: Headset, kind: int, request: int, value: int, index: int, data: bytes = b"") -> bytes | None:
    return one.control(struct.pack("<BBHHH", kind, request, value, index, len(data) or 64), data)


def opened(one: Headset) -> Headset:
    for interface in (SPEAKER, MICROPHONE):
        assert ask(one, 0x01, 11, 1, interface) == b""
    return one


def click(one: Headset, left: int, right: int, frames: int = 400) -> dict[int, int]:
    """Every sample that is not silent after one click in frame 0, by its place."""
    heard = array("h")
    for frame in range(frames):
        first = struct.pack("<hh", left, right) if frame == 0 else bytes(4)
        one.play(frame, first + bytes(47 * 4))
        heard.frombytes(one.record(frame) or b"")
    return {at: value for at, value in enumerate(heard) if value}


def test_a_healthy_headset_takes_ten_milliseconds_and_changes_nothing() -> None:
    assert click(opened(headset()), CLICK, 0) == {480: CLICK}


@pytest.mark.parametrize("added_ms", [0, 24, 36, 150])
def test_latency_is_longer_by_its_size_to_the_sample(added_ms: int) -> None:
    assert click(opened(headset({"latency": added_ms})), CLICK, 0) == {480 + 48 * added_ms: CLICK}


def test_the_coupler_adds_its_own_delay_and_gain() -> None:
    coupled = Acoustics(left_gain=0.5, coupler_delay_s=0.003)
    assert click(opened(headset(acoustics=coupled)), CLICK, 0) == {480 + 144: CLICK // 2}


def test_every_second_opening_is_longer_with_the_defect() -> None:
    one = opened(headset({"latency-varies": 40}))
    assert click(one, CLICK, 0) == {480: CLICK}
    ask(one, 0x01, 11, 0, MICROPHONE)
    assert click(opened(one), CLICK, 0) == {480 + 1920: CLICK}
    ask(one, 0x01, 11, 0, MICROPHONE)
    assert click(opened(one), CLICK, 0) == {480: CLICK}


@pytest.mark.parametrize(
    ("slug", "gains", "expected"),
    [
        (None, (1.0, 0.0), {480: 10_000}),
        (None, (0.0, 1.0), {480: 5_000}),
        ("ears-swapped", (1.0, 0.0), {480: 5_000}),
        ("right-ear-silent", (0.0, 1.0), {}),
        ("right-ear-silent", (1.0, 0.0), {480: 10_000}),
    ],
)
def test_each_ear_is_heard_by_its_own_coupler(
    slug: str | None, gains: tuple[float, float], expected: dict[int, int]
) -> None:
    one = headset({slug: 1} if slug else {}, Acoustics(left_gain=gains[0], right_gain=gains[1]))
    assert click(opened(one), 10_000, 5_000) == expected


def test_a_quiet_ear_is_quieter_by_its_size() -> None:
    assert click(opened(headset({"ear-quiet": 20})), CLICK, 0) == {480: CLICK // 10}


def test_the_echo_stands_beside_the_coupler_at_twelve_milliseconds() -> None:
    assert click(opened(headset({"echo": 3})), CLICK, 0) == {480: CLICK, 576: 300}


def test_sound_that_was_played_long_ago_is_not_heard_again() -> None:
    one = opened(headset())
    assert click(one, CLICK, 0, frames=3_000) == {480: CLICK}


def test_a_gap_between_packets_is_silence_in_its_place() -> None:
    one, heard = opened(headset()), array("h")
    tone = struct.pack("<hh", 100, 100) * 48
    for frame in range(40):
        if not 10 <= frame < 15:
            one.play(frame, tone)
        heard.frombytes(one.record(frame) or b"")
    assert heard == array("h", [0] * 480 + [100] * 480 + [0] * 240 + [100] * (48 * 15))


def test_a_new_stream_does_not_hear_the_one_before() -> None:
    one = opened(headset())
    one.play(0, struct.pack("<hh", 100, 100) * 48)
    ask(one, 0x01, 11, 0, SPEAKER)
    ask(one, 0x01, 11, 1, SPEAKER)
    assert not any(array("h", b"".join(one.record(frame) or b"" for frame in range(30))))


def test_a_repeated_sample_comes_twice() -> None:
    ramp, heard = array("h", range(1, 48 * 20 + 1)), array("h")
    one = opened(headset({"samples-repeated": 100}))
    for frame in range(20):
        packet = b"".join(struct.pack("<hh", value, value) for value in ramp[48 * frame : 48 * frame + 48])
        one.play(frame, packet)
        heard.frombytes(one.record(frame) or b"")
    sound = heard[480:]
    assert [at for at in range(1, len(sound)) if sound[at] == sound[at - 1]] == [9 * 48]


def test_a_press_without_power_does_nothing() -> None:
    one = headset()
    one.press("hook")
    assert one.take_report() is None


def test_reports_that_nobody_takes_are_bounded() -> None:
    one = headset()
    one.attach()
    for _ in range(500):
        one.press("mute")
    assert sum(1 for _ in iter(one.take_report, None)) == 64


def test_unplugging_forgets_hook_and_lamps_and_keeps_the_mixer() -> None:
    one = headset()
    one.attach()
    one.press("hook")
    ask(one, 0x21, 9, 0x0201, 3, bytes((1, 15)))
    ask(one, 0x21, 1, 0x0100, 0x0500, b"\1")
    one.detach()
    assert one.take_report() is None
    assert (one.keys.off_hook, any(one.keys.lamps.values()), one.mixer.muted) == (False, False, True)
    assert one.behaviour == HEALTHY
