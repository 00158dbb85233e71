"""A drained host: nothing new is placed there, what runs goes on, and a restart forgets neither."""

from pathlib import Path

import pytest
from lab_world import World, lab, registration, submission

from lab_inventory.errors import Conflict
from orchestrator.store import listings
from orchestrator.store.audit import audit


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def why(world: World) -> list[str]:
    return [deferral.slug for deferral in world.loop.waiting.values()]


def test_nothing_is_placed_at_a_drained_host_and_the_run_says_why_until_it_is_undrained(world: World) -> None:
    world.heartbeat(registration(1))
    world.desk.drain_host("host-1", "operator", "new agent")
    world.submit()
    assert world.tick() == ()
    assert why(world) == ["drained"]
    world.desk.undrain_host("host-1", "operator")
    assert len(world.tick()) == 1


def test_a_run_that_is_going_on_is_not_touched_by_draining(world: World) -> None:
    world.heartbeat(registration(1))
    world.submit()
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    world.desk.drain_host("host-1", "operator", "")
    world.tick()
    assert world.renew(assignment).leases[0].standing == "renewed"
    world.deliver(assignment, *world.whole_run(assignment))
    assert world.state(assignment.run) == "completed"


def test_a_heartbeat_a_restart_and_a_new_lab_file_do_not_put_a_drained_host_back(world: World) -> None:
    world.desk.drain_host("host-1", "operator", "new agent")
    world.heartbeat(registration(1))
    world.desk.apply_lab(lab(3), "operator")
    world.reopen()
    world.heartbeat(registration(1))
    world.submit(submission())
    assert world.tick() == ()
    assert why(world) == ["drained"]
    with world.store.reading() as connection:
        (row,) = listings.hosts(connection)
    assert (row["intent"], row["reason"], row["by"]) == ("drained", "new agent", "operator")


def test_draining_twice_or_undraining_what_is_in_service_is_refused(world: World) -> None:
    with pytest.raises(Conflict, match="HostUndrained does not follow"):
        world.desk.undrain_host("host-1", "operator")
    world.desk.drain_host("host-1", "operator", "mine")
    with pytest.raises(Conflict, match="HostDrained does not follow"):
        world.desk.drain_host("host-1", "operator", "yours")


def test_the_audit_sees_an_intent_that_nobody_ordered(world: World) -> None:
    world.desk.drain_host("host-1", "operator", "")
    with world.store.reading() as connection:
        assert audit(connection).findings == ()
    with world.store.administering() as connection:
        connection.exec_driver_sql("UPDATE host_intents SET intent = 'in-service'")
    with world.store.reading() as connection:
        assert audit(connection).findings == ("host host-1 is in-service; the journal says drained",)
