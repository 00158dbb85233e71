"""Gain, response, distortion, noise and echo of loops that were made here with known truth."""

import math

import numpy as np
import pytest

from agents.instruments.loop_follow import Followed, follow, noise
from agents.instruments.loop_quality import (
    SILENCE_DB,
    distortion_db,
    echo_loss_db,
    gain_db,
    level_dbfs,
    offset_dbfs,
    response,
    sine,
)
from lab_inventory.errors import BadInput

RATE = 48_000
SOUND = noise(48_000, seed=1)


def through(heard: np.ndarray) -> tuple[np.ndarray, Followed]:
    padded = np.round(np.concatenate([np.zeros(1_000), heard, np.zeros(1_000)]))
    found = follow(SOUND, padded)
    assert found is not None
    return padded, found


@pytest.mark.parametrize("db", [-20.0, -3.0, 0.0])
def test_a_gain_is_measured(db: float) -> None:
    heard, found = through(SOUND * 10 ** (db / 20))
    assert gain_db(SOUND, heard, found) == pytest.approx(db, abs=0.05)
    assert response(SOUND, heard, found, RATE).gain_db == pytest.approx(db, abs=0.05)


def test_an_even_loop_deviates_nowhere() -> None:
    heard, found = through(SOUND)
    assert response(SOUND, heard, found, RATE).worst[0] < 0.01


def test_lost_treble_is_found_where_it_is_lost() -> None:
    before = np.concatenate([[0.0], SOUND[:-1]])
    heard, found = through(SOUND - 0.8 * (SOUND - before) / 2)
    worst, hertz = response(SOUND, heard, found, RATE).worst
    turn = 2 * math.pi * hertz / RATE
    true_db = 20 * math.log10(abs(1 - 0.4 * (1 - complex(math.cos(turn), -math.sin(turn)))))
    assert hertz == pytest.approx(15_849, abs=1)
    assert worst == pytest.approx(-true_db, abs=0.3)


def test_a_pure_sine_has_the_distortion_of_sixteen_bits() -> None:
    assert distortion_db(sine(12_000, RATE, 997, 16_384), RATE, 997) == pytest.approx(-92, abs=1.5)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_a_cubic_term_distorts_by_what_it_should(share: float) -> None:
    tone = sine(12_000, RATE, 997, 16_384)
    bent = np.round(tone - share * tone**3 / 32_768**2)
    third = share * 0.25 / 4
    assert distortion_db(bent, RATE, 997) == pytest.approx(20 * math.log10(third / (1 - 3 * third)), abs=0.2)


def test_a_rate_that_is_off_is_no_distortion() -> None:
    assert distortion_db(sine(12_000, RATE, 997 * 1.002, 16_384), RATE, 997) < -88


def test_where_there_is_no_sine_none_is_measured() -> None:
    with pytest.raises(BadInput, match="no sine"):
        distortion_db(np.zeros(12_000), RATE, 997)


@pytest.mark.parametrize("db", [30.0, 46.0, 55.0])
def test_an_echo_is_measured_with_its_delay(db: float) -> None:
    heard = np.zeros(len(SOUND) + 24_000)
    heard[576 : 576 + len(SOUND)] = SOUND * 10 ** (-db / 20)
    loss, at = echo_loss_db(SOUND, np.round(heard), up_to=12_000)
    assert (loss, at) == (pytest.approx(db, abs=0.4), 576)


def test_no_echo_is_none() -> None:
    assert echo_loss_db(SOUND, np.zeros(len(SOUND) + 24_000), up_to=12_000)[0] == -SILENCE_DB


def test_levels_are_those_of_the_whole_with_and_without_what_is_constant() -> None:
    tone = sine(48_000, RATE, 1_000, 3_276.8)
    assert level_dbfs(tone) == pytest.approx(-23.01, abs=0.01)
    assert level_dbfs(tone + 1_000) > -22.5
    assert level_dbfs(tone + 1_000, without_offset=True) == pytest.approx(-23.01, abs=0.01)
    assert offset_dbfs(np.full(100, 327.68)) == pytest.approx(-40, abs=0.01)
    assert level_dbfs(np.zeros(0)) == level_dbfs(np.zeros(10)) == SILENCE_DB
