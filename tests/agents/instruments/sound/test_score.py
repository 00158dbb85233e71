import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.instruments.sound.channel import ideal
from agents.instruments.sound.delay import NotInRecording, find_delay
from agents.instruments.sound.samples import UnfitSound, delayed
from agents.instruments.sound.score import score_recording
from agents.instruments.sound.speech import load_clip
from lab_inventory.errors import BadInput

IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from agents.instruments.sound.channel import ideal
from agents.instruments.sound.samples import delayed
from agents.instruments.sound.score import score_recording
from agents.instruments.sound.speech import load_clip
speech = load_clip(Path(sys.argv[1]), "short-a", 16_000).samples
noise = np.random.default_rng(1).normal(size=speech.size) * 1e-3
received = ideal(delayed(speech, 77.3) + noise, "G722", 16_000)
print(score_recording(speech, received, rate_hz=16_000, codec="G722", returned=noise).to_json())
"""
OTHER_PROCESSORS = ({}, {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3", "OPENBLAS_CORETYPE": "Nehalem"})
"""The second computes as a processor without the wide instructions of newer ones does."""


def test_the_same_recording_has_the_same_score_to_the_byte_in_another_process_on_another_processor(
    material: Path,
) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", IN_ANOTHER_PROCESS, str(material)],
            env=os.environ | other,
            capture_output=True,
            check=True,
        ).stdout
        for other in OTHER_PROCESSORS
    ]

    assert said[0] == said[1]
    assert json.loads(said[0])["heard"]["delay_ms"] == pytest.approx(77.3 / 16 + 1.375, abs=0.02)


def test_of_a_silent_recording_levels_are_given_and_why_no_more(material: Path) -> None:
    speech = load_clip(material, "short-a", 8_000).samples

    score = score_recording(speech, np.zeros(speech.size), rate_hz=8_000, codec="PCMU")

    assert score.silent
    assert score.level_dbov == -120.0
    assert score.heard is None
    assert score.refused == "one of the two recordings is silent"


def test_speech_that_was_not_sent_is_not_found(material: Path) -> None:
    sent, other = (load_clip(material, name, 8_000).samples for name in ("short-a", "short-b"))

    with pytest.raises(NotInRecording, match=r"resembles what was sent by 0\.\d\d only"):
        find_delay(sent, other, 8_000)
    assert score_recording(sent, other, rate_hz=8_000, codec="PCMU").heard is None


def test_a_recording_that_begins_late_is_measured_in_what_it_covers(material: Path) -> None:
    speech = load_clip(material, "long-a", 8_000).samples

    score = score_recording(speech, ideal(-speech[4_000:], "PCMU", 8_000), rate_hz=8_000, codec="PCMU")

    assert score.heard is not None
    assert score.heard.delay_ms == pytest.approx(-500.0, abs=0.02)
    assert score.heard.covered == pytest.approx(7.5 / 8, abs=0.001)
    assert score.heard.inverted


def test_a_codec_without_an_ideal_channel_is_measured_against_what_the_caller_gives(material: Path) -> None:
    speech = load_clip(material, "short-a", 16_000).samples
    received = delayed(speech, 160.0)

    with pytest.raises(BadInput, match="no ideal channel for OPUS at 16000 Hz"):
        score_recording(speech, received, rate_hz=16_000, codec="OPUS")
    score = score_recording(speech, received, rate_hz=16_000, codec="OPUS", through=delayed(speech, 104.0))

    assert score.heard is not None
    assert score.heard.delay_ms == pytest.approx(10.0, abs=0.02)
    assert score.heard.codec_delay_ms == pytest.approx(6.5, abs=0.02)


@pytest.mark.parametrize(
    ("sound", "wrong"),
    [
        (np.zeros((2, 10)), r"an array of shape \(2, 10\)"),
        (np.zeros(0), r"an array of shape \(0,\)"),
        (np.ones(10, dtype=np.int16), "samples of type int16"),
        (np.array([0.0, np.nan]), "no numbers"),
        (np.array([0.0, 32000.0]), "samples up to 32000; expected full scale 1.0"),
    ],
)
def test_what_is_no_sound_is_refused_with_what_was_expected(sound: np.ndarray, wrong: str) -> None:
    with pytest.raises(UnfitSound, match=wrong):
        score_recording(sound, np.zeros(10), rate_hz=8_000, codec="PCMU")
