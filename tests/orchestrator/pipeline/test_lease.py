"""Granting, renewing, lapsing."""

from dataclasses import replace
from typing import Any

import pytest
import small_lab

from lab_inventory.clock import ManualClock
from lab_inventory.device import DriverFacts
from lab_inventory.messages import Renewal, Standing
from orchestrator.lifecycle.lease import LeaseGranted, LeaseLapsed, LeaseReleased, LeaseRevoked, LeaseState
from orchestrator.lifecycle.run import RunErrored, RunLapsed, RunPlaced, RunState
from orchestrator.lifecycle.snapshot import LeaseView
from orchestrator.pipeline.lease import grant, lapse, lapsed, refuse, release, standing
from orchestrator.pipeline.plan import deadline_s
from orchestrator.pipeline.schedule.place import Placement


def granted(epochs: dict[str, int], **queued: Any) -> tuple[LeaseGranted, RunPlaced]:
    placement = Placement(
        run=small_lab.queued(**queued), device=small_lab.device(), resources=("device:dev-1", "slot:host-1/slot-1")
    )
    lease, run = grant(placement, small_lab.snapshot(epochs=epochs), 900.0, small_lab.NOW, ManualClock().new_id)
    assert isinstance(lease, LeaseGranted)
    assert isinstance(run, RunPlaced)
    return lease, run


def test_every_resource_gets_the_epoch_after_its_own_last() -> None:
    lease, _ = granted({"device:dev-1": 4, "slot:host-2/slot-1": 9})
    assert lease.epochs == {"device:dev-1": 5, "slot:host-1/slot-1": 1}


def test_a_grant_places_its_run_under_the_lease_it_grants() -> None:
    lease, run = granted({}, waits_s=7.5)
    assert (run.run, run.lease) == (lease.run, lease.lease)
    assert (run.device, run.host, run.slot) == ("dev-1", lease.host, "slot-1")
    assert run.waited_s == 7.5
    assert (lease.ttl_s, lease.deadline_s) == (900.0, deadline_s(10.0))


def test_a_run_whose_keys_a_person_presses_is_given_more_time() -> None:
    facts = DriverFacts(version="1.0", tried_on=(), press_timeout_s=120)
    unit = small_lab.device()
    by_hand = replace(unit, registration=unit.registration.model_copy(update={"driver_facts": facts}))
    placement = Placement(run=small_lab.queued(), device=by_hand, resources=("device:dev-1",))
    lease, _ = grant(placement, small_lab.snapshot(), 900.0, small_lab.NOW, ManualClock().new_id)
    assert isinstance(lease, LeaseGranted)
    assert lease.deadline_s == deadline_s(10.0, press_timeout_s=120) > deadline_s(10.0)


RENEWAL = Renewal(run="run-9", epochs=dict(small_lab.EPOCHS))


def test_a_live_lease_is_renewed_for_its_ttl() -> None:
    answer = standing(RENEWAL, "host-1", small_lab.lease())
    assert (answer.run, answer.standing, answer.ttl_s) == ("run-9", Standing.RENEWED, 900.0)


def test_a_run_that_is_to_stop_is_told_so_with_the_reason_and_not_renewed() -> None:
    lease = small_lab.lease(run_state=RunState.STOPPING, stop_reason="the batch was cancelled")
    answer = standing(RENEWAL, "host-1", lease)
    assert (answer.standing, answer.reason, answer.ttl_s) == (Standing.CANCELLED, "the batch was cancelled", 0)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (LeaseState.LAPSED, Standing.LAPSED),
        (LeaseState.REVOKED, Standing.REVOKED),
        (LeaseState.RELEASED, Standing.REVOKED),
    ],
)
def test_a_lease_that_is_no_longer_live_is_an_order_to_stop(state: LeaseState, told: Standing) -> None:
    answer = standing(RENEWAL, "host-1", small_lab.lease(state=state))
    assert (answer.standing, answer.ttl_s) == (told, 0)


@pytest.mark.parametrize(
    ("renewal", "host", "lease"),
    [
        (RENEWAL, "host-1", None),
        (RENEWAL, "host-2", small_lab.lease()),
        (Renewal(run="run-9", epochs={"device:dev-1": 2, "slot:host-1/slot-1": 5}), "host-1", small_lab.lease()),
        (Renewal(run="run-9", epochs={"device:dev-1": 3}), "host-1", small_lab.lease()),
    ],
    ids=["no lease", "another host", "a lower epoch", "fewer resources"],
)
def test_who_does_not_hold_the_lease_is_told_nothing_of_it(
    renewal: Renewal, host: str, lease: LeaseView | None
) -> None:
    answer = standing(renewal, host, lease)
    assert (answer.standing, answer.reason, answer.ttl_s) == (Standing.UNKNOWN, "this host holds no such lease", 0)


def test_a_lease_lapses_when_its_ttl_has_passed_since_it_was_renewed_and_not_before() -> None:
    lease = small_lab.lease()
    assert lapsed([lease], {lease.lease: 100.0}, 1000.0) == ()
    assert lapsed([lease], {lease.lease: 100.0}, 1000.5) == (lease,)


def test_a_lease_that_is_not_live_does_not_lapse_again() -> None:
    lease = small_lab.lease(state=LeaseState.RELEASED)
    assert lapsed([lease], {lease.lease: 0.0}, 1e6) == ()


def test_a_lease_that_was_granted_a_moment_ago_is_not_looked_at() -> None:
    assert lapsed([small_lab.lease()], {}, 1e6) == ()


def test_each_end_of_a_lease_says_what_became_of_it_and_of_its_run() -> None:
    lease = small_lab.lease()
    gone, run = lapse(lease, small_lab.NOW)
    assert (type(gone), type(run)) == (LeaseLapsed, RunLapsed)
    assert (gone.entity, run.entity) == (lease.lease, lease.run)
    taken, errored = refuse(lease, "slot unknown", small_lab.NOW)
    assert isinstance(taken, LeaseRevoked)
    assert isinstance(errored, RunErrored)
    assert taken.reason == errored.reason == "slot unknown"
    assert isinstance(release(lease, small_lab.NOW), LeaseReleased)
