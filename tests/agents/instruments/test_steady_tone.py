"""A steady tone, the echo of noise, and tones of keys, built by construction, come back as they were built."""

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.instruments.echo_path import echo_of, repeated_noise
from agents.instruments.key_tones import COLUMNS_HZ, KEYS, ROWS_HZ, key_in_audio
from agents.instruments.steady_tone import steady_tone

RATE_HZ = 8000
AMPLITUDE = 4000.0
Sound = NDArray[np.float64]


def sine(hertz: float, seconds: float = 2.0, amplitude: float = AMPLITUDE) -> Sound:
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ))


@pytest.mark.parametrize("hertz", [1000.0, 1000.4, 998.0])
def test_a_pure_tone_has_its_level_and_frequency_and_nothing_else(hertz: float) -> None:
    seen = steady_tone(sine(hertz).tolist(), rate_hz=RATE_HZ, frequency_hz=1000)

    assert seen is not None
    assert seen.level_dbfs == pytest.approx(20 * np.log10(AMPLITUDE / np.sqrt(2) / 32768), abs=0.01)
    assert seen.frequency_hz == pytest.approx(hertz, abs=0.01)
    assert (seen.harmonics_percent, seen.rest_percent) == (pytest.approx(0, abs=0.1), pytest.approx(0, abs=0.1))
    assert seen.interruption_ms == 0


def test_harmonics_and_noise_are_told_apart() -> None:
    noise = np.random.default_rng(1).normal(0, 0.03 * AMPLITUDE / np.sqrt(2), 2 * RATE_HZ)
    sound = sine(1000) + sine(2000, amplitude=0.04 * AMPLITUDE) + sine(3000, amplitude=0.03 * AMPLITUDE) + noise
    seen = steady_tone(sound.tolist(), rate_hz=RATE_HZ, frequency_hz=1000)

    assert seen is not None
    assert seen.harmonics_percent == pytest.approx(5, abs=0.3)
    assert seen.rest_percent == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("gap_ms", [10, 60, 300])
def test_an_interruption_has_its_length_and_does_not_count_as_distortion(gap_ms: int) -> None:
    sound = sine(1000)
    sound[8003 : 8003 + gap_ms * 8] = 0
    seen = steady_tone(sound.tolist(), rate_hz=RATE_HZ, frequency_hz=1000)

    assert seen is not None
    assert seen.interruption_ms == pytest.approx(gap_ms, abs=2)
    assert seen.rest_percent < 0.1


@pytest.mark.parametrize("pcm", [[], [0] * 16000, [100] * 100])
def test_where_there_is_no_tone_none_is_measured(pcm: list[int]) -> None:
    assert steady_tone(pcm, rate_hz=RATE_HZ, frequency_hz=1000) is None


@pytest.mark.parametrize("loss_db", [10, 30, 46])
def test_an_echo_under_a_tone_has_its_loss(loss_db: float) -> None:
    noise = repeated_noise(rate_hz=RATE_HZ, seconds=1.0, level_dbfs=-20, seed=1).astype(np.float64)
    back = np.tile(np.roll(noise, 900), 3)[:20000] * 10 ** (-loss_db / 20) + sine(1000, 2.5)
    echo = echo_of(noise, back, rate_hz=RATE_HZ, without_hz=1000)

    assert echo is not None
    assert echo.loss_db == pytest.approx(loss_db, abs=1)
    assert echo.place_s == pytest.approx(900 / RATE_HZ, abs=0.004)


def test_where_nothing_comes_back_the_loss_is_near_what_would_be_found_anyway() -> None:
    noise = repeated_noise(rate_hz=RATE_HZ, seconds=1.0, level_dbfs=-20, seed=1).astype(np.float64)
    other = np.random.default_rng(2).normal(0, 10, 24000)
    echo = echo_of(noise, other, rate_hz=RATE_HZ, without_hz=None)

    assert echo is not None
    assert echo.loss_db > 50
    assert abs(echo.loss_db - echo.floor_db) < 10


@pytest.mark.parametrize("key", KEYS)
def test_the_tones_of_a_key_are_known(key: str) -> None:
    row, column = divmod(KEYS.index(key), 4)
    tones = sine(ROWS_HZ[row], 0.02) + sine(COLUMNS_HZ[column], 0.02, AMPLITUDE / 1.3)

    assert key_in_audio(tones.tolist(), RATE_HZ) == key


@pytest.mark.parametrize("sound", [sine(1000, 0.02), sine(941, 0.02), sine(697, 0.02) * 0, sine(440, 0.02)])
def test_other_sounds_are_no_keys(sound: Sound) -> None:
    assert key_in_audio(sound.tolist(), RATE_HZ) is None


def test_noise_is_no_key() -> None:
    draw = np.random.default_rng(3)

    assert not any(key_in_audio(draw.normal(0, 3000, 160).tolist(), RATE_HZ) for _ in range(500))
