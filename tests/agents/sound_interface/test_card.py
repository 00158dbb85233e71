"""The sound interface on a real sound server: microphone and earpiece wires joined, so that what is spoken is heard."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agents.instruments.audio_port import RATE_HZ
from agents.instruments.sound.playout import SoundCard, sound_card
from agents.sound_interface.joined import Joined, measured
from lab_inventory.clock import SystemClock
from lab_inventory.errors import Unavailable
from tests.ports import free_port
from tests.virtual_card import needs_card


@contextmanager
def interface(card: SoundCard, address: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "agents.cli", "bench", "sound", address, *options]
    environment = os.environ | card.environment
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


def served(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "serves" in line:
            return
    pytest.fail(said)


async def measured_at_last(address: str) -> Joined:
    """Once more where this machine was too busy for the card, which was opened again meanwhile."""
    for _ in range(4):
        with suppress(Unavailable):
            return await measured(address, SystemClock())
    return await measured(address, SystemClock())


@needs_card
async def test_what_is_spoken_into_joined_wires_comes_back_whole_and_at_the_gain_that_was_set(tmp_path: Path) -> None:
    """Its delay says nothing here: a sound server tells of its own buffers as if they lay before the loudspeaker."""
    address = f"127.0.0.1:{free_port()}"
    with sound_card(tmp_path, rate_hz=RATE_HZ) as card:
        joined = ("--playback", "spoken", "--capture", "mouth", "--in-db", "-6")
        with interface(card, address, *joined) as process:
            await asyncio.to_thread(served, process)
            found = await measured_at_last(address)

    assert found.gain_db == pytest.approx(-6, abs=0.2)
    assert abs(found.delay_ms) < 600


@needs_card
async def test_wires_that_are_not_joined_are_told_as_such(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    apart = ("--playback", "spoken", "--capture", "heard")
    with sound_card(tmp_path, rate_hz=RATE_HZ) as card, interface(card, address, *apart) as process:
        await asyncio.to_thread(served, process)
        with pytest.raises(Unavailable, match=f"does not come back at {address}: join microphone and earpiece wires"):
            await measured(address, SystemClock())


async def test_where_nothing_serves_it_is_said() -> None:
    with pytest.raises(Unavailable, match="no sound interface answers at 127"):
        await measured(f"127.0.0.1:{free_port()}", SystemClock())


@needs_card
def test_a_card_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with sound_card(tmp_path, rate_hz=RATE_HZ) as card:
        command = [sys.executable, "-m", "agents.cli", "bench", "sound", f"127.0.0.1:{free_port()}"]
        command += ["--playback", "spoken", "--capture", "hw:99,0"]
        ended = subprocess.run(command, env=os.environ | card.environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "the sound card is not to be had: recording at 16000 Hz cannot be opened" in ended.stderr
