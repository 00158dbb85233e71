"""The power of a slot, by way of a program of the host."""

from pathlib import Path

import pytest

from agents import power
from agents.measure import LabError
from agents.power import cycle_power


def program(folder: Path, body: str) -> Path:
    """A power program that notes what it was called with."""
    path = folder / "power"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{body}\n')
    path.chmod(0o755)
    return path


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


async def test_the_power_is_taken_away_and_given_back(tmp_path: Path) -> None:
    await cycle_power(program(tmp_path, "exit 0"), "switch-3/port 7", off_s=0)
    assert calls(tmp_path) == ["off switch-3/port 7", "on switch-3/port 7"]


async def test_the_port_is_one_argument_and_no_shell_reads_it(tmp_path: Path) -> None:
    await cycle_power(program(tmp_path, 'test "$#" = 2'), f"7; touch {tmp_path}/broken-in", off_s=0)
    assert not (tmp_path / "broken-in").exists()


async def test_what_the_program_said_is_told_and_the_power_is_given_back_all_the_same(tmp_path: Path) -> None:
    failing = program(tmp_path, 'if test "$1" = off; then echo no such port; exit 4; fi')
    with pytest.raises(LabError, match="could not switch port 7 off: it ended with 4: no such port"):
        await cycle_power(failing, "7", off_s=0)
    assert calls(tmp_path) == ["off 7", "on 7"]


async def test_a_program_that_is_not_there_is_an_error_of_the_lab(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="FileNotFoundError"):
        await cycle_power(tmp_path / "missing", "7", off_s=0)


async def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "SWITCH_TIMEOUT_S", 0.2)
    with pytest.raises(LabError, match=r"did not end within 0\.2 s"):
        await cycle_power(program(tmp_path, "exec sleep 60"), "7", off_s=0)
