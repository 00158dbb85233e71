import numpy as np
import pytest

from agents.instruments.sound.response import centres_hz, many_sines, response
from agents.instruments.sound.samples import level_dbov


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_many_sines_show_a_known_filter_in_every_third_of_an_octave_under_noise(rate_hz: int) -> None:
    sent = many_sines(rate_hz, 3.0, 0.05)
    heard = sent.copy()
    heard[1:] += 0.5 * sent[:-1]  # gain at any frequency: |1 + 0.5 exp(-i w)|
    heard += np.random.default_rng(2).normal(size=sent.size) * 0.005

    bands = response(sent, heard, rate_hz)

    assert level_dbov(sent) == pytest.approx(20 * np.log10(0.05), abs=0.01)
    assert [band.centre_hz for band in bands] == list(centres_hz(rate_hz))
    for band in bands:
        truth = 20 * np.log10(abs(1 + 0.5 * np.exp(-2j * np.pi * band.centre_hz / rate_hz)))
        assert band.gain_db == pytest.approx(truth, abs=0.5)
        assert band.coherence > 0.9


def test_a_band_that_the_path_does_not_pass_is_left_out() -> None:
    sent = many_sines(8_000, 2.0, 0.05)
    noise = np.random.default_rng(2).normal(size=sent.size) * 0.01

    assert response(sent, noise, 8_000) == ()
    assert response(sent[:100], sent[:100], 8_000) == ()
