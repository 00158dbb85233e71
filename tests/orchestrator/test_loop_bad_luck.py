"""The loop when answers are lost, the server restarts, people change their minds, and commits meet each other."""

import pytest
from lab_world import PRODUCT, TTL_S, World, lab, registration, submission
from sqlalchemy import select

from lab_inventory.canonical import sha256
from lab_inventory.errors import Conflict
from lab_inventory.messages import Acceptance, Assignment, Ended, RunOutcome, Standing, Started
from orchestrator.lifecycle.batch import BatchCancelled
from orchestrator.lifecycle.run import RunCancelled, RunTaken
from orchestrator.loop import Dispatch, DispatchAnswered
from orchestrator.store import tables as t
from orchestrator.store import views
from orchestrator.store.audit import audit
from orchestrator.store.store import Store


def placed(world: World) -> Dispatch:
    world.heartbeat(registration(1))
    world.submit()
    (dispatch,) = world.tick()
    return dispatch


def cancel_batch_of(world: World, run: str) -> None:
    with world.store.reading() as connection:
        view = views.run(connection, run)
    assert view is not None
    world.desk.cancel_batch(view.batch, "operator", "wrong firmware")


def runs_of(world: World) -> list[tuple[str, str]]:
    with world.store.reading() as connection:
        return [(row.run, row.state) for row in connection.execute(select(t.runs.c.run, t.runs.c.state))]


def node_of(world: World, run: str) -> str | None:
    with world.store.reading() as connection:
        return connection.execute(select(t.runs.c.ray_node).where(t.runs.c.run == run)).scalar_one()


def test_a_server_that_restarts_after_every_single_step_ends_in_the_same_certificate(world: World) -> None:
    world.heartbeat(registration(1))
    world.submit()
    world.reopen()
    (dispatch,) = world.tick()
    world.reopen()
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    reports = world.whole_run(assignment)
    for report in reports:
        world.reopen()
        assert world.renew(assignment).leases[0].standing is Standing.RENEWED
        world.tick()
        world.deliver(assignment, report)
    world.reopen()
    world.tick()
    world.reopen()
    assert world.tick() == ()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
        documents = views.documents(connection, assignment.submission)
        assert audit(connection).findings == ()
    assert judgement is not None
    assert judgement.earned == "certified"
    assert len(documents) == 1


def test_a_stop_is_still_told_after_a_restart(world: World) -> None:
    assignment = world.take(placed(world))
    cancel_batch_of(world, assignment.run)
    world.reopen()
    world.tick()
    (standing,) = world.renew(assignment).leases
    assert standing.standing is Standing.CANCELLED


def test_a_run_that_was_stopped_before_its_agent_refused_it_ends_and_frees_the_unit(world: World) -> None:
    dispatch = placed(world)
    cancel_batch_of(world, dispatch.run)
    world.tick(DispatchAnswered(run=dispatch.run, answer=Acceptance.REFUSED, reason="slot unknown"))
    assert world.state(dispatch.run) == "cancelled"
    world.submit(key="key-2")
    assert len(world.tick()) == 1


def test_a_run_that_was_stopped_while_its_dispatch_was_unknown_is_asked_for_again(world: World) -> None:
    dispatch = placed(world)
    world.tick(DispatchAnswered(run=dispatch.run, answer=None, reason="the driver died"))
    cancel_batch_of(world, dispatch.run)
    world.clock.advance(10)
    (again,) = world.tick()
    assert again == dispatch
    assignment = world.take(again)
    assert world.renew(assignment).leases[0].standing is Standing.CANCELLED
    world.deliver(assignment, world.report(1, Ended(outcome=RunOutcome.STOPPED, within_deadline=True)))
    assert world.state(dispatch.run) == "cancelled"


