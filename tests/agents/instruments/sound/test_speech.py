import shutil
from pathlib import Path

import numpy as np
import pytest

from agents.instruments.sound.level import speech_level
from agents.instruments.sound.samples import level_dbov
from agents.instruments.sound.speech import (
    ACTIVE_DBOV,
    CLIPS,
    FLOOR_DBOV,
    RATES_HZ,
    RECORD,
    SENTENCES,
    load_clip,
    make_material,
    sentences,
)
from lab_inventory.errors import BadInput, Unavailable


def test_every_clip_has_its_length_and_the_active_level_of_the_project(material: Path) -> None:
    for rate_hz in RATES_HZ:
        for kind, (length_s, _) in CLIPS.items():
            for voice in "ab":
                clip = load_clip(material, f"{kind}-{voice}", rate_hz)
                level = speech_level(clip.samples, rate_hz)

                assert clip.samples.size == length_s * rate_hz
                assert level is not None
                assert level.active_dbov == pytest.approx(ACTIVE_DBOV, abs=0.05)
                assert 0.5 < level.activity < 0.9


def test_the_same_seed_gives_the_same_files_and_another_seed_others(material: Path, tmp_path: Path) -> None:
    make_material(tmp_path / "again")
    make_material(tmp_path / "other", seed=2)

    same = (material / RECORD).read_text()
    assert (tmp_path / "again" / RECORD).read_text() == same
    assert (tmp_path / "other" / RECORD).read_text() != same


def test_a_changed_file_is_refused_naming_the_version_that_made_it(material: Path, tmp_path: Path) -> None:
    shutil.copytree(material, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "short-a-8000.wav"
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x00")

    with pytest.raises(BadInput, match=r"short-a-8000\.wav is not the one that was made with espeak-ng 1"):
        load_clip(tmp_path, "short-a", 8_000)


def test_speech_that_was_never_made_is_asked_for_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="make it with `make speech`"):
        load_clip(tmp_path, "long-a", 8_000)


def test_sentences_are_over_a_floor_of_noise_and_the_same_every_time(material: Path) -> None:
    spoken = sentences(16_000, len(SENTENCES))

    assert [one.size for one in spoken] == [56_000] * 2 * len(SENTENCES)
    for one in spoken:
        level = speech_level(one, 16_000)
        assert level is not None
        assert level.active_dbov == pytest.approx(ACTIVE_DBOV, abs=0.2)
        assert level_dbov(one[:1600]) == pytest.approx(FLOOR_DBOV, abs=0.5)
    assert all(np.array_equal(*pair) for pair in zip(spoken[:2], sentences(16_000, 1), strict=True))


def test_more_sentences_than_there_are_are_refused() -> None:
    with pytest.raises(BadInput, match="there are 8 sentences, not 9"):
        sentences(8_000, 9)
