"""What each attempt said of each case."""

from dataclasses import replace

import pytest
import small_programme as small

from lab_inventory.errors import InvariantBroken
from lab_inventory.messages import BenchChecked, DeviceIdentified, Ended, RunOutcome, Started
from orchestrator.pipeline.attempts import attempts_by_case, each_once, evidence_digest

WELL = BenchChecked(passed=True, measurements=())
SAME = DeviceIdentified(same=True, user_agent="Acme One")
CASE = small.ended("TC-2")


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
