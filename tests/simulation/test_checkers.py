"""Each checker accepts a history in which all is well, and rejects one that was corrupted for it."""

import json
from collections.abc import Callable
from copy import deepcopy

import pytest

from tests.simulation import checkers
from tests.simulation.history import History, Tables, Touch

EPOCHS = {"device:dev-1": 1, "slot:host-1/slot-1": 1}
LATER = {"device:dev-1": 2, "slot:host-1/slot-1": 2}


def touch(run: str, at_s: float, epochs: dict[str, int]) -> Touch:
    return Touch(at_s=at_s, run=run, epochs=epochs, right_until_s=100.0)


def lease(number: int, epochs: dict[str, int], state: str) -> dict[str, object]:
    return {"lease": f"lea-{number}", "run": f"run-{number}", "state": state, "epochs": json.dumps(epochs)}


def run(number: int, attempt: int, state: str) -> dict[str, object]:
    fields = {"submission": "sub-1", "suite": "suite", "batch": "bat-1", "device": "dev-1"}
    return {"run": f"run-{number}", "attempt": attempt, "state": state, **fields}


def all_well() -> tuple[History, Tables]:
    """Two attempts: the first lapsed, the second runs; one report each."""
    now = Tables(
        leases=(lease(1, EPOCHS, "lapsed"), lease(2, LATER, "live")),
        runs=(run(1, 1, "lapsed"), run(2, 2, "running")),
        batches=({"batch": "bat-1", "state": "open"},),
        submissions=({"submission": "sub-1", "state": "open", "model": "One"},),
        reports=({"run": "run-1", "seq": 1, "digest": "a"}, {"run": "run-2", "seq": 1, "digest": "b"}),
        idempotency=({"key": "key-1"},),
    )
    history = History(
        touches=[touch("run-1", 1.0, EPOCHS), touch("run-2", 50.0, LATER)],
        accepted={"key-1": "bat-1"},
        told=[("key-1", "bat-1")],
        renewed=[("run-2", "live")],
        written={"run-1": {1: "a"}, "run-2": {1: "b"}},
        acknowledged={"run-1": 1},
        before=deepcopy(now),
    )
    return history, now


def judged(history: History, now: Tables, *, model: str, earned: str | None, verdict: str) -> None:
    body = {"earned": earned, "levels": [{"requirements": [{"verdict": verdict}]}]}
    now.submissions = ({"submission": "sub-1", "state": "judged", "model": model},)
    now.judgements = ({"submission": "sub-1", "digest": "d", "body": json.dumps(body)},)
    history.bad_products = frozenset({"Bad"})


def two_live(history: History, now: Tables) -> None:
    now.leases = (lease(1, EPOCHS, "live"), lease(2, LATER, "live"))


def same_epoch_twice(history: History, now: Tables) -> None:
    now.leases = (lease(1, EPOCHS, "lapsed"), lease(2, EPOCHS, "live"))


def old_driver_comes_back(history: History, now: Tables) -> None:
    history.touches.append(touch("run-1", 60.0, EPOCHS))


def driven_after_the_lease(history: History, now: Tables) -> None:
    history.touches.append(touch("run-2", 101.0, LATER))


def a_lapsed_one_renewed(history: History, now: Tables) -> None:
    history.renewed.append(("run-1", "lapsed"))


def a_batch_lost(history: History, now: Tables) -> None:
    now.batches = now.runs = now.idempotency = ()
    history.before = Tables()


def two_batches_for_a_key(history: History, now: Tables) -> None:
    history.told.append(("key-1", "bat-2"))


def counted_late(history: History, now: Tables) -> None:
    now.reports += ({"run": "run-1", "seq": 2, "digest": "c"},)
    history.written["run-1"][2] = "c"


def a_gap(history: History, now: Tables) -> None:
    now.reports += ({"run": "run-2", "seq": 3, "digest": "c"},)
    history.written["run-2"][3] = "c"


