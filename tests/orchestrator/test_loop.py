"""The life of a batch through desk and loop, with an agent played by hand."""

import json

import pytest
from lab_world import TTL_S, World, registration, submission

from lab_inventory.errors import BadInput, Conflict, Forbidden
from lab_inventory.messages import (
    Acceptance,
    Assignment,
    CaseEnded,
    CaseStatus,
    Ended,
    Reception,
    RunOutcome,
    Standing,
    Started,
)
from orchestrator.loop import Dispatch, DispatchAnswered, WorkerLost, WorkerReady
from orchestrator.pipeline.plan import ATTEMPTS_MAX
from orchestrator.store import views
from orchestrator.store.audit import audit
from orchestrator.verifying import Finding, verify
from orchestrator.watch import REFUSED_WAIT_S


def placed(world: World) -> Dispatch:
    """A batch with one submission, placed on the only unit."""
    world.heartbeat(registration(1))
    world.submit()
    (dispatch,) = world.tick()
    return dispatch


def test_a_batch_goes_from_submission_to_a_certificate_that_verifies(world: World) -> None:
    dispatch = placed(world)
    assignment = world.take(dispatch)
    assert world.state(dispatch.run) == "taken"
    world.deliver(assignment, *world.whole_run(assignment))
    assert world.state(dispatch.run) == "completed"
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
        documents = views.documents(connection, assignment.submission)
        batch = views.batch_state(connection, views.submission(connection, assignment.submission).batch)
        found = audit(connection)
    assert judgement is not None
    assert judgement.earned == "certified"
    assert batch == "completed"
    (document,) = documents
    verified = verify(document.encode(), named=world.issuer)
    assert verified.finding is Finding.VALID
    assert found.findings == ()
    assert found.rows > 8


def test_a_fail_costs_the_level_that_asks_for_it_and_is_not_repeated(world: World) -> None:
    assignment = world.take(placed(world))
    world.deliver(assignment, *world.whole_run(assignment, codec_g722=False))
    assert world.tick() == ()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
    assert judgement is not None
    assert judgement.earned == "works-with"


def test_a_lab_error_is_repeated_and_only_for_what_it_kept_from_being_measured(world: World) -> None:
    assignment = world.take(placed(world))
    reports = list(world.whole_run(assignment))
    body = reports[3].body
    assert isinstance(body, CaseEnded)
    failed = body.model_copy(update={"status": CaseStatus.ERROR, "reason": "driver gone", "measurements": ()})
    reports[3] = world.report(4, failed)
    world.deliver(assignment, *reports)
    (dispatch,) = world.tick()
    again = world.take(dispatch)
    assert again.attempt == 2
    assert [case.id for case in again.cases] == [body.case]
    assert all(again.epochs[resource] == epoch + 1 for resource, epoch in assignment.epochs.items())
    world.deliver(again, *world.whole_run(again))
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
    assert judgement is not None
    assert judgement.earned == "certified"


def test_after_three_attempts_a_lab_error_is_judged_as_one_and_never_as_a_fail(world: World) -> None:
    dispatch = placed(world)
    for _ in range(3):
        assignment = world.take(dispatch)
        ended = Ended(outcome=RunOutcome.ERROR, reason="bench broken", within_deadline=True)
        world.deliver(assignment, world.report(1, Started(suite_version="1", pid=1)), world.report(2, ended))
        dispatches = world.tick()
        if dispatches:
            (dispatch,) = dispatches
    probation = Assignment.model_validate_json(dispatch.assignment_json)
    assert probation.submission != assignment.submission, "no fourth attempt, but a probation of its unit"
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
    assert judgement is not None
    assert judgement.earned is None
    verdicts = {r.verdict.value for level in judgement.levels for r in level.requirements}
    assert verdicts == {"not-run", "not-applicable"} or "fail" not in verdicts


def test_a_lapsed_lease_is_repeated_under_a_new_epoch_and_its_late_report_does_not_count(world: World) -> None:
    first = world.take(placed(world))
    world.clock.advance(TTL_S + 1)
    world.heartbeat(registration(1))
    (dispatch,) = world.tick()
    assert world.state(first.run) == "lapsed"
    second = world.take(dispatch)
    assert second.run != first.run
    assert all(second.epochs[resource] > epoch for resource, epoch in first.epochs.items())
    late = world.deliver(first, *world.whole_run(first, digest_valid=False))
    assert {received.reception for received in late.received} == {Reception.QUARANTINED}
    world.deliver(second, *world.whole_run(second))
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, second.submission)
        quarantined = views.quarantined(connection, first.run)
    assert judgement is not None
    assert judgement.earned == "certified"
    assert len(quarantined) == len(late.received)


