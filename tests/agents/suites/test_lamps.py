"""The lamps of the reference phone, seen by a light program of its own process."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from reference_bench import CASES, reference_on_bench, values_of

from agents.light import LIGHT_VARIABLE, watching
from agents.measure import LabError
from agents.suites.ip_phone import lamps
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.programme import TestCase

pytestmark = pytest.mark.alone
ROOT = Path(__file__).parents[3]


def case(procedure: str) -> TestCase:
    changes = {"id": "TC-X", "procedure": procedure, "duration_s": 20, "parameters": {}}
    return CASES["TC-SIP-01"].model_copy(update=changes)


def light_program(folder: Path, script: str) -> Path:
    path = folder / "light"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@asynccontextmanager
async def lit_bench(folder: Path, monkeypatch: pytest.MonkeyPatch, *defects: str) -> AsyncIterator[PhoneSuite]:
    sensor = f"cd {ROOT}; exec {sys.executable} -m agents.simulated.lamp_sensor {folder}/phone/lamps $*"
    monkeypatch.setenv(LIGHT_VARIABLE, str(light_program(folder, sensor)))
    async with reference_on_bench(folder, defects=defects) as suite:
        suite._bench.light_port = "port-7"
        yield suite


@pytest.mark.parametrize(
    ("procedure", "defects", "low", "high"),
    [
        ("ring-lamp", (), 0, 400),
        ("ring-lamp", ("ring-lamp-late=1200",), 1200, 1700),
        ("message-lamp", (), 0, 400),
        ("message-lamp", ("message-lamp-late=1200",), 1200, 1700),
    ],
)
async def test_the_time_to_the_light_is_measured(
    procedure: str, defects: Sequence[str], low: float, high: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lit_bench(tmp_path, monkeypatch, *defects) as suite:
        ((_, seen),) = (await values_of(suite, case(procedure), tmp_path)).items()
    assert isinstance(seen, float)
    assert low <= seen < high


async def test_a_lamp_that_stays_dark_is_looked_for_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lamps, "LAMP_WATCH_S", 1.0)
    async with lit_bench(tmp_path, monkeypatch, "ring-lamp-dark", "message-lamp-dark") as suite:
        assert await values_of(suite, case("ring-lamp"), tmp_path) == {"ring_start_ms": None}
        assert await values_of(suite, case("message-lamp"), tmp_path) == {"lamp_delay_ms": None}


async def test_without_anything_that_sees_lamps_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lit_bench(tmp_path, monkeypatch) as suite:
        suite._bench.light_port = None
        with pytest.raises(LabError, match="no light port"):
            await values_of(suite, case("ring-lamp"), tmp_path)
        suite._bench.light_port = "port-7"
        monkeypatch.delenv(LIGHT_VARIABLE)
        with pytest.raises(LabError, match="no light program"):
            await values_of(suite, case("message-lamp"), tmp_path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo hello", "said 'hello', not 'ready UNCERTAINTY_MS on|off'"),
        ("echo ready nan off", "said 'ready nan off'"),
        ("exit 3", "ended"),
        ("echo ready 1 off; echo bright", "said 'bright', not 'SECONDS on|off'"),
        ("echo ready 1 off; echo 1.5 on", "which was not while it watched"),
        ("echo ready 1 off; echo 1e400 on", "said '1e400 on'"),
        ("echo ready 1 off", "ended"),
    ],
)
async def test_what_the_program_says_wrongly_is_the_labs_fault(script: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(LabError) as refused:
        async with watching(light_program(tmp_path, script), "port-7", "ring") as lamp:
            await lamp.changes_to(True, timeout_s=5)
    assert words in str(refused.value)
    assert "the light program at port port-7" in str(refused.value)


async def test_a_lamp_that_is_lit_before_is_not_taken_for_the_phones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lit_bench(tmp_path, monkeypatch) as suite:
        monkeypatch.setenv(LIGHT_VARIABLE, str(light_program(tmp_path, "echo ready 1 on; sleep 60")))
        with pytest.raises(LabError, match="is it the phone's lamp"):
            await values_of(suite, case("ring-lamp"), tmp_path)
