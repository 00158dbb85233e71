import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from agents.instruments.sound import estimate as estimates
from agents.instruments.sound.channel import ideal
from agents.instruments.sound.estimate import estimate
from agents.instruments.sound.samples import Samples, delayed, level_dbov, scaled_to
from agents.instruments.sound.score import score_recording
from agents.instruments.sound.speech import load_clip, sentences
from lab_inventory.errors import BadInput, Unavailable

THREE = (np.zeros(8_000),) * 3


@pytest.mark.skipif(find_spec("visqol") is None, reason="visqol-python is not installed: make score")
def test_noise_is_estimated_below_the_ideal_channel_and_delay_and_gain_are_not(material: Path) -> None:
    speech = load_clip(material, "short-b", 8_000).samples[:18_000]
    noise = np.random.default_rng(1).normal(size=speech.size)
    sound = {
        "late and soft": scaled_to(delayed(np.pad(speech, (0, 800)), 300.0), -12.0),
        "noisy": speech + scaled_to(noise, -46.0 - level_dbov(noise)),
    }

    scores = {
        name: score_recording(
            speech, ideal(samples, "PCMU", 8_000), rate_hz=8_000, codec="PCMU", perceptual="visqol"
        ).heard
        for name, samples in sound.items()
    }

    clean, noisy = (heard.estimate for heard in scores.values() if heard is not None)
    assert clean is not None
    assert noisy is not None
    assert abs(clean.fall) < 0.1
    assert noisy.fall > 1.0
    assert (clean.tool, clean.mode) == ("visqol-python", "speech, lattice network, 16 kHz (sound of 8 kHz)")
    assert clean.scale == "estimate of MOS-LQO, 1 to 5"


@pytest.mark.skipif(find_spec("visqol") is None, reason="visqol-python is not installed: make score")
def test_over_a_floor_of_noise_the_estimate_falls_with_every_loss_and_every_noise(material: Path) -> None:
    """Without the floor it does not: 10 % of lost frames came out better than 5 %."""
    speech = np.concatenate(sentences(16_000, 1))
    through = ideal(speech, "G722", 16_000)
    frames = np.random.default_rng(3).permutation(speech.size // 320)

    def fall(sound: Samples) -> float:
        return estimate("visqol", speech, sound, through, 16_000).fall

    def lossy(percent: int) -> Samples:
        sound = through.copy()
        for frame in frames[: frames.size * percent // 100]:
            sound[320 * frame : 320 * (frame + 1)] = 0
        return sound

    noise = np.random.default_rng(4).normal(size=speech.size)
    losses = [fall(lossy(percent)) for percent in (0, 2, 10, 20)]
    noises = [fall(through + scaled_to(noise, level)) for level in (-76, -66, -56, -46)]

    assert losses == sorted(losses)
    assert losses[0] == 0
    assert losses[2] > losses[1] + 0.2
    assert losses[3] > losses[2] + 0.4
    assert noises == sorted(noises)
    assert noises[0] < 0.15 < noises[1] < 0.6 < noises[2]


@pytest.mark.parametrize(
    ("tool", "module", "said"),
    [("visqol", "visqol", "needs visqol-python with its lattice network"), ("pesq", "pesq", "forbids commercial use")],
)
def test_a_tool_that_is_not_installed_is_refused_in_words(
    tool: str, module: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    estimates._visqol.cache_clear()

    with pytest.raises(Unavailable, match=said):
        estimate(tool, *THREE, 8_000)


def test_a_tool_that_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="expected visqol or pesq"):
        estimate("polqa", *THREE, 8_000)