def test_a_run_that_goes_on_though_its_answer_was_lost_still_gets_its_ray_node_on_record(world: World) -> None:
    dispatch = placed(world)
    assignment = Assignment.model_validate_json(dispatch.assignment_json)
    world.deliver(assignment, world.report(1, Started(suite_version="1", pid=1)))
    world.tick(DispatchAnswered(run=dispatch.run, answer=None, reason="timeout"))
    assert world.state(dispatch.run) == "running"
    assert node_of(world, dispatch.run) is None
    world.clock.advance(10)
    (again,) = world.tick()
    world.tick(DispatchAnswered(run=again.run, answer=Acceptance.ALREADY, ray_node="node-1", ray_actor="actor-1"))
    assert world.state(dispatch.run) == "running"
    assert node_of(world, dispatch.run) == "node-1"
    world.clock.advance(10)
    assert world.tick() == ()


def test_a_unit_that_was_flashed_after_it_was_placed_is_not_what_the_run_is_about(world: World) -> None:
    dispatch = placed(world)
    world.tick(DispatchAnswered(run=dispatch.run, answer=None, reason="timeout"))
    other = PRODUCT.model_copy(update={"model": "Two", "firmware": "9"})
    world.heartbeat(registration(1).model_copy(update={"product": other, "user_agent": "Acme Two 9"}))
    world.clock.advance(10)
    (again,) = world.tick()
    assert again == dispatch
    assert Assignment.model_validate_json(again.assignment_json).dut.registration.product == PRODUCT


def test_an_answer_that_comes_twice_or_after_the_end_changes_nothing(world: World) -> None:
    dispatch = placed(world)
    assignment = world.take(dispatch)
    world.take(dispatch)
    world.deliver(assignment, *world.whole_run(assignment))
    for answer in (Acceptance.ALREADY, Acceptance.REFUSED, None):
        world.tick(DispatchAnswered(run=dispatch.run, answer=answer, ray_node="node-2", ray_actor="actor-2"))
    world.tick(DispatchAnswered(run="run-unknown", answer=Acceptance.ACCEPTED, ray_node="n", ray_actor="a"))
    assert world.state(dispatch.run) == "completed"
    assert node_of(world, dispatch.run) == "node-1"


def test_a_lease_that_is_taken_late_counts_its_ttl_from_then_as_its_agent_does(world: World) -> None:
    dispatch = placed(world)
    world.tick()
    world.clock.advance(TTL_S - 10)
    world.heartbeat(registration(1))
    assignment = world.take(dispatch)
    world.clock.advance(TTL_S - 10)
    world.heartbeat(registration(1))
    world.tick()
    assert world.state(assignment.run) == "taken"
    world.clock.advance(20)
    world.heartbeat(registration(1))
    world.tick()
    assert world.state(assignment.run) == "lapsed"


def test_the_dispatch_latency_is_known_even_where_the_server_restarted_in_between(world: World) -> None:
    dispatch = placed(world)
    world.clock.advance(7)
    world.reopen()
    told: list[float] = []
    world.store.listen(lambda facts: told.extend(f.dispatch_latency_s for f in facts if isinstance(f, RunTaken)))
    world.take(dispatch)
    assert told == [7]


def test_a_first_heartbeat_is_enough_to_place_what_waited_for_it(world: World) -> None:
    world.heartbeat(registration(1))
    with world.store.administering() as connection:
        connection.execute(t.hosts.update().values(inbox=None))
    world.submit()
    assert world.tick() == ()
    assert [deferral.slug for deferral in world.loop.waiting.values()] == ["no-agent"]
    world.heartbeat(registration(1))
    assert len(world.tick()) == 1


def test_a_lab_file_with_the_slot_is_enough_to_place_what_waited_for_it(world: World) -> None:
    world.heartbeat(registration(1), registration(2))
    world.desk.apply_lab(lab(slots=1), "admin")
    world.submit(submission("a"), submission("b"))
    assert len(world.tick()) == 1
    world.desk.apply_lab(lab(slots=2), "admin")
    assert len(world.tick()) == 1


def test_a_lab_file_without_a_slot_at_which_a_run_goes_on_is_refused(world: World) -> None:
    world.heartbeat(registration(2))
    world.submit()
    (dispatch,) = world.tick()
    with pytest.raises(Conflict, match="slot-2 of host-1"):
        world.desk.apply_lab(lab(slots=1), "admin")
    assert world.take(dispatch).slot.name == "slot-2"


