"""Bringing a unit back before it is measured again."""

from pathlib import Path

import pytest
from agent_nouns import assignment
from fake_suite import FakeSuite
from test_power import calls, program

from agents import recovery
from agents.measure import LabError
from agents.recovery import recover
from agents.suites import Identified
from lab_inventory.clock import SystemClock
from lab_inventory.lab import Slot

STEPS = list[tuple[str, ...]]


class Booting(FakeSuite):
    """Says who it is only when it is asked for the third time."""

    asked = 0

    async def identify_device(self) -> Identified:
        self.asked += 1
        if self.asked < 3:
            raise LabError("no phone registered in the slot")
        return await super().identify_device()


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(recovery, "OFF_S", 0.0)


def slot(power: str | None = "port-7") -> Slot:
    return assignment().slot.model_copy(update={"power": power})


async def test_a_unit_with_a_power_port_is_switched_off_and_on_and_gets_time_to_come_back(tmp_path: Path) -> None:
    told: STEPS = []
    suite = Booting(assignment())
    found = await recover(suite, slot(), program(tmp_path, "exit 0"), SystemClock(), told.append)
    assert found.same
    assert suite.asked == 3
    assert calls(tmp_path) == ["off port-7", "on port-7"]
    assert told[0][0].startswith("the power of port port-7 was cut for ")
    assert told[0][1] == "it is reset through its driver"


async def test_without_a_power_port_its_driver_is_reset_and_nobody_waits_for_a_boot() -> None:
    told: STEPS = []
    with pytest.raises(LabError, match="no phone registered"):
        await recover(Booting(assignment()), slot(None), None, SystemClock(), told.append)
    assert told == [
        ("its slot has no power port in the lab file: its power stays on", "it is reset through its driver")
    ]


async def test_a_host_without_a_power_program_says_so() -> None:
    told: STEPS = []
    await recover(FakeSuite(assignment()), slot(), None, SystemClock(), told.append)
    assert told[0][0] == "this host has no power program, so port port-7 stays on"


async def test_a_power_program_that_fails_is_told_and_the_unit_is_asked_all_the_same(tmp_path: Path) -> None:
    told: STEPS = []
    found = await recover(FakeSuite(assignment()), slot(), program(tmp_path, "exit 1"), SystemClock(), told.append)
    assert found.same
    assert "could not switch port port-7" in told[0][0]
