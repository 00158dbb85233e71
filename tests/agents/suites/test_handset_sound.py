"""What the suite hears at the handset socket of the reference phone: healthy, and with defects of a known size."""

from pathlib import Path
from typing import Any

import pytest
from reference_bench import reference_on_bench, values_of

from agents.measure import LabError
from lab_inventory.programme import TestCase

SOUND = TestCase(
    id="TC-MED-05", title="Sound", procedure="handset-sound", duration_s=8, parameters={"tone_s": 1.2, "window_s": 2.4}
)


async def heard_of(folder: Path, *defects: str) -> dict[str, Any]:
    async with reference_on_bench(folder, defects=defects, wired=True) as suite:
        return await values_of(suite, SOUND, folder)


async def test_a_healthy_phone_is_heard_both_ways(tmp_path: Path) -> None:
    heard = await heard_of(tmp_path)

    assert 20 < heard["send_delay_ms"] < 150
    assert 60 < heard["receive_delay_ms"] < 140
    assert heard["delay_sum_ms"] == pytest.approx(heard["send_delay_ms"] + heard["receive_delay_ms"])
    assert heard["receive_level_error_db"] < 0.5
    assert heard["receive_harmonics_percent"] < 1
    assert heard["receive_noise_percent"] < 1
    assert heard["receive_interruption_ms"] == 0
    assert heard["send_upper_band_loss_db"] < 2
    assert heard["receive_upper_band_loss_db"] < 2
    assert (heard["heard_after_hold"], heard["sent_after_hold"]) == (True, True)


async def test_defects_of_both_ways_are_heard_with_their_sizes(tmp_path: Path) -> None:
    defects = ["earpiece-quiet=4", "earpiece-drops=70", "playout-late=40", "microphone-late=30", "microphone-narrow"]
    defects += ["earpiece-noisy=3", "playout-silent-after-hold"]
    heard = await heard_of(tmp_path, *defects)

    assert abs(heard["receive_level_error_db"] - 4) < 0.3
    assert abs(heard["receive_interruption_ms"] - 70) <= 2
    assert 3 < heard["receive_noise_percent"] < 6  # of a tone that is 4 dB weaker
    assert 50 < heard["send_delay_ms"] < 180
    assert 100 < heard["receive_delay_ms"] < 180
    assert heard["send_upper_band_loss_db"] is None or heard["send_upper_band_loss_db"] > 15
    assert heard["receive_upper_band_loss_db"] < 2
    assert (heard["heard_after_hold"], heard["sent_after_hold"]) == (False, True)


async def test_without_a_sound_interface_the_lab_cannot_measure(tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path) as suite:
        with pytest.raises(LabError, match="no sound interface"):
            await values_of(suite, SOUND, tmp_path)


BAD = TestCase(
    id="TC-MED-18",
    title="Bad network",
    procedure="impaired-sound",
    duration_s=20,
    parameters={"window_s": 2.0, "seeds": 2, "network": "poor-call"},
)


async def test_what_is_left_silent_over_a_bad_network_is_counted(tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, defects=("playout-gaps",), wired=True) as suite:
        heard = await values_of(suite, BAD, tmp_path)

    assert 15 <= heard["impaired_interruption_ms"] <= 45  # type: ignore[operator]
    assert heard["impaired_concealed_percent"] == 0
