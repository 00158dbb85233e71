"""Calls with Opus: the reference phone, healthy and with each defect of its Opus, and baresip as a third party."""

import shutil
import wave
from array import array
from pathlib import Path

import pytest
from reference_bench import reference_on_bench, values_of

from agents.instruments.audio import level_dbfs, tone_share
from lab_inventory.measurement import Value
from lab_inventory.programme import TestCase
from tests.agents.suites.test_ip_phone import PHONES, an_assignment, measured, phone_on_bench

CASE = TestCase(id="TC-MED-08", title="Opus", procedure="opus", duration_s=2)
GOOD: dict[str, Value | None] = {"codec_opus": True, "opus_timestamps_right": True}


@pytest.mark.parametrize(
    ("defects", "expected"),
    [
        ((), GOOD),
        (("opus-silent",), {"codec_opus": False, "opus_timestamps_right": None}),
        (("opus-clock-8000",), GOOD | {"opus_timestamps_right": False}),
    ],
)
async def test_opus_of_a_phone_is_heard_and_its_defects_are_found(
    tmp_path: Path, defects: tuple[str, ...], expected: dict[str, Value | None]
) -> None:
    async with reference_on_bench(tmp_path, defects=defects) as suite:
        assert await values_of(suite, CASE, tmp_path) == expected


async def test_opus_of_a_third_party_is_heard_and_it_hears_the_tone_of_the_bench_in_opus(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    heard.mkdir()
    phone = tmp_path / "baresip"
    shutil.copytree(PHONES / "phone-1", phone)
    with (phone / "config").open("a") as config:
        config.write(f"\nmodule opus.so\nmodule sndfile.so\nsnd_path {heard}\n")
    async with phone_on_bench(tmp_path, an_assignment(), kind=str(phone)) as suite:
        found = await measured(suite, CASE, tmp_path)
        assert {quantity: one.value for quantity, one in found.items()} == GOOD
        assert found["codec_opus"].note.startswith("OPUS at -20 dBFS"), found["codec_opus"].note

    (decoded,) = heard.glob("dump-*-dec.wav")  # by baresip, and closed with its call
    with wave.open(str(decoded)) as file:
        rate_hz, channels = file.getframerate(), file.getnchannels()
        pcm = array("h", file.readframes(file.getnframes()))[::channels]
    settled = pcm[rate_hz // 5 : -rate_hz // 10]
    assert len(settled) > rate_hz // 10
    # Where the machine is busy its jitter buffer may have a gap: the level tells of the codec all the same.
    assert level_dbfs(settled) == pytest.approx(-20.0, abs=3.0)
    assert tone_share(settled, rate_hz=rate_hz) > 0.8