def test_a_renewed_lease_does_not_lapse(world: World) -> None:
    assignment = world.take(placed(world))
    for _ in range(5):
        world.clock.advance(TTL_S / 2)
        assert world.renew(assignment).leases[0].standing is Standing.RENEWED
        world.tick()
    assert world.state(assignment.run) == "taken"


def test_a_restart_of_the_server_ends_no_run_and_forgets_nothing(world: World) -> None:
    assignment = world.take(placed(world))
    world.clock.advance(TTL_S * 0.9)
    world.reopen()
    world.clock.advance(TTL_S * 0.9)
    world.tick()
    assert world.state(assignment.run) == "taken"
    world.deliver(assignment, *world.whole_run(assignment))
    world.reopen()
    world.tick()
    with world.store.reading() as connection:
        assert views.judgement(connection, assignment.submission) is not None


def test_a_dispatch_without_an_answer_is_repeated_until_the_agent_answers(world: World) -> None:
    dispatch = placed(world)
    world.tick(DispatchAnswered(run=dispatch.run, answer=None, reason="the driver died"))
    assert world.state(dispatch.run) == "placed"
    world.clock.advance(10)
    (again,) = world.tick()
    assert again.assignment_json == dispatch.assignment_json
    world.reopen()
    (after_restart,) = world.tick()
    assert after_restart == dispatch


@pytest.mark.parametrize("answer", [Acceptance.REFUSED, Acceptance.STALE])
def test_what_the_agent_does_not_take_is_an_error_of_the_lab(world: World, answer: Acceptance) -> None:
    dispatch = placed(world)
    assert world.tick(DispatchAnswered(run=dispatch.run, answer=answer, reason="slot unknown")) == ()
    assert world.state(dispatch.run) == "error"
    (waiting,) = world.loop.waiting.values()
    assert waiting.words.endswith("host host-1 takes no run now: it refused a run: slot unknown")
    world.clock.advance(REFUSED_WAIT_S)
    (again,) = world.tick()
    assert again.run != dispatch.run


def test_refusals_use_up_no_attempt_and_the_host_is_asked_less_and_less_often(world: World) -> None:
    dispatch = placed(world)
    waits_s = []
    for _ in range(ATTEMPTS_MAX + 3):
        world.tick(DispatchAnswered(run=dispatch.run, answer=Acceptance.REFUSED, reason="no room"))
        refused_at_s = world.clock.boottime_s()
        while not (again := world.tick()):
            world.clock.advance(1)
            world.heartbeat(registration(1))
        waits_s.append(world.clock.boottime_s() - refused_at_s)
        (dispatch,) = again
    assert waits_s == [10, 20, 40, 80, 160, 320]
    assignment = world.take(dispatch)
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
    assert judgement is not None
    assert judgement.earned == "certified"


def test_a_host_without_room_gets_no_run_until_it_says_that_it_has_room(world: World) -> None:
    world.heartbeat(registration(1), full="3 MB left")
    world.submit()
    assert world.tick() == ()
    (waiting,) = world.loop.waiting.values()
    assert waiting.slug == "refusing"
    assert waiting.words.endswith("host host-1 takes no run now: 3 MB left")
    world.heartbeat(registration(1))
    assert len(world.tick()) == 1


def test_reports_may_arrive_twice_and_in_any_order_and_count_once(world: World) -> None:
    assignment = world.take(placed(world))
    reports = world.whole_run(assignment)
    assert world.deliver(assignment, *reports[3:]).next_seq == 1
    world.deliver(assignment, *reports[:5])
    again = world.deliver(assignment, *reports[:5])
    assert {received.reception for received in again.received} == {Reception.DUPLICATE}
    reply = world.deliver(assignment, *reversed(reports))
    assert reply.next_seq == len(reports) + 1
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, assignment.submission)
    assert judgement is not None
    assert judgement.earned == "certified"


def test_another_content_under_the_same_number_is_kept_apart(world: World) -> None:
    assignment = world.take(placed(world))
    world.deliver(assignment, world.report(1, Started(suite_version="1", pid=1)))
    reply = world.deliver(assignment, world.report(1, Started(suite_version="1", pid=2)))
    assert reply.received[0].reception is Reception.QUARANTINED
    assert "another content" in reply.received[0].reason


def test_a_host_cannot_report_for_another(world: World) -> None:
    assignment = world.take(placed(world))
    with pytest.raises(Forbidden):
        world.deliver(assignment, *world.whole_run(assignment), host="host-2")


