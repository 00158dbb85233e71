"""Microphone, codecs, jitter buffer and earpiece of the reference phone, without a network."""

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from agents.simulated.reference_phone.behaviour import HEALTHY, Behaviour
from agents.simulated.reference_phone.defects import behaviour_with
from agents.simulated.reference_phone.mouth import Mouth
from agents.simulated.reference_phone.playout import Playout
from agents.simulated.reference_phone.sound import FRAME_SAMPLES, RATE_HZ, Decoder, Encoder, Frame

TICK_S = 0.02
SILENCE: Frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)
HALF = slice(RATE_HZ // 2, None)


def tone(hertz: float, seconds: float = 1.0) -> Frame:
    return np.rint(4000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def frames(sound: Frame) -> list[Frame]:
    return list(sound.reshape(-1, FRAME_SAMPLES))


def said(behaviour: Behaviour, spoken: Frame | None = None, heard: Frame = SILENCE, ticks: int = 50) -> Frame:
    """What comes out of the microphone."""
    mouth = Mouth(behaviour, tone_hz=1000, seed=1)
    parts = [None] * ticks if spoken is None else frames(spoken)
    return np.concatenate([mouth.frame(part, heard) for part in parts])


def packet(number: int, payload: bytes, payload_type: int = 9) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, 160 * number, 7) + payload


def played(behaviour: Behaviour, sound: Frame, arrivals_s: dict[int, float | None] | None = None) -> Frame:
    """What comes out of the earpiece; ``arrivals_s``: of a packet that comes late by so much, or never."""
    encoder, playout = Encoder("G722"), Playout(behaviour, seed=1)
    playout.use((9, "G722/8000"))
    coming = []
    for number, part in enumerate(frames(sound)):
        late_s = (arrivals_s or {}).get(number, 0.0)
        payload = encoder.encode(part)
        if late_s is not None:
            coming.append((number * TICK_S + late_s, packet(number, payload)))
    heard: list[Frame] = []
    coming.sort()
    for tick in range(len(sound) // FRAME_SAMPLES + 5):
        at_s = tick * TICK_S + 0.001
        while coming and coming[0][0] <= at_s:
            playout.take(coming[0][1], coming[0][0])
            coming.pop(0)
        heard.append(playout.frame(at_s))
    return np.concatenate(heard)


def rms(sound: Frame) -> float:
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))


def onset_s(sound: Frame) -> float:
    return float(np.argmax(np.abs(sound) > 1000)) / RATE_HZ


def longest_silence_s(sound: Frame) -> float:
    loud = np.flatnonzero(np.abs(sound) > 100)
    return float(np.max(np.diff(loud))) / RATE_HZ


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722"])
def test_a_codec_gives_back_what_went_in(name: str) -> None:
    encoder, decoder = Encoder(name), Decoder(name)
    back = np.concatenate([decoder.decode(encoder.encode(part)) for part in frames(tone(1000))])

    assert rms(back[HALF]) == pytest.approx(rms(tone(1000)), rel=0.02)


def test_without_a_handset_the_microphone_hears_the_tone() -> None:
    assert rms(said(HEALTHY)) == pytest.approx(3276.8, rel=0.001)


@pytest.mark.parametrize(("slug", "size", "ratio"), [("microphone-quiet", 6.02, 0.5), ("microphone-loud", 6.02, 2)])
def test_a_level_is_off_by_the_size(slug: str, size: float, ratio: float) -> None:
    assert rms(said(behaviour_with({slug: size}))) / rms(said(HEALTHY)) == pytest.approx(ratio, rel=0.01)


def test_a_dead_microphone_sends_nothing() -> None:
    assert rms(said(behaviour_with({"microphone-dead": 0}))) == 0


def test_what_is_cut_has_its_peak_where_it_is_cut() -> None:
    assert np.max(said(behaviour_with({"microphone-clips": 20}))) == pytest.approx(3277, abs=1)


def test_noise_is_as_loud_as_its_size_says() -> None:
    noisy = said(behaviour_with({"microphone-noisy": 10}), ticks=100)

    assert rms(noisy - said(HEALTHY, ticks=100)) == pytest.approx(327.7, rel=0.1)


def test_what_drops_out_is_missing_for_the_size() -> None:
    assert longest_silence_s(said(behaviour_with({"microphone-drops": 80}), ticks=100)) == pytest.approx(
        0.08, abs=0.001
    )


def test_what_is_spoken_late_comes_so_much_later() -> None:
    spoken = np.concatenate((tone(1000, 0.2) * 0, tone(1000, 0.8)))

    late_s = onset_s(said(behaviour_with({"microphone-late": 150}), spoken)) - onset_s(said(HEALTHY, spoken))
    assert late_s == pytest.approx(0.15, abs=0.001)


def test_a_narrow_microphone_lets_the_lower_band_through_alone() -> None:
    narrow = behaviour_with({"microphone-narrow": 0})

    assert rms(said(narrow, tone(1000))[HALF]) == pytest.approx(rms(tone(1000)), rel=0.01)
    assert rms(said(narrow, tone(6000))[HALF]) < rms(tone(6000)) / 100


