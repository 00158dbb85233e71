"""One run of the headset suite on one subject, at a place that serves several in turn. Gives the end of each case."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.measure import LabError
from agents.score.headset_tiers import SEE_S, Place
from agents.score.one_run import HOST, Asked, asked_s
from agents.score.seeded import Subject
from lab_inventory.clock import Clock
from lab_inventory.device import Identity, IdentityKind, Product, Registration
from lab_inventory.ics import Answers
from lab_inventory.messages import Assignment, CaseEnded, DeviceUnderTest, RunOutcome
from lab_inventory.outcome import stall_budget


@dataclass(kw_only=True)
class Places:
    """The places of one tier; each run takes one that is free and gives it back."""

    ics: Answers
    clock: Clock
    _free: "asyncio.Queue[Place]" = field(default_factory=asyncio.Queue)

    def add(self, places: Sequence[Place]) -> None:
        """These are free now."""
        for place in places:
            self._free.put_nowait(place)

    async def carry_out(self, number: int, subject: Subject, asked: Asked) -> tuple[CaseEnded, ...]:
        """Switch the defect, look who is there, run. Raises LabError where the run does not end as it should."""
        place = await self._free.get()
        try:
            sizes = {} if subject.defect is None else {subject.defect: 1.0 if subject.size is None else subject.size}
            await place.headset.switch(sizes)
            seen = await place.worker.ask({"see": _told(place)}, SEE_S)
            assignment = self._assignment(number, asked, place, seen)
            limit_s = assignment.deadline_s + SEE_S
            order = {"run": assignment.model_dump(mode="json")}
            said = await place.worker.ask(order, limit_s)
        finally:
            self._free.put_nowait(place)
        if said["outcome"] != str(RunOutcome.COMPLETED):
            raise LabError(f"the run did not complete: {said['reason']}")
        return tuple(CaseEnded.model_validate(one) for one in said["cases"])

    def _assignment(self, number: int, asked: Asked, place: Place, seen: dict[str, Any]) -> Assignment:
        device = f"device-{number}"
        budget = stall_budget(asked.programme)
        deadline_s = 4 * asked_s(asked) + 120
        return Assignment(
            run=f"run-{number}",
            attempt=1,
            submission=f"submission-{number}",
            host=HOST,
            bench="score-bench",
            slot=place.slot,
            instruments=(asked.instrument,),
            dut=DeviceUnderTest(device=device, registration=self._registration(place, seen)),
            programme=asked.programme.id,
            programme_digest=asked.programme.digest,
            suite=asked.suite,
            cases=asked.cases,
            ics=self.ics,
            ixit={},
            epochs={f"device:{device}": 1, f"slot:{HOST}/{place.slot.name}": 1},
            ttl_s=deadline_s,
            deadline_s=deadline_s,
            stall_budget={case: sizes for case, sizes in budget.items() if case in {one.id for one in asked.cases}},
        )

    def _registration(self, place: Place, seen: dict[str, Any]) -> Registration:
        """As an agent would register what its probe saw; known by its place alone, since its serial may be missing."""
        return Registration(
            identity=Identity(kind=IdentityKind.SLOT, value=f"{HOST}/{place.slot.name}"),
            product=Product(
                maker=seen["maker"] or "unknown", model=seen["model"] or "unknown", firmware=seen["firmware"]
            ),
            category=place.slot.category,
            hardware_revision=place.slot.unit.hardware_revision,
            mode=place.slot.unit.mode,
            slot=place.slot.name,
            driver=None,
            user_agent=seen["said"],
            seen_at=self.clock.now(),
        )


def _told(place: Place) -> dict[str, Any]:
    """The slot as JSON, with what a worker needs to use it."""
    return place.slot.model_dump(mode="json", exclude_none=True)
