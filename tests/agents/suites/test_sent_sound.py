"""What the suite hears of the sound that the reference phone sends: healthy, and with defects of a known size."""

from pathlib import Path
from typing import Any

from reference_bench import reference_on_bench, values_of

from agents.score.ip_phone import share_for_loss
from lab_inventory.programme import TestCase

SOUND = TestCase(id="TC-MED-13", title="Sound", procedure="sent-sound", duration_s=6, parameters={"window_s": 1.2})


async def heard_of(folder: Path, *defects: str) -> dict[str, Any]:
    async with reference_on_bench(folder, defects=defects) as suite:
        return await values_of(suite, SOUND, folder)


async def test_a_healthy_phone_sends_its_tone_and_nothing_else(tmp_path: Path) -> None:
    heard = await heard_of(tmp_path)

    assert heard["send_level_error_db"] < 0.3
    assert heard["send_harmonics_percent"] < 1
    assert heard["send_noise_percent"] < 1
    assert heard["send_interruption_ms"] == 0
    assert heard["echo_loss_db"] > 55


async def test_noise_loss_of_level_interruptions_and_echo_are_heard_with_their_sizes(tmp_path: Path) -> None:
    echo = share_for_loss(35)
    heard = await heard_of(tmp_path, "microphone-noisy=3", "microphone-quiet=4", "microphone-drops=80", f"echo={echo}")

    assert abs(heard["send_level_error_db"] - 4) < 0.3
    assert abs(heard["send_interruption_ms"] - 80) <= 2
    assert 3 < heard["send_noise_percent"] < 6  # of a tone that is 4 dB weaker, and the echo belongs to the rest
    assert abs(heard["echo_loss_db"] - 35) < 3
