"""Somebody else's tool beside ours: levels as sox measures them; gain, delay and drift as sox builds them."""

import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from agents.instruments.sound.clipping import flat_tops
from agents.instruments.sound.samples import Samples, from_pcm, level_dbov
from agents.instruments.sound.score import score_recording
from agents.instruments.sound.speech import load_clip

pytestmark = pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed (package sox)")

CLIPS = ("long-a-8000", "short-b-8000", "long-b-16000")


def read_wav(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        return from_pcm(np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"))


def stats(path: Path) -> dict[str, str]:
    """What ``sox FILE -n stats`` prints, by the words before each figure."""
    said = subprocess.run(["sox", str(path), "-n", "stats"], capture_output=True, text=True, check=True).stderr
    return {line[:12].strip(): line[12:].strip() for line in said.splitlines()}


@pytest.mark.parametrize("clip", CLIPS)
def test_sox_finds_the_same_level_and_peak(material: Path, clip: str) -> None:
    samples = read_wav(material / f"{clip}.wav")
    found = stats(material / f"{clip}.wav")

    assert level_dbov(samples) == pytest.approx(float(found["RMS lev dB"]), abs=0.01)
    assert flat_tops(samples).peak_dbfs == pytest.approx(float(found["Pk lev dB"]), abs=0.01)


def test_gain_delay_and_drift_that_sox_built_are_found(material: Path, tmp_path: Path) -> None:
    sent = load_clip(material, "long-a", 8_000)
    built = tmp_path / "built.wav"
    effects = ["gain", "-9", "pad", "0.25", "1", "speed", "0.9998", "rate", "-v", "8000"]

    subprocess.run(["sox", "-D", str(material / "long-a-8000.wav"), str(built), *effects], check=True)
    heard = score_recording(sent.samples, read_wav(built), rate_hz=8_000, codec="PCMU").heard

    assert heard is not None
    assert heard.gain_db == pytest.approx(-9.0, abs=0.1)
    assert heard.drift_ppm == pytest.approx(200.0, abs=5.0)
    first_s, first_ms = heard.delays[0]
    assert first_ms == pytest.approx(250.0 + 0.2 * first_s, abs=0.05)
