"""Whom spoilt runs speak against, and what a probation's judgement means."""

from collections.abc import Mapping
from typing import Any

import pytest
import small_lab
from small_programme import all_well, attempt, ended, not_measured, view

from lab_inventory.clock import ManualClock
from lab_inventory.device import Intent, Presence
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.batch import BatchAccepted
from orchestrator.lifecycle.quarantine import ProbationFailed, QuarantineEnded, RecoveryGivenUp
from orchestrator.lifecycle.run import RunQueued, RunState
from orchestrator.lifecycle.snapshot import EndedRun
from orchestrator.pipeline import quarantine
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.quarantine import Blame
from tests.orchestrator.small_programme import SMALL


def ran(number: int = 1, device: str = "dev-1", **change: Any) -> EndedRun:
    """A run that measured everything."""
    fields: dict[str, Any] = {
        "run": f"run-{number}",
        "device": device,
        "state": RunState.COMPLETED,
        "reason": "",
        "reported": True,
        "bench_passed": True,
        "identified": True,
        "cases_in_error": 0,
    }
    return EndedRun(**(fields | change))


UNIT: Mapping[str, Any] = {"cases_in_error": 2, "reason": "TC-1: the driver is dead"}
BENCH: Mapping[str, Any] = {"bench_passed": False, "state": RunState.ERROR, "reason": "late by 80 ms"}


@pytest.mark.parametrize(
    ("change", "whom"),
    [
        ({}, Blame.WELL),
        (UNIT, Blame.UNIT),
        ({"identified": False, "state": RunState.ERROR}, Blame.UNIT),
        ({"state": RunState.ERROR}, Blame.UNIT),
        (BENCH, Blame.BENCH),
        ({"accompanied": True}, Blame.WELL),
        ({**UNIT, "accompanied": True}, Blame.NOTHING),
        ({**BENCH, "accompanied": True}, Blame.BENCH),
        ({"state": RunState.LAPSED}, Blame.NOTHING),
        ({"state": RunState.CANCELLED, "cases_in_error": 3}, Blame.NOTHING),
        ({"state": RunState.ERROR, "reported": False, "bench_passed": None, "identified": False}, Blame.NOTHING),
    ],
)
def test_a_run_speaks_against_what_spoilt_it(change: Mapping[str, Any], whom: Blame) -> None:
    assert quarantine.blame(ran(**change)) is whom


def test_three_spoilt_runs_in_a_row_take_a_unit_out_with_the_last_reason() -> None:
    found = quarantine.against_unit("dev-1", [ran(3, **UNIT), ran(2, **UNIT), ran(1, **UNIT)], small_lab.NOW)
    assert found is not None
    assert found.resource == "device:dev-1"
    assert found.runs == ("run-3", "run-2", "run-1")
    assert found.reason == "it could not be measured on 3 runs in a row; the last: TC-1: the driver is dead"


@pytest.mark.parametrize(
    "runs",
    [
        [ran(3, **UNIT), ran(2, **UNIT)],
        [ran(3, **UNIT), ran(2), ran(1, **UNIT), ran(0, **UNIT)],
        [ran(3), ran(2, **UNIT), ran(1, **UNIT), ran(0, **UNIT)],
        [ran(3, **BENCH), ran(2, **BENCH), ran(1, **BENCH)],
    ],
)
def test_a_unit_stays_where_it_is_not_its_own_last_three_runs(runs: list[EndedRun]) -> None:
    assert quarantine.against_unit("dev-1", runs, small_lab.NOW) is None


def test_what_its_bench_spoilt_and_what_says_nothing_is_passed_over() -> None:
    between = [ran(9, **BENCH), ran(8, state=RunState.LAPSED)]
    runs = [ran(3, **UNIT), *between, ran(2, **UNIT), ran(1, **UNIT)]
    assert quarantine.against_unit("dev-1", runs, small_lab.NOW) is not None


