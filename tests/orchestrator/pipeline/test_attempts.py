"""What each attempt said of each case."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import small_programme as small

from lab_inventory.errors import InvariantBroken
from lab_inventory.lab import Calibration, Instrument
from lab_inventory.messages import BenchChecked, DeviceIdentified, Ended, RunOutcome, Started
from orchestrator.lifecycle.verdict import Verdict
from orchestrator.pipeline.attempts import Distrust, attempts_by_case, each_once, evidence_digest
from orchestrator.pipeline.judge import judge

WELL = BenchChecked(passed=True, measurements=())
SAME = DeviceIdentified(same=True, user_agent="Acme One")
CASE = small.ended("TC-2")
TODAY = small.NOW.date()


def started(name: str = "sip", **calibration: Any) -> Started:
    instrument = Instrument(name=name, kind="any", calibration=Calibration(method="by the maker", **calibration))
    return Started(suite_version="1", pid=1, instruments=(instrument,))


def measured_by(first: Started) -> small.Attempt:
    end = Ended(outcome=RunOutcome.COMPLETED, within_deadline=True)
    return small.attempt_of(1, first, WELL, SAME, *small.all_well(), end)


def test_an_attempt_whose_bench_and_device_are_right_has_no_fault() -> None:
    (one,) = attempts_by_case(small.view(small.attempt_of(1, WELL, SAME, CASE)))["TC-2"]
    assert one.fault == ""
    assert one.ended == (CASE,)


@pytest.mark.parametrize(
    ("before", "fault"),
    [
        ((SAME,), "the bench did not check itself"),
        ((WELL, BenchChecked(passed=False, measurements=(), reason="loop late"), SAME), "loop late"),
        ((WELL,), "the device did not say who it is"),
        ((WELL, DeviceIdentified(same=False, user_agent="x", reason="other uuid")), "other uuid"),
    ],
    ids=["no bench check", "bench failed", "no identification", "another unit"],
)
def test_a_bench_or_a_device_that_is_not_right_makes_the_whole_attempt_worthless(
    before: tuple[BenchChecked | DeviceIdentified, ...], fault: str
) -> None:
    (one,) = attempts_by_case(small.view(small.attempt_of(1, *before, CASE)))["TC-2"]
    assert fault in one.fault


def test_a_case_that_a_run_did_not_come_to_has_an_attempt_with_the_reason_it_ended() -> None:
    ended = Ended(outcome=RunOutcome.ERROR, reason="phone hung", within_deadline=True)
    (one,) = attempts_by_case(small.view(small.attempt_of(1, Started(suite_version="1", pid=1), ended)))["TC-3"]
    assert one.ended == ()
    assert one.reason == "attempt 1 ended error: phone hung"


def test_attempts_come_in_their_own_order_whatever_order_the_view_has() -> None:
    view = small.view(small.attempt(2, CASE), small.attempt(1, CASE))
    assert [one.attempt for one in attempts_by_case(view)["TC-2"]] == [1, 2]


def test_a_report_that_stands_twice_is_taken_once() -> None:
    _, reports = small.attempt(1, CASE)
    assert each_once([*reversed(reports), *reports]) == reports
    assert evidence_digest([*reversed(reports), *reports]) == evidence_digest(reports)


def test_two_reports_under_one_number_are_never_both_judged() -> None:
    _, reports = small.attempt(1, CASE)
    with pytest.raises(InvariantBroken):
        each_once([*reports, replace(reports[0], digest=reports[1].digest)])


def test_a_report_of_a_run_that_is_not_the_submission_s_is_never_judged() -> None:
    view = small.view(small.attempt(1, CASE))
    with pytest.raises(InvariantBroken):
        attempts_by_case(replace(view, runs=()))


def test_the_evidence_digest_changes_with_every_report() -> None:
    _, reports = small.attempt(1, CASE)
    assert len({evidence_digest(reports[:length]) for length in range(len(reports) + 1)}) == len(reports) + 1


def test_what_an_instrument_measured_whose_calibration_was_overdue_is_inconclusive_and_names_it_and_the_day() -> None:
    view = small.view(measured_by(started(due_on=TODAY - timedelta(days=1))))
    judgement = judge(view, small.SMALL)
    verdict = small.requirement(judgement, "R-2", "works-with")
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.words == (
        f"gain_db proves nothing: the calibration of sip was due on {TODAY - timedelta(days=1)} (by the maker), "
        f"and it measured on {TODAY}"
    )
    assert judgement.earned is None


@pytest.mark.parametrize(
    "first",
    [
        started(due_on=TODAY),
        started(due_on=TODAY + timedelta(days=1)),
        started(),
        started("other", due_on=date(2000, 1, 1)),
        Started(suite_version="1", pid=1),
    ],
    ids=["due today", "due tomorrow", "never due", "another instrument", "an agent of an earlier version"],
)
def test_a_calibration_that_was_not_overdue_or_is_of_another_instrument_changes_nothing(first: Started) -> None:
    assert judge(small.view(measured_by(first)), small.SMALL).earned == "certified"


def test_only_what_was_measured_after_the_day_on_which_the_calibration_was_due_is_doubted() -> None:
    run, reports = measured_by(started(due_on=TODAY))
    late = [
        replace(one, report=one.report.model_copy(update={"at": small.NOW + timedelta(days=1)}))
        if getattr(one.report.body, "case", "") == "TC-2"
        else one
        for one in reports
    ]
    attempts = attempts_by_case(small.view((run, tuple(late))))
    assert [bool(attempts[case][0].distrusted) for case in small.REPEATS] == [False, True, False]


def test_what_a_run_began_with_keeps_its_digest_where_no_calibration_is_named() -> None:
    plain = Started(suite_version="1", pid=1)
    assert plain.model_dump(mode="json") == {"kind": "started", "suite_version": "1", "pid": 1}
    assert Started.model_validate_json(started(due_on=TODAY).model_dump_json()) == started(due_on=TODAY)


@pytest.mark.parametrize(
    ("distrust", "covered"),
    [
        (Distrust(instrument="sip"), True),
        (Distrust(instrument="sip", since=TODAY, until=TODAY), True),
        (Distrust(instrument="sip", since=TODAY + timedelta(days=1)), False),
        (Distrust(instrument="sip", until=TODAY - timedelta(days=1)), False),
        (Distrust(instrument="other"), False),
        (Distrust(instrument="sip", host="host-9"), False),
    ],
)
def test_an_instrument_can_be_left_out_by_name_host_and_days(distrust: Distrust, covered: bool) -> None:
    attempts = attempts_by_case(small.view(small.attempt(1, *small.all_well())), distrust)
    assert [bool(attempts[case][0].distrusted) for case in small.REPEATS] == [covered] * 3
