import numpy as np
import pytest

from agents.instruments.sound.level import scaled_to_active, speech_level
from agents.instruments.sound.samples import Samples, level_dbov, scaled_to

RATE_HZ = 8_000


def noise(seconds: float, level: float) -> Samples:
    samples = np.random.default_rng(5).normal(size=round(seconds * RATE_HZ))
    return scaled_to(samples, level - level_dbov(samples))


def test_a_square_wave_of_full_scale_has_no_dbov_and_a_sine_three_fewer() -> None:
    at = np.arange(RATE_HZ) / RATE_HZ

    assert level_dbov(np.sign(np.sin(2 * np.pi * 100 * at + 0.1))) == pytest.approx(0.0)
    assert level_dbov(np.sin(2 * np.pi * 100 * at)) == pytest.approx(-3.01, abs=0.005)


@pytest.mark.parametrize("level", [-10.0, -26.0, -40.0, -55.0])
def test_noise_that_never_pauses_is_active_all_the_time_at_its_own_level(level: float) -> None:
    found = speech_level(noise(10, level), RATE_HZ)

    assert found is not None
    assert found.active_dbov == pytest.approx(level, abs=0.1)
    assert found.activity > 0.98


@pytest.mark.parametrize("seconds", [5.0, 10.0])
def test_noise_gated_half_of_the_time_is_active_for_that_half_and_the_hangover(seconds: float) -> None:
    burst = noise(seconds, -26.0)
    gated = np.concatenate((burst, np.zeros(burst.size), burst, np.zeros(burst.size)))

    found = speech_level(gated, RATE_HZ)

    # 0.2 s of hangover and about 0.1 s in which the envelope decays count as active after each burst.
    active = (seconds + 0.3) / (2 * seconds)
    assert found is not None
    assert found.activity == pytest.approx(active, abs=0.01)
    assert found.active_dbov == pytest.approx(-26.0 - 10 * np.log10(2 * active), abs=0.1)
    assert found.long_term_dbov == pytest.approx(-29.01, abs=0.02)


def test_gaps_shorter_than_the_hangover_belong_to_the_speech() -> None:
    burst = noise(0.5, -26.0)
    gap = np.zeros(round(0.1 * RATE_HZ))

    found = speech_level(np.tile(np.concatenate((burst, gap)), 10), RATE_HZ)

    assert found is not None
    assert found.activity > 0.98


def test_silence_and_what_lies_under_the_lowest_threshold_hold_no_speech() -> None:
    assert speech_level(np.zeros(RATE_HZ), RATE_HZ) is None
    assert speech_level(noise(1, -100.0), RATE_HZ) is None
    assert scaled_to_active(np.zeros(RATE_HZ), RATE_HZ, -26.0) is None
