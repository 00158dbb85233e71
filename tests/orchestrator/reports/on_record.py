"""A submission on record that could be reported, and a sheet that was filled in well."""

from datetime import date, timedelta
from typing import Any

import small_programme as small
from lab_world import lab

from lab_inventory.clock import ManualClock
from lab_inventory.lab import Laboratory
from orchestrator.pipeline.judge import judge
from orchestrator.reports.content import Recorded, RunRecord, TestReport, compose
from orchestrator.reports.sheet import AuthoriserSheet, CustomerSheet, ItemSheet, Sheet

CLOCK = ManualClock()
NOW = CLOCK.now()
LABORATORY = Laboratory(name="A Lab Ltd", address="1 Bench Road, Anytown", contact="lab@example.org")
SHEET = Sheet(
    customer=CustomerSheet(name="Acme", contact="certification@acme.example"),
    item=ItemSheet(
        received_on=date(2026, 11, 2),
        condition="Undamaged, sealed, as sold.",
        sampling="Chosen and sent by the vendor; the laboratory took no sample.",
    ),
    environment="On the bench's own network without impairment, at 20 to 24 degrees Celsius.",
    deviations="The methods were followed without deviation.",
    authorised_by=AuthoriserSheet(name="Anna Example", function="Head of the laboratory"),
)


def recorded(*attempts: small.Attempt, **change: Any) -> Recorded:
    """Of a judged submission; without attempts of one that measured well."""
    of = attempts or (small.attempt(1, *small.all_well()),)
    view = small.view(*of)
    there = lab().model_copy(update={"laboratory": LABORATORY})
    fields: dict[str, Any] = {
        "view": view,
        "judgement": judge(view, small.SMALL),
        "programme": small.SMALL,
        "lab": there,
        "runs": [
            RunRecord(
                run=run.run,
                state=run.state.value,
                reason="",
                host="host-1",
                slot="slot-1",
                device="dev-1",
                identity="<urn:uuid:1>",
                started_at=NOW - timedelta(minutes=5),
                ended_at=NOW,
            )
            for run in view.runs
        ],
    }
    return Recorded(**{**fields, **change})


def composed(of: Recorded | None = None, sheet: Sheet = SHEET) -> TestReport:
    made = compose(of or recorded(), sheet, "anna", NOW, CLOCK.new_id)
    assert isinstance(made, TestReport), made
    return made
