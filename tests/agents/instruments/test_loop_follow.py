"""The known noise is found again as it was changed: every truth is set here and held to what is measured."""

import numpy as np
import pytest

from agents.instruments.loop_follow import find, follow, noise, resampled
from lab_inventory.errors import BadInput

SOUND = noise(96_000, seed=1)
SILENCE = np.zeros(4_800)
WHOLE = np.concatenate([SILENCE, SOUND, SILENCE])


def at_rate(ppm: float) -> np.ndarray:
    """As a microphone whose clock is off would have recorded it, straight between samples."""
    places = np.arange(int(len(WHOLE) * (1 + ppm / 1e6))) / (1 + ppm / 1e6)
    return np.round(np.interp(places, np.arange(len(WHOLE)), WHOLE))


def test_an_exact_loop_has_its_delay_and_nothing_else() -> None:
    found = follow(SOUND, WHOLE)
    assert found is not None
    assert found.lag == pytest.approx(4_800, abs=0.01)
    assert (found.steps, found.unfound, found.glitches) == ((), 0, 0)
    assert abs(found.rate_error_ppm) < 0.1


@pytest.mark.parametrize("ppm", [-1000, -50, 10, 500, 1000, 2000])
def test_a_rate_that_is_off_is_measured_and_is_no_glitch(ppm: float) -> None:
    found = follow(SOUND, at_rate(ppm))
    assert found is not None
    assert found.rate_error_ppm == pytest.approx(ppm, abs=15)
    assert found.glitches == 0


def test_single_samples_that_are_left_out_are_counted_where_they_are_missing() -> None:
    found = follow(SOUND, np.delete(WHOLE, [24_800, 54_800]))
    assert found is not None
    assert (found.lost, found.repeated, found.glitches) == (2, 0, 2)
    assert [step.at for step in found.steps] == pytest.approx([20_000, 50_000], abs=1_024)
    assert abs(found.rate_error_ppm) < 1


def test_single_samples_that_come_twice_are_counted() -> None:
    found = follow(SOUND, np.insert(WHOLE, [24_800, 54_800], [WHOLE[24_800], WHOLE[54_800]]))
    assert found is not None
    assert (found.lost, found.repeated) == (0, 2)


def test_a_packet_that_the_kernel_skipped_is_found_with_its_length() -> None:
    found = follow(SOUND, np.concatenate([WHOLE[:30_000], WHOLE[30_048:]]))
    assert found is not None
    assert (found.lost, found.glitches) == (48, 1)


def test_a_stretch_of_silence_is_one_glitch_and_no_sample_is_lost() -> None:
    silenced = WHOLE.copy()
    silenced[30_000:33_000] = 0
    found = follow(SOUND, silenced)
    assert found is not None
    assert (found.lost, found.repeated, found.glitches) == (0, 0, 1)
    assert 4 <= found.unfound <= 6


def test_noise_beneath_hides_nothing() -> None:
    beneath = np.random.default_rng(9).normal(0, 1_500, len(WHOLE) - 48)
    found = follow(SOUND, np.concatenate([WHOLE[:30_000], WHOLE[30_048:]]) + beneath)
    assert found is not None
    assert (found.lost, found.glitches) == (48, 1)


def test_another_sound_is_not_found() -> None:
    assert follow(SOUND, noise(len(WHOLE), seed=2)) is None
    assert follow(SOUND, np.zeros(len(WHOLE))) is None


def test_what_is_longer_than_the_recording_is_refused() -> None:
    with pytest.raises(BadInput, match="expected at least as many"):
        find(SOUND, SOUND[:100])


def test_a_sound_at_another_rate_is_the_same_below_half_of_it() -> None:
    low = noise(24_000, seed=3, up_to_hz=5_000)
    there = resampled(low, 48_000, 16_000)
    assert len(there) == 8_000
    assert resampled(there, 16_000, 48_000) == pytest.approx(low, abs=1)
