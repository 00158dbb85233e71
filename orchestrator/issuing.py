"""Issuing test reports: read what is on record, let the pure part put it together, commit, answer after the commit."""

from lab_inventory.canonical import canonical_bytes, sha256
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, NotFound, Problem
from lab_inventory.noun import says_nothing
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.report import ReportAmended, ReportIssued
from orchestrator.reports.content import Amends, TestReport, against, compose
from orchestrator.reports.sheet import Sheet
from orchestrator.store import report_views
from orchestrator.store.store import Store


class Issuing:
    """The desk for test reports; safe to be called from several threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def against(self, submission: str, sheet: Sheet, vendor: str | None = None) -> tuple[Problem, ...]:
        """Everything that stands against issuing a report of a submission now; raises NotFound."""
        with self._store.reading() as connection:
            recorded = report_views.recorded(connection, submission, vendor)
        if recorded is None:
            raise NotFound(f"there is no submission {submission[:80]}")
        return against(recorded, sheet)

    def issue(self, submission: str, sheet: Sheet, by: str) -> TestReport:
        """Issue a report; raises NotFound, and BadInput with everything that stands against it."""
        return self._issue(submission, sheet, by, None)

    def amend(self, number: str, because: str, sheet: Sheet, by: str) -> TestReport:
        """Issue a report in the place of another.

        Raises NotFound, BadInput, and Conflict where another took its place already.
        """
        if says_nothing(because):
            wrong = Problem(path="because", wrong=f"says {because!r}", expected="why it is amended, in a sentence")
            raise BadInput("the report is not amended", problems=(wrong,))
        with self._store.reading() as connection:
            submission = report_views.submission_of(connection, number)
        if submission is None:
            raise NotFound(f"there is no report {number[:80]}")
        return self._issue(submission, sheet, by, Amends(number=number, because=because))

    def _issue(self, submission: str, sheet: Sheet, by: str, amends: Amends | None) -> TestReport:
        with self._store.deciding() as connection:
            recorded = report_views.recorded(connection, submission)
            if recorded is None:
                raise NotFound(f"there is no submission {submission[:80]}")
            made = compose(recorded, sheet, by, self._clock.now(), self._clock.new_id, amends)
            if not isinstance(made, TestReport):
                raise BadInput("the report is not issued", problems=made)
            document = canonical_bytes(made)
            facts: list[Fact] = [ReportAmended(number=amends.number, amended_by=made.number)] if amends else []
            facts.append(
                ReportIssued(
                    number=made.number,
                    submission=submission,
                    amends=made.amends,
                    document=document.decode(),
                    document_digest=sha256(document),
                    by=by,
                    at=made.issued_at,
                )
            )
            self._store.commit(facts)
        return made
