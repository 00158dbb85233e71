"""One repeat of one case of a run, with everything that is on record of it. Reads only."""

from sqlalchemy import Connection, select

from lab_inventory.messages import CaseEnded, DeviceIdentified, RunReport, Started
from orchestrator.lifecycle.recorded_case import CaseView
from orchestrator.store import tables as t
from orchestrator.store import views

KINDS = ("started", "device-identified", "case-ended")


def case(connection: Connection, run: str, case_id: str, repeat: int, vendor: str | None = None) -> CaseView | None:
    """The repeat of a case of a run, or None where nothing counts of it; for a vendor only of its own products.

    Where a repeat was told twice, it is the last.
    """
    found = views.run(connection, run)
    content = views.content(connection, found.submission) if found else None
    if found is None or content is None or (vendor is not None and content[0].vendor != vendor):
        return None
    programme = views.programme(connection, content[1])
    told = (t.reports.c.run == run) & t.reports.c.kind.in_(KINDS)
    rows = connection.execute(select(t.reports.c.body).where(told).order_by(t.reports.c.seq))
    bodies = [RunReport.model_validate_json(row).body for row in rows.scalars()]
    of_case = {body.repeat: body for body in bodies if isinstance(body, CaseEnded) and body.case == case_id}
    if programme is None or repeat not in of_case:
        return None
    started = next((body for body in bodies if isinstance(body, Started)), None)
    identified = next((body for body in bodies if isinstance(body, DeviceIdentified)), None)
    return CaseView(
        run=run,
        attempt=found.attempt,
        submission=found.submission,
        suite=found.suite,
        cases=found.cases,
        content=content[0],
        programme=programme,
        registration=views.placed_unit(connection, run),
        suite_version=started.suite_version if started else "",
        user_agent=identified.user_agent if identified else "",
        ended=of_case[repeat],
        repeats=tuple(sorted(of_case)),
    )
