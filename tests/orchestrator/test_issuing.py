"""Issuing test reports on a real database: what is issued stays, an amended one says so, and the audit watches both."""

import sys
from pathlib import Path

import pytest
from lab_world import World, lab, registration
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent / "reports"))

from on_record import LABORATORY, SHEET

from lab_inventory.canonical import canonical_bytes
from lab_inventory.errors import BadInput, Conflict, NotFound
from orchestrator.issuing import Issuing
from orchestrator.reports.content import TestReport
from orchestrator.reports.sheet import Sheet
from orchestrator.store import report_views
from orchestrator.store.audit import audit

BECAUSE = "The condition of the item was noted wrongly."


@pytest.fixture
def submission(world: World) -> str:
    """A judged submission in a lab that says who it is."""
    world.desk.apply_lab(lab().model_copy(update={"laboratory": LABORATORY}), "op")
    world.heartbeat(registration(1))
    (made,) = world.submit().submissions
    assignment = world.take(*world.tick())
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    return made


@pytest.fixture
def issuing(world: World) -> Issuing:
    return Issuing(world.store, world.clock)


def findings(world: World) -> str:
    with world.store.reading() as connection:
        return "\n".join(audit(connection).findings)


def states(world: World, submission: str) -> dict[str, str]:
    with world.store.reading() as connection:
        return {row["number"]: row["state"] for row in report_views.issued(connection, submission)}


def test_a_report_is_kept_byte_for_byte_as_it_was_issued(world: World, issuing: Issuing, submission: str) -> None:
    report = issuing.issue(submission, SHEET, "anna")
    with world.store.reading() as connection:
        found = report_views.document(connection, report.number)
    assert found == (canonical_bytes(report).decode(), None)
    assert TestReport.model_validate_json(found[0]) == report
    assert findings(world) == ""


def test_with_anything_against_it_nothing_is_issued(world: World, issuing: Issuing, submission: str) -> None:
    with pytest.raises(BadInput) as refused:
        issuing.issue(submission, Sheet(), "anna")
    assert {problem.path for problem in refused.value.problems} >= {"customer.name", "deviations"}
    assert states(world, submission) == {}


def test_an_amended_report_takes_the_place_of_one_which_stays(world: World, issuing: Issuing, submission: str) -> None:
    first = issuing.issue(submission, SHEET, "anna")
    second = issuing.amend(first.number, BECAUSE, SHEET, "anna")
    assert states(world, submission) == {first.number: "amended", second.number: "issued"}
    with world.store.reading() as connection:
        found = report_views.document(connection, first.number)
    assert found is not None
    assert found[1] == second.number
    assert findings(world) == ""


def test_no_two_reports_take_the_place_of_one(world: World, issuing: Issuing, submission: str) -> None:
    first = issuing.issue(submission, SHEET, "anna")
    second = issuing.amend(first.number, BECAUSE, SHEET, "anna")
    with pytest.raises(Conflict, match="is amended"):
        issuing.amend(first.number, BECAUSE, SHEET, "anna")
    assert len(states(world, submission)) == 2
    assert issuing.amend(second.number, BECAUSE, SHEET, "anna").amends == second.number


def test_a_reason_that_says_nothing_amends_nothing(world: World, issuing: Issuing, submission: str) -> None:
    first = issuing.issue(submission, SHEET, "anna")
    with pytest.raises(BadInput, match="not amended"):
        issuing.amend(first.number, "n/a", SHEET, "anna")
    assert states(world, submission) == {first.number: "issued"}


def test_what_is_not_there_is_not_reported(issuing: Issuing) -> None:
    with pytest.raises(NotFound, match="no submission sub-x"):
        issuing.issue("sub-x", SHEET, "anna")
    with pytest.raises(NotFound, match="no report rep-x"):
        issuing.amend("rep-x", BECAUSE, SHEET, "anna")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE test_reports SET document = replace(document, 'Undamaged', 'Damaged')", "was changed"),
        ("UPDATE test_reports SET amended_by = 'rep-0'", "amended_by is rep-0"),
        ("UPDATE test_reports SET state = 'issued'", "the journal says amended"),
        ("UPDATE test_reports SET \"by\" = 'berta'", "by is berta"),
        ("DELETE FROM test_reports", "the journal says issued"),
    ],
)
def test_what_was_changed_by_hand_is_found(
    world: World, issuing: Issuing, submission: str, statement: str, words: str
) -> None:
    issuing.amend(issuing.issue(submission, SHEET, "anna").number, BECAUSE, SHEET, "anna")
    with world.store.administering() as connection:
        connection.execute(text(statement))
    assert words in findings(world)
