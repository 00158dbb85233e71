"""What a score says becomes measurements; an estimate is called one wherever it goes."""

import json
from pathlib import Path
from typing import Any

import pytest
from agent_nouns import INSTRUMENT

from agents.measure import Recorder, ToScore
from agents.sound_scores.joining import Unscored, scored
from lab_inventory.measurement import Unit
from lab_inventory.messages import CaseEnded, CaseStatus, SoundToScore

SOUND = SoundToScore(reference="sha256:" + "1" * 64, received="sha256:" + "2" * 64, codec="PCMU", perceptual="visqol")
ESTIMATE = {"tool": "visqol-python", "version": "3", "mode": "speech", "scale": "MOS-LQO, 1 to 5", "fall": 0.25}


def joined(tmp_path: Path, score: dict[str, Any], place: str) -> CaseEnded:
    recorder = Recorder(declared={"fall": Unit.MOS}, instrument=INSTRUMENT, folder=tmp_path)
    recorder.score_later(ToScore(sound=SOUND, into={"fall": place}, note="call 1"))
    ended = CaseEnded(case="c", repeat=1, status=CaseStatus.MEASURED, duration_s=1)
    return scored(Unscored(ended=ended, recorder=recorder), {SOUND: json.dumps({"score": score})})


def test_an_estimate_names_its_tool_and_scale_and_says_that_it_is_one(tmp_path: Path) -> None:
    score = {"method": "sound 1", "refused": None, "heard": {"estimate": ESTIMATE}}

    (fall,) = joined(tmp_path, score, "heard.estimate.fall").measurements

    assert fall.value == 0.25
    for words in ("call 1", "sound 1", "an estimate", "visqol-python 3", "MOS-LQO, 1 to 5"):
        assert words in fall.note


def test_what_was_not_heard_has_no_value_and_says_why(tmp_path: Path) -> None:
    (fall,) = joined(
        tmp_path, {"method": "sound 1", "refused": "no speech", "heard": None}, "heard.estimate.fall"
    ).measurements

    assert fall.value is None
    assert "no value: no speech" in fall.note


@pytest.mark.parametrize("place", ["heard.nothing", "heard.estimate", "heard.estimate.tool"])
def test_a_place_without_a_value_is_an_error_of_the_case(tmp_path: Path, place: str) -> None:
    ended = joined(tmp_path, {"heard": {"estimate": ESTIMATE}}, place)

    assert (ended.status, ended.measurements) == (CaseStatus.ERROR, ())
    assert place in ended.reason