def another_content(history: History, now: Tables) -> None:
    history.written["run-2"][1] = "z"


def acknowledged_and_lost(history: History, now: Tables) -> None:
    history.acknowledged["run-2"] = 2


def revived(history: History, now: Tables) -> None:
    now.runs = (run(1, 1, "running"), run(2, 2, "running"))


def gone(history: History, now: Tables) -> None:
    now.leases = now.leases[1:]


def overwritten(history: History, now: Tables) -> None:
    now.reports = now.reports[1:]


def attempt_left_out(history: History, now: Tables) -> None:
    now.runs = (run(1, 1, "lapsed"), run(2, 3, "running"))


def good_fails(history: History, now: Tables) -> None:
    judged(history, now, model="One", earned=None, verdict="fail")


def bad_earns(history: History, now: Tables) -> None:
    judged(history, now, model="Bad", earned="certified", verdict="pass")


def judged_otherwise(history: History, now: Tables) -> None:
    judged(history, now, model="One", earned="certified", verdict="pass")
    history.rejudged["sub-1"] = "e"


def held_and_placed(history: History, now: Tables) -> None:
    history.placed_though.append("run-2 was placed though device dev-1 was held")


def cancelled_and_running(history: History, now: Tables) -> None:
    history.cancelled.add("bat-1")
    now.batches = ({"batch": "bat-1", "state": "cancelled"},)


def placed_in_quarantine(history: History, now: Tables) -> None:
    history.placed_in_quarantine.append("run-2 was placed on dev-1")


def probation_without_a_batch(history: History, now: Tables) -> None:
    now.quarantines = ({"resource": "device:dev-1", "state": "probation", "batch": "bat-9"},)


def audit_finds(history: History, now: Tables) -> None:
    history.audit = ("the chain is broken at 3",)


CORRUPTED: tuple[tuple[Callable[[History, Tables], None], checkers.Checker], ...] = (
    (two_live, checkers.one_live_lease),
    (same_epoch_twice, checkers.epochs_grow),
    (old_driver_comes_back, checkers.one_driver),
    (driven_after_the_lease, checkers.inside_the_lease),
    (a_lapsed_one_renewed, checkers.renewed_while_live),
    (a_batch_lost, checkers.accepted_is_kept),
    (two_batches_for_a_key, checkers.one_batch_per_key),
    (counted_late, checkers.counted_under_the_lease),
    (a_gap, checkers.reports_in_sequence),
    (another_content, checkers.reports_in_sequence),
    (acknowledged_and_lost, checkers.acknowledged_is_kept),
    (revived, checkers.ends_are_final),
    (gone, checkers.ends_are_final),
    (overwritten, checkers.attempts_stay),
    (attempt_left_out, checkers.attempts_stay),
    (good_fails, checkers.verdicts_are_true),
    (bad_earns, checkers.verdicts_are_true),
    (judged_otherwise, checkers.verdicts_are_true),
    (held_and_placed, checkers.people_are_obeyed),
    (cancelled_and_running, checkers.people_are_obeyed),
    (placed_in_quarantine, checkers.quarantine_holds),
    (probation_without_a_batch, checkers.quarantine_holds),
    (audit_finds, checkers.journal_agrees),
)


def test_where_all_is_well_nothing_is_found() -> None:
    assert list(checkers.violations(*all_well())) == []


@pytest.mark.parametrize(("corrupt", "checker"), CORRUPTED, ids=lambda named: named.__name__)
def test_a_corrupted_history_is_rejected(corrupt: Callable[[History, Tables], None], checker: checkers.Checker) -> None:
    history, now = all_well()
    corrupt(history, now)
    assert list(checker(history, now))


def test_every_checker_has_a_history_made_for_it() -> None:
    assert {checker for _, checker in CORRUPTED} == set(checkers.CHECKERS)


def test_what_still_goes_on_is_unfinished() -> None:
    assert len(list(checkers.unfinished(all_well()[1]))) == 4
