"""A whole scoring of the headset suite: opens the places of each tier, runs every subject, puts the table together."""

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from agents.score import usb_headset
from agents.score.headset_run import Places
from agents.score.headset_tiers import Tier, machine_place, usbip_place
from agents.score.scoring import Phone, Tell, goldens_of, score
from agents.score.seeded import Subject
from agents.score.table import Scope, ScoreTable
from agents.simulated.headset.defects import DEFECTS
from agents.simulated.headset.machine.lab_machine import LabMachine, built_image
from lab_inventory.clock import Clock
from lab_inventory.programme import Programme

GOLDEN = "virtual"
"""One golden profile: on every tier a healthy headset comes to the same."""


async def score_headset(
    tiers: Sequence[Tier],
    drawn: Sequence[Subject],
    of: Programme,
    *,
    image: Path,
    scope: Scope,
    seed: int,
    at_once: int,
    work: Path,
    clock: Clock,
    tell: Tell,
) -> ScoreTable:
    """Run the subjects of every tier; ``image``: the folder in which the virtual machine is built.

    Over USB/IP ``at_once`` headsets run beside each other; in the virtual machine one after the other, in one boot.
    Raises LabError where a place does not come up, MachineFailed where the machine does not.
    """
    answers = usb_headset.ics(of)
    async with AsyncExitStack() as open_places:
        phones = {}
        for tier in tiers:
            places = Places(ics=answers, clock=clock)
            if tier is Tier.USBIP:
                for number in range(1, at_once + 1):
                    here = usbip_place(_folder(open_places), work / f"place-{number}")
                    places.add([await open_places.enter_async_context(here)])
            else:
                machine = LabMachine(await built_image(image), work / "console")
                await open_places.enter_async_context(machine)
                tell(f"the virtual machine was up after {machine.boot_s:.0f} s")
                place = machine_place(machine, _folder(open_places))
                places.add([await open_places.enter_async_context(place)])
            phones[str(tier)] = Phone(
                name="virtual-headset",
                directory=Path(),
                ics=answers,
                found_by=usb_headset.found_by(),
                wrong={slug: one.wrong for slug, one in DEFECTS.items()},
                goldens=goldens_of(usb_headset.CATEGORY, GOLDEN),
                carry_out=places.carry_out,
                tier=str(tier),
            )
        return await score(
            phones, drawn, usb_headset.asked(of), scope=scope, seed=seed, at_once=at_once + 1, work=work, clock=clock,
            tell=tell, category=usb_headset.CATEGORY,
        )  # fmt: skip


def _folder(stack: AsyncExitStack) -> Path:
    """A folder with a short name: a socket file's path may have 107 bytes only."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headset-")))
