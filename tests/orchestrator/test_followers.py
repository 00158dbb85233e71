"""What a server that does not lead does with what it hears: it passes it on, and answers no renewal from memory."""

from dataclasses import replace

import pytest
from lab_world import TTL_S, World, registration
from sqlalchemy import select

from lab_inventory.errors import Unavailable
from lab_inventory.messages import Assignment, Renewal, RenewRequest, Standing
from orchestrator.desk import PASS_ON_S, Desk
from orchestrator.store import tables as t
from orchestrator.watch import Watch


def taken(world: World) -> Assignment:
    world.heartbeat(registration())
    world.submit()
    (dispatch,) = world.tick()
    return world.take(dispatch)


def follower(world: World) -> Desk:
    """Another server's desk on the same database."""
    return replace(world.desk, watch=Watch(started_s=world.clock.boottime_s()), leads=lambda: False)


def renew(desk: Desk, assignment: Assignment) -> Standing:
    renewals = (Renewal(run=assignment.run, epochs=assignment.epochs),)
    return desk.renew("host-1", RenewRequest(renewals=renewals)).leases[0].standing


def numbers(world: World) -> dict[str, int]:
    with world.store.reading() as connection:
        return {row.kind: row.number for row in connection.execute(select(t.heard))}


def test_a_renewal_at_a_follower_is_known_to_the_leader_before_it_lapses(world: World) -> None:
    assignment = taken(world)
    world.clock.advance(TTL_S - 1)
    assert renew(follower(world), assignment) is Standing.RENEWED
    world.clock.advance(TTL_S - 1)
    world.tick()  # it looks for the first time long after, and counts from then
    assert world.state(assignment.run) == "taken"
    world.clock.advance(TTL_S + 1)
    world.tick()
    assert world.state(assignment.run) == "lapsed"
    assert renew(follower(world), assignment) is not Standing.RENEWED


def test_it_passes_on_a_lease_at_most_once_in_a_while(world: World) -> None:
    assignment = taken(world)
    other = follower(world)
    for _ in range(3):
        assert renew(other, assignment) is Standing.RENEWED
    assert numbers(world) == {"lease": 1}
    world.clock.advance(PASS_ON_S)
    renew(other, assignment)
    assert numbers(world) == {"lease": 2}


def test_what_could_not_be_passed_on_is_not_answered_and_is_passed_on_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = taken(world)
    other = follower(world)

    def fails(*_: object) -> None:
        raise Unavailable("the database does not answer now")

    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.store.keeping.hear", fails)
        with pytest.raises(Unavailable):
            renew(other, assignment)
    renew(other, assignment)
    assert numbers(world) == {"lease": 1}


def test_a_leader_that_is_superseded_while_it_reads_answers_no_renewal(world: World) -> None:
    assignment = taken(world)
    leads = [True]
    desk = replace(world.desk, leads=lambda: bool(leads and leads.pop()))
    with pytest.raises(Unavailable, match="another server is taking over"):
        renew(desk, assignment)


def test_what_is_over_is_forgotten(world: World) -> None:
    assignment = taken(world)
    renew(follower(world), assignment)
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    assert numbers(world) == {}
