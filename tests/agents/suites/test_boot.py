"""From power on to registered, with a power program that takes the reference phone's process away."""

from pathlib import Path

import pytest
from reference_bench import CASES, reference_on_bench, values_of

from agents.measure import LabError
from agents.power import POWER_VARIABLE
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.programme import TestCase

pytestmark = pytest.mark.alone


def booting(**parameters: float) -> TestCase:
    wanted = {"cycles": 2, "off_s": 0.4, "watch_s": 20, **parameters}
    return CASES["TC-SIP-01"].model_copy(
        update={"id": "TC-X", "procedure": "boot-to-registered", "duration_s": 60, "parameters": wanted}
    )


def power_program(folder: Path, *, off: str) -> Path:
    path = folder / "power"
    path.write_text(f"#!/bin/sh\necho $* >> {folder}/switched\n[ $1 = on ] || {{ {off}; }}\n")
    path.chmod(0o755)
    return path


def with_port(suite: PhoneSuite) -> None:
    suite._bench.power_port = "port-7"


async def test_the_slowest_of_some_boots_is_measured_with_the_time_of_switching_as_its_uncertainty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reference_on_bench(tmp_path) as suite:
        registrar = str(suite._bench.endpoint.address[1])
        kill = f"pkill -KILL -f 'agents.simulated.reference_phone --registrar 127.0.0.1:{registrar} '"
        monkeypatch.setenv(POWER_VARIABLE, str(power_program(tmp_path, off=kill)))
        with_port(suite)
        seen = await values_of(suite, booting(), tmp_path)

    assert isinstance(seen["boot_to_registered_s"], float)
    assert 0.3 < seen["boot_to_registered_s"] < 15
    assert (tmp_path / "switched").read_text().split() == ["off", "port-7", "on", "port-7"] * 2


async def test_a_phone_that_registers_without_power_stands_at_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reference_on_bench(tmp_path) as suite:
        suite._bench.registrar.expires_s = 2
        monkeypatch.setenv(POWER_VARIABLE, str(power_program(tmp_path, off="true")))
        with_port(suite)
        with pytest.raises(LabError, match="is it the phone's port"):
            await values_of(suite, booting(off_s=12), tmp_path)

    assert (tmp_path / "switched").read_text().split()[-2:] == ["on", "port-7"]  # given back all the same


async def test_without_anything_that_switches_power_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(POWER_VARIABLE, raising=False)
    async with reference_on_bench(tmp_path) as suite:
        with pytest.raises(LabError, match="no power port"):
            await values_of(suite, booting(), tmp_path)
        with_port(suite)
        with pytest.raises(LabError, match="no power program"):
            await values_of(suite, booting(), tmp_path)
