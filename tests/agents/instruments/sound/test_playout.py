import shutil
from pathlib import Path

import pytest

from agents.instruments.sound import playout
from agents.instruments.sound.playout import PROGRAMS, read_recording, sound_card
from agents.instruments.sound.score import score_recording
from agents.instruments.sound.speech import load_clip
from lab_inventory.errors import BadInput, Unavailable

MISSING = [program for program in PROGRAMS if shutil.which(program) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING} (packages pulseaudio and pulseaudio-utils)")
def test_what_is_played_into_the_ear_is_recorded_and_what_is_played_into_the_mouth_is_not(
    material: Path, tmp_path: Path
) -> None:
    speech, other = (load_clip(material, name, 8_000).samples[4_000:16_000] for name in ("short-b", "short-a"))

    with sound_card(tmp_path, rate_hz=8_000) as card:
        with card.recording(tmp_path / "ear.raw"):
            card.play(speech, "ear")
            card.play(other, "mouth")
        received = read_recording(tmp_path / "ear.raw")

    found = score_recording(speech, received, rate_hz=8_000, codec="none", through=speech)
    assert found.heard is not None, found.refused
    assert found.heard.gain_db == pytest.approx(0.0, abs=1.0)
    assert score_recording(other, received, rate_hz=8_000, codec="none", through=other).heard is None


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING} (packages pulseaudio and pulseaudio-utils)")
def test_a_card_whose_directory_name_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()

    with pytest.raises(BadInput, match="is too long for a socket"), sound_card(long, rate_hz=8_000):
        pass


def test_without_pulseaudio_a_card_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playout.shutil, "which", lambda program: None)

    with (
        pytest.raises(Unavailable, match="not installed: pulseaudio, parec, pacat"),
        sound_card(tmp_path, rate_hz=8_000),
    ):
        pass
