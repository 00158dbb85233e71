"""The suite where it is at home: a real kernel, in one boot of the lab's virtual machine (``make headset-suite``).

What is timed may be undecided where the machine is too busy to keep time; nothing else may.
"""

from pathlib import Path

import pytest

from agents.score import usb_headset
from agents.score.headset_scoring import score_headset
from agents.score.headset_tiers import Tier
from agents.score.table import Scope
from lab_inventory.clock import SystemClock

IMAGE = Path(__file__).parents[2] / "var" / "lab-vm"
SEEDED = (
    "terminal-type-generic", "string-cut", "hid-leds-undeclared", "hook-bounces", "mute-key-twice", "led-ring-ignored",
    "mute-ignored", "packets-lost", "echo", "right-ear-silent",
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("machine")


async def test_a_healthy_headset_passes_everything_and_each_defect_is_found_by_its_requirement(tmp_path: Path) -> None:
    programme = usb_headset.programme()
    every = usb_headset.subjects(Tier.VIRTUAL_MACHINE, programme, healthy=1)
    drawn = [one for one in every if one.defect is None or (one.defect in SEEDED and one.must_fail)]
    assert len(drawn) == 1 + len(SEEDED)

    table = await score_headset(
        [Tier.VIRTUAL_MACHINE], drawn, programme,
        image=IMAGE, scope=Scope.REQUIREMENT, seed=7, at_once=1, work=tmp_path, clock=SystemClock(), tell=print,
    )  # fmt: skip

    (healthy,) = table.healthy
    assert healthy.departures == ()
    timed = {f"UA-{one}" for one in ("HID-02", "HID-03", "HID-06", "HID-07", "LAT-01", "USB-03")}
    assert {words.split()[1].rstrip(":") for words in healthy.undecided} <= timed
    assert {row.tier for row in table.rows} == {"virtual-machine"}
    wrong = [f"{row.defect}: {row.requirement} is {row.verdict}: {row.words}" for row in table.rows if not row.right]
    assert not wrong
