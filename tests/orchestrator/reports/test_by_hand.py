"""What people measured stands in the report: who, on which unit, told to do what, and with which instrument."""

import dataclasses
from datetime import date, timedelta
from typing import Any

import pytest
import small_programme as small
from pydantic import ValidationError
from reports.on_record import NOW, composed, recorded

from lab_inventory.lab import Calibration
from lab_inventory.measurement import Unit
from lab_inventory.programme import Programme
from orchestrator.lifecycle.prompt import MeasuredByHand, PromptAnsweredByOne, PromptConfirmed, PromptState, PromptView
from orchestrator.pipeline.judge import judge
from orchestrator.reports.content import Recorded, TestReport, against
from orchestrator.reports.rendering import html, pdf
from orchestrator.reports.sheet import Sheet


def programme(*by_hand: str) -> Programme:
    """The small programme; people measure these requirements."""
    data = small.SMALL.model_dump(mode="json", exclude_none=True)
    data["requirements"] = [
        one | {"case": "", "instructions": f"Measure {one['id']}."} if one["id"] in by_hand else one
        for one in data["requirements"]
        if one["id"] in by_hand or len(by_hand) < 3
    ]
    kept = {one["case"] for one in data["requirements"]}
    cases = [case for case in data["suites"][0]["cases"] if case["id"] in kept]
    data["suites"] = [data["suites"][0] | {"cases": cases}] if cases else []
    return Programme.model_validate(data)


def prompt(number: int, *measured: MeasuredByHand) -> PromptView:
    answer = PromptAnsweredByOne(
        prompt=f"prm-{number}", entry="mes-1", by="opal", serial="SN 12", measured=measured, at=NOW + timedelta(days=1)
    )
    confirmed = PromptConfirmed(prompt=f"prm-{number}", entry="cnf-1", by="otto", answer="mes-1", at=NOW)
    return PromptView(
        prompt=f"prm-{number}",
        submission="sub-1",
        requirement=f"R-{number}",
        state=PromptState.CONFIRMED,
        second_person=True,
        opened_at=NOW,
        due_at=NOW + timedelta(days=14),
        entries=(answer, confirmed),
    )


METER: dict[str, Any] = {
    "instrument": "meter-1",
    "calibration": Calibration(method="certificate 17", due_on=date(2999, 1, 31)),
}
GAIN = MeasuredByHand(quantity="gain_db", unit=Unit.DECIBEL, value=0.0, uncertainty=0.1, **METER)
LOST = MeasuredByHand(quantity="lost", unit=Unit.COUNT, value=0)
RINGING = MeasuredByHand(quantity="ringing_ms", unit=Unit.MILLISECOND, value=100.0, uncertainty=1.0, **METER)
ANSWERED = MeasuredByHand(quantity="answered", unit=Unit.BOOL, value=True)
DIGITS = MeasuredByHand(quantity="digits", unit=Unit.BOOL, value=True)


def mixed() -> Recorded:
    """R-2 by hand, the rest by a run."""
    of = programme("R-2")
    run = small.attempt(1, *small.all_well(leave_out=["TC-2"]), cases=["TC-1", "TC-3"])
    view = dataclasses.replace(small.view(run, against=of), prompts=(prompt(2, GAIN, LOST),))
    return recorded(run, view=view, judgement=judge(view, of), programme=of)


def throughout() -> Recorded:
    """All by hand."""
    of = programme("R-1", "R-2", "R-3")
    prompts = (prompt(1, RINGING, ANSWERED), prompt(2, GAIN, LOST), prompt(3, DIGITS))
    view = dataclasses.replace(small.view(against=of), prompts=prompts)
    return recorded(view=view, judgement=judge(view, of), programme=of, runs=[])


def test_a_report_of_runs_and_people_tells_of_both() -> None:
    report = composed(mixed())
    assert report.earned == "certified"
    (by_hand,) = report.by_hand
    assert (by_hand.requirement, by_hand.serial, by_hand.by, by_hand.confirmed_by) == ("R-2", "SN 12", "opal", "otto")
    assert by_hand.instructions == "Measure R-2."
    assert [(one.instrument, one.kind) for one in report.instruments] == [("sip", "sip-rtp"), ("meter-1", "by-hand")]
    assert [one.requirement for one in report.methods] == ["R-1", "R-3"]
    assert report.tested_to == NOW + timedelta(days=1)
    page = html(report)
    for word in ("By hand", "SN 12", "opal, confirmed by otto", "Measure R-2.", "certificate 17", "2999-01-31"):
        assert word in page, word
    assert pdf(report).startswith(b"%PDF")


def test_a_report_of_people_alone_has_no_runs_and_is_printed() -> None:
    report = composed(throughout())
    assert (report.items, report.attempts, report.methods, report.earned) == ((), (), (), "certified")
    assert [one.requirement for one in report.by_hand] == ["R-1", "R-2", "R-3"]
    assert [one.instrument for one in report.instruments] == ["meter-1"]
    assert "SN 12" in html(report)
    assert pdf(report).startswith(b"%PDF")


def test_a_report_without_people_is_written_as_before() -> None:
    assert "by_hand" not in composed().model_dump_json()


def test_a_prompt_that_was_given_up_stands_against_the_report() -> None:
    of = mixed()
    lapsed = dataclasses.replace(of.view.prompts[0], state=PromptState.LAPSED, entries=())
    view = dataclasses.replace(of.view, prompts=(lapsed,))
    found = against(dataclasses.replace(of, view=view, judgement=judge(view, of.programme)), Sheet())
    assert any(one.path == "verdicts.certified.R-2" and "was not answered" in one.wrong for one in found)


def test_what_people_measured_is_not_left_out() -> None:
    said = composed(mixed()).model_dump(mode="json")
    del said["by_hand"]
    with pytest.raises(ValidationError, match="does not tell how R-2 was measured"):
        TestReport.model_validate(said)


@pytest.mark.parametrize("field", ["items", "methods", "attempts", "instruments"])
def test_what_the_runs_measured_is_not_left_out_because_people_measured_too(field: str) -> None:
    for report in (composed(mixed()), composed()):
        with pytest.raises(ValidationError, match="expected what the runs measured"):
            TestReport.model_validate(report.model_dump() | {field: ()})
