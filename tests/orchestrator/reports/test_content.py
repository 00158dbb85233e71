"""The test report: what it says, and everything that keeps it from being issued."""

from dataclasses import replace
from datetime import timedelta

import pytest
import small_programme as small
from lab_world import basic
from on_record import CLOCK, NOW, SHEET, composed, recorded
from pydantic import ValidationError

from lab_inventory.errors import Problem
from lab_inventory.lab import Calibration
from lab_inventory.messages import Started
from lab_inventory.programme import DecisionRule
from lab_inventory.suite_score import SuiteScore
from orchestrator.pipeline.judge import judge
from orchestrator.reports.content import NOT_SCORED, RULES, Amends, Recorded, TestReport, against, compose
from orchestrator.reports.sheet import Sheet


def problems(of: Recorded, sheet: Sheet = SHEET) -> dict[str, Problem]:
    return {problem.path: problem for problem in against(of, sheet)}


def with_instrument(of: Recorded, **change: object) -> Recorded:
    assert of.lab is not None
    host = of.lab.hosts[0]
    bench = host.benches[0]
    instrument = bench.instruments[0].model_copy(update=change)
    other = bench.model_copy(update={"instruments": (instrument,)})
    host = host.model_copy(update={"benches": (other, *host.benches[1:])})
    return replace(of, lab=of.lab.model_copy(update={"hosts": (host,)}))


def test_it_says_who_tested_what_for_whom_how_and_with_which_result() -> None:
    report = composed()
    assert report.laboratory.name == "A Lab Ltd"
    assert report.customer.contact == "certification@acme.example"
    assert (report.items[0].unit, report.items[0].serial, report.items[0].runs) == ("dev-1", "<urn:uuid:1>", ("run-1",))
    assert (report.tested_from, report.tested_to) == (NOW - timedelta(minutes=5), NOW)
    assert [method.case for method in report.methods] == ["TC-1", "TC-2", "TC-3"]
    assert [level.met for level in report.levels] == [True, True]
    assert report.from_the_customer == {"ics.dtmf": "yes"}
    assert report.authorised_by.subject == "anna"
    assert report.notice == "DEMONSTRATION, grants nothing"
    assert "only to the items" in report.only_these_items


def test_a_fail_is_reported_as_what_it_is() -> None:
    attempt = small.attempt(1, *small.all_well(small.ended("TC-1", 2, ringing_ms=700.0)))
    report = composed(recorded(attempt))
    assert [level.met for level in report.levels] == [True, False]


def test_it_quotes_what_the_suite_is_worth_and_says_where_that_was_never_measured() -> None:
    score = SuiteScore(
        category="ip-phone",
        suite_version="1",
        programme="p 1",
        profile="digital",
        made_on=NOW.date(),
        seeded=60,
        found=59,
        healthy_runs=20,
        departures=0,
        false_fails_at_most=0.139,
        digest="sha256:" + "1" * 64,
    )
    scored = Started(suite_version="1", pid=1, score=score)

    assert composed().suite_scores == (NOT_SCORED,)
    assert composed(recorded(small.attempt(1, *small.all_well(), started=scored))).suite_scores == (score.words,)


def test_each_rule_that_a_level_may_have_is_told_with_its_risk() -> None:
    assert set(RULES) == set(DecisionRule)
    assert set(composed().decision_rules) == {"works-with", "certified"}


@pytest.mark.parametrize("field", sorted(TestReport.model_fields.keys() - {"waived", "samples", "suite_scores"}))
def test_each_field_that_is_taken_away_blocks_it_unless_it_says_nothing_by_being_there(field: str) -> None:
    said = composed().model_dump(mode="json")
    if field in {"format", "amends", "amended_because", "by_hand", "drivers"}:
        return
    del said[field]
    with pytest.raises(ValidationError, match=field):
        TestReport.model_validate(said)


def test_everything_that_stands_against_it_is_told_at_once() -> None:
    attempt = small.attempt(1, *small.all_well(small.not_measured("TC-2")))
    of = recorded(attempt)
    assert of.lab is not None
    found = problems(replace(of, lab=of.lab.model_copy(update={"laboratory": None})), Sheet())
    assert {"lab.laboratory", "verdicts.works-with.R-2", "verdicts.certified.R-2", "customer.name"} <= set(found)
    assert "is error" in found["verdicts.certified.R-2"].wrong


def test_a_submission_that_is_not_judged_is_not_reported() -> None:
    assert problems(recorded(judgement=None))["submission"].expected == "one that is judged"


def test_a_case_that_was_not_run_blocks_it() -> None:
    attempt = small.attempt(1, *small.all_well(leave_out=["TC-3"]))
    assert "not-run" in problems(recorded(attempt))["verdicts.certified.R-3"].wrong


def test_an_instrument_whose_calibration_was_due_before_the_tests_ended_blocks_it() -> None:
    overdue = Calibration(method="by a laboratory", due_on=NOW.date() - timedelta(days=1))
    assert "was due on" in problems(with_instrument(recorded(), calibration=overdue))["instruments.sip"].wrong
    today = Calibration(method="by a laboratory", due_on=NOW.date())
    assert problems(with_instrument(recorded(), calibration=today)) == {}


def test_an_instrument_of_which_the_lab_file_knows_nothing_blocks_it() -> None:
    assert problems(with_instrument(recorded(), name="another"))["instruments.sip"].wrong == "is not in the lab file"


def test_a_run_without_an_end_blocks_it() -> None:
    of = recorded()
    assert "runs.run-1" in problems(replace(of, runs=[replace(of.runs[0], ended_at=None)]))


def test_a_judgement_by_another_programme_is_not_reported_as_one_of_this() -> None:
    of = recorded()
    assert problems(replace(of, programme=basic()))["submission"].expected == small.SMALL.digest


def test_every_attempt_is_told_also_those_that_did_not_count() -> None:
    spoilt = small.attempt(1, *small.all_well(small.not_measured("TC-2")))
    again = small.attempt(2, *small.all_well())
    report = composed(recorded(spoilt, again))
    assert [(attempt.run, attempt.attempt) for attempt in report.attempts] == [("run-1", 1), ("run-2", 2)]


def test_an_amended_report_names_the_one_before_and_why() -> None:
    because = Amends(number="rep-1", because="The hardware revision was wrong.")
    report = compose(recorded(), SHEET, "anna", NOW, CLOCK.new_id, because)
    assert isinstance(report, TestReport)
    assert (report.amends, report.amended_because) == ("rep-1", "The hardware revision was wrong.")
    assert report.title == "Test report, amended"


def test_the_same_record_gives_the_same_report_but_for_its_number() -> None:
    of = recorded()
    assert judge(of.view, small.SMALL) == of.judgement
    assert composed(of).model_dump(exclude={"number"}) == composed(of).model_dump(exclude={"number"})