def test_a_gate_cuts_what_is_soft_and_leaves_what_is_loud() -> None:
    soft, loud = tone(1000) // 100, tone(1000)

    assert rms(said(behaviour_with({"microphone-gated": 30}), soft)[HALF]) == 0
    assert np.array_equal(said(behaviour_with({"microphone-gated": 30}), loud), said(HEALTHY, loud))
    assert rms(heard_with({"earpiece-gated": 30}, soft)) == 0
    assert np.array_equal(heard_with({"earpiece-gated": 30}, loud), played(HEALTHY, loud))


def test_what_is_lost_can_crackle() -> None:
    quiet, crackles = tone(1000) // 100, behaviour_with({"playout-crackles": 0})

    assert np.max(np.abs(played(crackles, quiet, {20: None}))) > 5 * np.max(quiet)
    assert np.array_equal(played(crackles, quiet)[:RATE_HZ], played(HEALTHY, quiet)[:RATE_HZ])


def test_an_echo_sends_back_its_share() -> None:
    back = said(behaviour_with({"echo": 10}), np.concatenate([SILENCE] * 50), heard=frames(tone(1000))[0])

    assert rms(back[HALF]) == pytest.approx(rms(tone(1000)) / 10, rel=0.02)


def test_what_comes_evenly_is_played_whole_after_the_jitter_buffer() -> None:
    sound = played(HEALTHY, tone(1000))

    assert 0.06 <= onset_s(sound) < 0.09
    assert rms(sound[HALF][: RATE_HZ // 4]) == pytest.approx(rms(tone(1000)), rel=0.02)


@pytest.mark.parametrize("late_s", [0.03, 0.055])
def test_what_is_late_by_less_than_the_buffer_is_played_as_if_it_had_been_in_time(late_s: float) -> None:
    assert np.array_equal(played(HEALTHY, tone(1000), {20: late_s, 30: late_s}), played(HEALTHY, tone(1000)))


def test_a_lost_packet_is_concealed_and_a_defect_leaves_it_silent() -> None:
    assert longest_silence_s(played(HEALTHY, tone(1000), {20: None})) < 0.005
    assert longest_silence_s(played(behaviour_with({"playout-gaps": 0}), tone(1000), {20: None})) > 0.015


def test_a_buffer_that_is_too_short_loses_what_jitters() -> None:
    short = behaviour_with({"playout-buffer-short": 0, "playout-gaps": 0})

    assert longest_silence_s(played(short, tone(1000), {20: 0.03})) > 0.015


def test_a_stream_that_begins_anew_is_played_after_the_buffer_again() -> None:
    playout, encoder = Playout(HEALTHY, seed=1), Encoder("PCMU")
    playout.use((0, "PCMU/8000"))
    for number in [*range(10), *range(30_000, 30_010)]:
        playout.take(packet(number, encoder.encode(tone(1000)[:FRAME_SAMPLES]), 0), 0.02 * (number % 30_000))

    assert rms(playout.frame(0.1)) > 1000


@pytest.mark.parametrize(
    "data", [b"", b"\x80", packet(1, b"", 13), b"\x90" + packet(1, b"x" * 160, 0)[1:], packet(1, b"x" * 160, 8)]
)
def test_what_is_no_audio_of_the_call_is_not_played(data: bytes) -> None:
    playout = Playout(HEALTHY, seed=1)
    playout.use((0, "PCMU/8000"))
    playout.take(data, 0.0)

    assert rms(np.concatenate([playout.frame(tick * TICK_S) for tick in range(10)])) == 0


def heard_with(defects: dict[str, float], sound: Sequence[int] | Frame) -> Frame:
    return played(behaviour_with(defects), np.asarray(sound, dtype=np.int16))


def test_the_earpiece_can_be_quiet_cut_narrow_noisy_and_dead_for_a_while() -> None:
    healthy = played(HEALTHY, tone(1000))[HALF][: RATE_HZ // 4]

    assert rms(heard_with({"earpiece-quiet": 6.02}, tone(1000))[HALF][: RATE_HZ // 4]) == pytest.approx(
        rms(healthy) / 2, rel=0.01
    )
    assert np.max(heard_with({"earpiece-clips": 20}, tone(1000))) == pytest.approx(3277, abs=1)
    assert rms(heard_with({"earpiece-narrow": 0}, tone(6000))[HALF]) < rms(tone(6000)) / 50
    assert rms(heard_with({"earpiece-noisy": 10}, tone(1000) * 0)) == pytest.approx(327.7, rel=0.1)
    assert longest_silence_s(heard_with({"earpiece-drops": 80}, tone(1000, 2.0))) == pytest.approx(0.08, abs=0.002)


def test_what_comes_may_wait_longer_before_it_is_heard() -> None:
    late_s = onset_s(heard_with({"playout-late": 60}, tone(1000))) - onset_s(played(HEALTHY, tone(1000)))
    assert late_s == pytest.approx(0.06, abs=0.021)


def test_a_phone_that_is_muted_plays_nothing() -> None:
    playout = Playout(HEALTHY, seed=1)
    playout.use((9, "G722/8000"))
    playout.muted = True
    encoder = Encoder("G722")
    for number, part in enumerate(frames(tone(1000))):
        playout.take(packet(number, encoder.encode(part)), number * TICK_S)

    assert rms(np.concatenate([playout.frame(0.1 + tick * TICK_S) for tick in range(20)])) == 0