def test_a_bench_that_fails_its_own_check_three_times_is_taken_out() -> None:
    runs = [ran(3, "dev-2", **BENCH), ran(2, **BENCH), ran(1, **BENCH)]
    found = quarantine.against_bench("bench-1", runs, small_lab.NOW)
    assert found is not None
    assert found.resource == "bench:bench-1"
    assert "did not pass its own check in 3 runs in a row; the last: late by 80 ms" in found.reason


def test_a_bench_on_which_several_units_cannot_be_measured_one_after_the_other_is_taken_out() -> None:
    several = [ran(n, f"dev-{n % 2}", **UNIT) for n in range(4)]
    assert quarantine.against_bench("bench-1", several, small_lab.NOW) is not None
    one = [ran(n, "dev-1", **UNIT) for n in range(4)]
    assert quarantine.against_bench("bench-1", one, small_lab.NOW) is None
    with_a_good_one = [*several[:3], ran(9, "dev-1")]
    assert quarantine.against_bench("bench-1", with_a_good_one, small_lab.NOW) is None


def test_the_unit_of_a_probation_is_there_in_service_and_has_a_driver() -> None:
    hosts = {"host-1": small_lab.host_view(small_lab.host())}
    gone = small_lab.device("dev-1", presence=Presence.ABSENT)
    held = small_lab.device("dev-1", intent=Intent.HELD)
    for device in (gone, held):
        assert quarantine.unit_for("device:dev-1", [device], hosts, {}) is None
        assert quarantine.unit_for("bench:bench-of-host-1", [device], hosts, {}) is None
    units = [small_lab.device("dev-1"), small_lab.device("dev-2", "slot-2")]
    out = {"device:dev-1": small_lab.quarantine("device:dev-1")}
    found = quarantine.unit_for("bench:bench-of-host-1", units, hosts, out)
    assert found is not None
    assert found.device == "dev-2", "one that is not in quarantine itself says more about its bench"


def test_a_probation_is_a_batch_bound_to_the_very_unit() -> None:
    programme = quarantine.probation_programme("ip-phone", shipped_programmes())
    assert programme is not None
    view_of = small_lab.quarantine(attempts=1)
    new_id = ManualClock().new_id
    batch, run, begun = quarantine.begin_probation(
        view_of, small_lab.device(), programme, "assay", small_lab.NOW, new_id
    )
    assert isinstance(batch, BatchAccepted)
    assert isinstance(run, RunQueued)
    assert batch.submissions[0].content.unit == "dev-1"
    assert (begun.entity, begun.journal_entry()["attempt"]) == ("device:dev-1", 2)


def test_a_unit_that_fails_in_its_probation_is_well_for_the_lab_measured_it() -> None:
    judgement = judge(view(attempt(1, *all_well(ended("TC-1", answered=False)))), SMALL)
    (fact,) = quarantine.end_probation(small_lab.quarantine(attempts=1), judgement, small_lab.NOW)
    assert isinstance(fact, QuarantineEnded)


def test_a_probation_that_the_lab_could_not_measure_has_failed_and_after_three_a_person_is_needed() -> None:
    judgement = judge(view(attempt(1, *all_well(not_measured("TC-2")))), SMALL)
    (fact,) = quarantine.end_probation(small_lab.quarantine(attempts=2), judgement, small_lab.NOW)
    assert isinstance(fact, ProbationFailed)
    assert "R-2" in fact.reason
    failed, given_up = quarantine.end_probation(small_lab.quarantine(attempts=3), judgement, small_lab.NOW)
    assert isinstance(failed, ProbationFailed)
    assert isinstance(given_up, RecoveryGivenUp)


def test_a_probation_that_was_cancelled_has_failed() -> None:
    (fact,) = quarantine.end_probation(small_lab.quarantine(attempts=1), None, small_lab.NOW)
    assert isinstance(fact, ProbationFailed)
    assert fact.reason == "it was cancelled"
