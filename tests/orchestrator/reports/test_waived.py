"""What is waived in reports: never green by itself, never left out."""

from xml.etree.ElementTree import Element, fromstring

import pytest
import small_programme as small
from on_record import composed, recorded
from pydantic import ValidationError
from waivers_by_hand import LATER, scope, waiver

from lab_inventory.messages import CaseEnded
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.waived import covering
from orchestrator.reports.content import Recorded, TestReport, against
from orchestrator.reports.junit import junit
from orchestrator.reports.rendering import html, pdf
from orchestrator.reports.sheet import Sheet

TOO_LOUD = small.ended("TC-2", gain_db=9.0)


def waived(body: CaseEnded = TOO_LOUD, *levels: str) -> Recorded:
    """On record with R-2 waived at some levels."""
    attempt = small.attempt(1, *small.all_well(body))
    view = small.view(attempt)
    by = covering([waiver(scope("R-2", *levels))], view, small.SMALL, small.NOW)
    return recorded(attempt, judgement=judge(view, small.SMALL, by))


def test_a_report_lists_what_is_not_met_with_its_waiver_and_shows_it_on_every_page_form() -> None:
    report = composed(waived())
    assert [(one.level, one.requirement, one.verdict, one.waiver, one.ends_on) for one in report.waived] == [
        ("works-with", "R-2", "fail", "wai-1", LATER)
    ]
    page = html(report)
    assert "Not met, and waived." in page
    assert "wai-1: fixed in spring" in page
    assert "fail waived" in page
    assert "pass waived" not in page
    assert pdf(report).startswith(b"%PDF")


def test_a_report_without_waivers_is_written_as_it_always_was() -> None:
    assert "waive" not in composed().model_dump_json()
    assert "waive" not in html(composed())


def test_a_report_from_which_a_waiver_is_taken_away_is_refused() -> None:
    said = composed(waived()).model_dump(mode="json")
    del said["waived"]
    with pytest.raises(ValidationError, match="expected each of their waivers"):
        TestReport.model_validate(said)


def test_what_could_not_be_judged_is_reported_where_it_is_waived_and_blocks_where_it_is_not() -> None:
    paths = {problem.path for problem in against(waived(small.not_measured("TC-2")), Sheet())}
    assert "verdicts.certified.R-2" in paths
    assert "verdicts.works-with.R-2" not in paths
    report = composed(waived(small.not_measured("TC-2"), "works-with", "certified"))
    assert {one.verdict for one in report.waived} == {"error"}


def test_a_pass_that_is_waived_is_told_with_what_is_wrong_with_it() -> None:
    report = composed(waived(small.ended("TC-2", gain_db=0.95), "certified"))
    (one,) = report.waived
    assert (one.verdict, one.flags) == ("pass", ("marginal",))
    assert "pass marginal waived" in html(report)


def suite_of(of: Recorded, level: str) -> Element:
    assert of.judgement is not None
    root = fromstring(junit(of.judgement, of.view.content, small.SMALL))  # noqa: S314 - our own
    (found,) = [suite for suite in root if suite.get("name") == f"small.{level}"]
    return found


def test_in_junit_a_waived_fail_is_still_a_failure_and_names_its_waiver_and_the_level_is_not() -> None:
    suite = suite_of(waived(), "works-with")
    assert suite.get("failures") == "1"
    itself, *_ = suite.findall("testcase")
    assert itself.find("failure") is None
    assert "met by waivers" in "".join(itself.itertext())
    (failure,) = suite.findall("testcase/failure")
    assert f"waived by wai-1 until {LATER}: fixed in spring" in (failure.get("message") or "")


def test_in_junit_a_waived_pass_names_its_waiver_too() -> None:
    suite = suite_of(waived(small.ended("TC-2", gain_db=0.95), "certified"), "certified")
    assert suite.get("failures") == "0"
    assert "waived by wai-1" in "".join(suite.itertext())
