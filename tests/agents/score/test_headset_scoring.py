"""A scoring of the headset suite over raw USB/IP: real programs, and defects that are switched from outside."""

from pathlib import Path

from agents.score import usb_headset
from agents.score.headset_scoring import score_headset
from agents.score.headset_tiers import Tier
from agents.score.table import Scope
from lab_inventory.clock import SystemClock
from lab_inventory.verdict import Verdict


async def test_defects_are_found_one_after_the_other_by_a_worker_that_is_told_nothing(tmp_path: Path) -> None:
    programme = usb_headset.programme()
    wanted = {"hid-leds-undeclared", "hook-bounces", "echo"}
    drawn = [one for one in usb_headset.subjects(Tier.USBIP, programme, healthy=0) if one.defect in wanted]
    told: list[str] = []

    table = await score_headset(
        [Tier.USBIP], drawn, programme,
        image=tmp_path, scope=Scope.REQUIREMENT, seed=3, at_once=1, work=tmp_path, clock=SystemClock(),
        tell=told.append,
    )  # fmt: skip

    assert [(row.defect, row.share, row.verdict) for row in table.rows] == [
        ("echo", 0.8, Verdict.PASS),
        ("echo", 1.2, Verdict.FAIL),
        ("hid-leds-undeclared", None, Verdict.FAIL),
        ("hook-bounces", None, Verdict.FAIL),
    ]
    assert {(row.phone, row.tier) for row in table.rows} == {("virtual-headset", "usbip")}
    assert not any(defect in line for line in told for defect in wanted)