def test_more_dispatches_than_one_pass_makes_are_left_to_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.loop.DISPATCHES_PER_TICK_MAX", 1)
    world.heartbeat(registration(1), registration(2))
    world.submit(submission("a"), submission("b"))
    first, second = world.loop.tick([]), world.loop.tick([])
    assert first.again
    assert second.again
    assert {dispatch.run for dispatch in (*first.dispatches, *second.dispatches)} == {run for run, _ in runs_of(world)}
    assert world.loop.tick([]).dispatches == ()


def test_evidence_that_only_a_measurement_names_must_be_there_too(world: World) -> None:
    assignment = world.take(placed(world))
    address = sha256(b"a capture")
    body = world.case_ended(assignment.cases[0], 1)
    measurement = body.measurements[0].model_copy(update={"evidence": (address,)})
    named = body.model_copy(update={"measurements": (measurement, *body.measurements[1:])})
    reports = (world.report(1, Started(suite_version="1", pid=1)), world.report(2, named))
    reply = world.deliver(assignment, *reports)
    assert reply.missing_evidence == (address,)
    assert reply.next_seq == 2
    with world.desk.artifacts.draft(address) as draft:
        draft.add(b"a capture")
        draft.keep()
    assert world.deliver(assignment, *reports).next_seq == 3


def test_a_cancel_by_another_server_meets_a_placement_and_only_one_of_them_holds(world: World) -> None:
    world.heartbeat(registration(1), registration(2))
    first, second = world.submit(submission("a"), key="1"), world.submit(submission("b"), key="2")
    other = Store(world.url, world.clock)
    grants = world.store.commit_each

    def cancelled_just_before(groups):  # type: ignore[no-untyped-def]
        with other.reading() as connection:
            ((run, _),) = views.runs_of_batch(connection, first.batch)
        now = world.clock.now()
        other.commit([BatchCancelled(batch=first.batch, by="x"), RunCancelled(run=run, reason="", at=now)])
        world.store.commit_each = grants  # type: ignore[method-assign]
        return grants(groups)

    world.store.commit_each = cancelled_just_before  # type: ignore[method-assign]
    (dispatch,) = world.tick()
    other.close()
    assignment = Assignment.model_validate_json(dispatch.assignment_json)
    assert assignment.submission == second.submissions[0]
    with world.store.reading() as connection:
        assert len(views.live_leases(connection)) == 1
        assert audit(connection).findings == ()


def test_a_held_batch_that_runs_goes_on_and_is_judged(world: World) -> None:
    assignment = world.take(placed(world))
    with world.store.reading() as connection:
        view = views.run(connection, assignment.run)
    assert view is not None
    world.desk.hold_batch(view.batch, "operator", "")
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    with world.store.reading() as connection:
        assert views.batch_state(connection, view.batch) == "completed"
    with pytest.raises(Conflict):
        world.desk.release_batch(view.batch, "operator")


def test_a_unit_held_while_it_is_busy_ends_its_run_and_gets_no_other(world: World) -> None:
    assignment = world.take(placed(world))
    world.submit(key="key-2")
    with world.store.reading() as connection:
        (device,) = views.devices(connection)
    world.desk.hold_device(device.device, "operator", "scratched")
    world.deliver(assignment, *world.whole_run(assignment))
    assert world.tick() == ()
    assert world.state(assignment.run) == "completed"
    world.desk.release_device(device.device, "operator")
    assert len(world.tick()) == 1


def test_more_than_one_pass_may_place_is_left_to_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.loop.PLACEMENTS_PER_TICK_MAX", 1)
    world.heartbeat(registration(1), registration(2))
    world.submit(submission("a"), submission("b"))
    first = world.loop.tick([])
    assert (len(first.dispatches), first.again) == (1, True)
    assert len(world.loop.tick([]).dispatches) == 1
    assert not world.loop.tick([]).again
