"""What the suite hears at the handset socket of the reference phone: healthy, and with defects of a known size."""

from pathlib import Path
from typing import Any

import pytest
from reference_bench import reference_on_bench, values_of

from agents.measure import LabError
from lab_inventory.programme import TestCase

SOUND = TestCase(id="TC-MED-05", title="Sound", procedure="handset-sound", duration_s=8, parameters={"window_s": 3})


async def heard_of(folder: Path, *defects: str) -> dict[str, Any]:
    async with reference_on_bench(folder, defects=defects, wired=True) as suite:
        return await values_of(suite, SOUND, folder)


async def test_a_healthy_phone_is_heard_both_ways(tmp_path: Path) -> None:
    heard = await heard_of(tmp_path)

    assert 20 < heard["send_delay_ms"] < 50
    assert 60 < heard["receive_delay_ms"] < 110
    assert heard["delay_sum_ms"] == pytest.approx(heard["send_delay_ms"] + heard["receive_delay_ms"])
    assert heard["receive_level_error_db"] < 0.5
    assert heard["receive_clipped_percent"] == 0
    assert heard["receive_noise_percent"] < 1
    assert heard["receive_interruption_ms"] == 0
    assert heard["send_upper_band_loss_db"] < 2
    assert heard["receive_upper_band_loss_db"] < 2
    assert (heard["heard_after_hold"], heard["sent_after_hold"]) == (True, True)