def test_a_cancelled_batch_stops_its_run_with_the_next_renewal_and_frees_the_unit(world: World) -> None:
    assignment = world.take(placed(world))
    with world.store.reading() as connection:
        view = views.submission(connection, assignment.submission)
    assert view is not None
    world.desk.cancel_batch(view.batch, "operator", "wrong firmware")
    standing = world.renew(assignment).leases[0]
    assert standing.standing is Standing.CANCELLED
    assert "wrong firmware" in standing.reason
    ended = Ended(outcome=RunOutcome.STOPPED, reason="cancelled", within_deadline=True)
    world.deliver(assignment, world.report(1, ended))
    assert world.state(assignment.run) == "cancelled"
    world.submit(key="key-2")
    assert len(world.tick()) == 1


def test_a_held_batch_is_not_placed_until_it_is_released(world: World) -> None:
    batch = world.submit().batch
    world.desk.hold_batch(batch, "operator", "later")
    world.heartbeat(registration(1))
    assert world.tick() == ()
    assert {deferral.slug for deferral in world.loop.waiting.values()} == {"batch-held"}
    world.desk.release_batch(batch, "operator")
    assert len(world.tick()) == 1


def test_a_cancelled_batch_cannot_be_cancelled_again(world: World) -> None:
    batch = world.submit().batch
    world.desk.cancel_batch(batch, "operator", "")
    with pytest.raises(Conflict, match="is cancelled"):
        world.desk.cancel_batch(batch, "operator", "")


def test_a_unit_that_a_person_holds_stays_out_whatever_its_agent_says(world: World) -> None:
    world.heartbeat(registration(1))
    with world.store.reading() as connection:
        (device,) = views.devices(connection)
    world.desk.hold_device(device.device, "operator", "cable loose")
    world.submit()
    world.heartbeat()
    world.heartbeat(registration(1))
    assert world.tick() == ()
    (deferral,) = world.loop.waiting.values()
    assert "cable loose" in deferral.words


def test_a_unit_without_a_driver_is_registered_and_never_scheduled(world: World) -> None:
    world.heartbeat(registration(1, driver=None))
    world.submit()
    assert world.tick() == ()
    (deferral,) = world.loop.waiting.values()
    assert deferral.slug == "no-driver"


def test_without_a_unit_a_run_waits_and_says_so(world: World) -> None:
    reply = world.submit()
    assert reply.warnings
    world.tick()
    (deferral,) = world.loop.waiting.values()
    assert deferral.words == "no unit of Acme One 1.0, hardware A, mode wideband is registered"


def test_while_the_ray_worker_is_lost_runs_wait_and_say_so(world: World) -> None:
    world.heartbeat(registration(1))
    world.submit()
    assert world.loop.tick([WorkerLost(host="host-1", reason="the Ray driver is starting")]).dispatches == ()
    (deferral,) = world.loop.waiting.values()
    assert deferral.slug == "ray"
    assert "the Ray driver is starting" in deferral.words
    assert len(world.loop.tick([WorkerReady(host="host-1")]).dispatches) == 1


def test_a_silent_host_makes_its_units_absent_and_a_heartbeat_brings_them_back(world: World) -> None:
    world.heartbeat(registration(1))
    world.clock.advance(31)
    world.tick()
    with world.store.reading() as connection:
        assert views.devices(connection)[0].presence.value == "absent"
    world.heartbeat(registration(1))
    with world.store.reading() as connection:
        assert views.devices(connection)[0].presence.value == "present"


def test_the_same_key_and_body_get_the_same_batch_and_another_body_is_refused(world: World) -> None:
    first = world.submit(key="k")
    assert world.submit(key="k") == first
    with pytest.raises(Conflict, match="another body"):
        world.submit(submission("other"), key="k")


def test_a_batch_that_contradicts_itself_is_refused_with_every_reason(world: World) -> None:
    wrong = submission(ics={"audio": "wideband"}, profile="acoustic")
    with pytest.raises(BadInput) as caught:
        world.submit(wrong, submission(mode="x", ixit={"nothing": 1}))
    paths = {problem.path for problem in caught.value.problems}
    assert {"submissions[0].profile", "submissions[0].ics.hold", "submissions[1].ixit.nothing"} <= paths


def test_higher_priority_goes_first(world: World) -> None:
    world.submit(submission("low"), key="1", priority=10)
    urgent = world.submit(submission("high"), key="2", priority=90)
    world.heartbeat(registration(1))
    (dispatch,) = world.tick()
    assert json.loads(dispatch.assignment_json)["submission"] == urgent.submissions[0]


def test_two_units_of_a_product_take_two_runs_at_once_and_none_twice(world: World) -> None:
    world.heartbeat(registration(1), registration(2))
    world.submit(submission("a"), submission("b"), submission("c"))
    dispatches = world.tick()
    slots = {json.loads(dispatch.assignment_json)["slot"]["name"] for dispatch in dispatches}
    assert slots == {"slot-1", "slot-2"}
    assert world.tick() == ()
