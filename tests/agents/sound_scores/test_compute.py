"""The score of a recording: the same bytes in any process, and a refusal in words for what cannot be scored."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.sound_scores.compute import score_files
from lab_inventory.evidence.wav import write_wav
from tests.agents.sound_scores.sounds import LATE_MS, RATE_HZ, files, sound_of

ELSEWHERE = """
import sys
from pathlib import Path
from agents.sound_scores.compute import score_files
sys.stdout.write(score_files(sys.argv[1], [Path(name).read_bytes() for name in sys.argv[2:]]))
"""


def test_another_process_gives_the_same_score_byte_for_byte(tmp_path: Path) -> None:
    contents = files()
    sound = sound_of(contents).model_dump_json()
    paths = [tmp_path / name for name in ("reference", "received")]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)

    here = score_files(sound, contents)
    command = [sys.executable, "-c", ELSEWHERE, sound, *map(str, paths)]
    there = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=Path.cwd()).stdout

    assert there == here.encode()
    assert json.loads(here)["score"]["heard"]["delay_ms"] == pytest.approx(LATE_MS, abs=0.1)


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (lambda contents: [contents[0], b"no sound"], "WAV"),
        (lambda contents: contents[:1], "expected 2"),
        (lambda contents: [contents[0], write_wav(2 * RATE_HZ, [0] * 9)], "at one rate"),
        (lambda contents: [contents[0], write_wav(RATE_HZ, [])], "received"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_words(spoilt, why) -> None:  # type: ignore[no-untyped-def]
    contents = files(1.0)

    told = json.loads(score_files(sound_of(contents).model_dump_json(), spoilt(contents)))

    assert list(told) == ["refused"]
    assert why in told["refused"]
