"""A unit that cannot be measured is taken out, brought back and put back; what a person took out stays out."""

import pytest
from lab_world import World, lab, registration, submission

from lab_inventory.errors import BadInput, Conflict, NotFound, Unavailable
from lab_inventory.lab import Lab
from lab_inventory.messages import (
    Assignment,
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    DeviceRecovered,
    Ended,
    RunOutcome,
    Started,
)
from lab_inventory.shipped import shipped_programmes
from orchestrator.care import PROBATION_WAITS_S
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.store import listings, quarantine_views
from orchestrator.store.audit import audit

PROBATION = next(programme for programme in shipped_programmes() if programme.id == "ip-phone-probation")


def states(world: World) -> dict[str, str]:
    with world.store.reading() as connection:
        assert audit(connection).findings == ()
        return {name: view.state.value for name, view in quarantine_views.quarantines(connection).items()}


def device_of(world: World, number: int = 1) -> str:
    with world.store.reading() as connection:
        row = next(row for row in listings.devices(connection) if row["slot"] == f"slot-{number}")
    return str(row["device"])


def state_of(world: World) -> str:
    with world.store.reading() as connection:
        return str(listings.devices(connection)[0]["state"])


def spoil(world: World, assignment: Assignment, *, bench: bool = False) -> None:
    """The lab cannot measure anything in this run."""
    bodies = [Started(suite_version="1", pid=1), BenchChecked(passed=not bench, measurements=(), reason="late")]
    if not bench:
        bodies.append(DeviceIdentified(same=True, user_agent="Acme One 1.0"))  # type: ignore[arg-type]
        bodies += [  # type: ignore[arg-type]
            CaseEnded(case=case.id, repeat=repeat, status=CaseStatus.ERROR, reason="no driver", duration_s=1)
            for case in assignment.cases
            for repeat in range(1, case.repeats + 1)
        ]
    outcome = RunOutcome.ERROR if bench else RunOutcome.COMPLETED
    bodies.append(Ended(outcome=outcome, reason="late" if bench else "", within_deadline=True))  # type: ignore[arg-type]
    world.deliver(assignment, *(world.report(seq, body) for seq, body in enumerate(bodies, 1)))


def spoil_a_submission(world: World, *, bench: bool = False) -> None:
    """Three attempts at one submission, all of them spoilt."""
    world.heartbeat(registration(1))
    world.submit(key=world.clock.new_id("key"))
    (dispatch,) = world.tick()
    for attempt in range(3):
        assignment = world.take(dispatch)
        assert assignment.attempt == attempt + 1
        assert not assignment.recover
        spoil(world, assignment, bench=bench)
        if attempt < 2:
            (dispatch,) = world.tick()


def test_a_unit_that_spoils_three_runs_is_taken_out_brought_back_and_put_back(world: World) -> None:
    spoil_a_submission(world)
    (dispatch,) = world.tick()
    assert states(world) == {f"device:{device_of(world)}": "probation"}
    probation = world.take(dispatch)
    assert probation.recover
    assert probation.dut.device == device_of(world)
    world.programme = PROBATION
    *before, end = world.whole_run(probation)
    steps = world.report(3, DeviceRecovered(steps=("it is reset through its driver",)))
    after = [report.model_copy(update={"seq": report.seq + 1}) for report in (*before[2:], end)]
    world.deliver(probation, *before[:2], steps, *after)
    world.tick()
    assert states(world) == {}
    assert state_of(world) == "idle"
    world.submit(key="after")
    assert len(world.tick()) == 1


def test_nothing_else_is_placed_on_it_meanwhile_and_the_reason_shows(world: World) -> None:
    spoil_a_submission(world)
    world.submit(key="next")
    world.tick()
    (waiting,) = world.loop.waiting.values()
    assert waiting.slug == "quarantined"
    assert "is in quarantine: it could not be measured on 3 runs in a row" in waiting.words


def test_probations_that_fail_come_at_longer_and_longer_times_and_then_a_person_is_needed(world: World) -> None:
    spoil_a_submission(world)
    for number in range(1, 4):
        (dispatch,) = world.tick()
        spoil(world, world.take(dispatch))
        world.tick()
        if number < 3:
            assert list(states(world).values()) == ["quarantined"]
            world.clock.advance(PROBATION_WAITS_S[number] - 1)
            world.heartbeat(registration(1))
            assert world.tick() == ()
            world.clock.advance(1)
    assert list(states(world).values()) == ["needs-person"]
    assert state_of(world) == "quarantined"
    world.clock.advance(100_000)
    world.heartbeat(registration(1))
    assert world.tick() == ()


def test_a_person_can_order_a_probation_or_put_it_back_at_once(world: World) -> None:
    test_probations_that_fail_come_at_longer_and_longer_times_and_then_a_person_is_needed(world)
    resource = f"device:{device_of(world)}"
    world.loop.care.recover(resource, "ann")
    with pytest.raises(Conflict, match="on probation already"):
        world.loop.care.recover(resource, "ann")
    world.loop.care.put_back(resource, "ann", "new cable")
    assert states(world) == {}
    world.submit(key="after")
    (dispatch,) = world.tick()
    assert not Assignment.model_validate_json(dispatch.assignment_json).recover
    with pytest.raises(NotFound, match="not in quarantine"):
        world.loop.care.put_back(resource, "ann", "")


def test_what_a_person_took_out_stays_out(world: World) -> None:
    spoil_a_submission(world)
    world.desk.hold_device(device_of(world), "ann", "cable loose")
    assert world.tick() == ()
    assert list(states(world).values()) == ["quarantined"]
    with pytest.raises(Conflict, match="no unit for it is present, in service"):
        world.loop.care.recover(f"device:{device_of(world)}", "ann")
    world.desk.release_device(device_of(world), "ann")
    world.clock.advance(10)
    world.heartbeat(registration(1))
    assert len(world.tick()) == 1


def test_a_bench_that_fails_its_own_check_is_taken_out_and_its_units_are_not(world: World) -> None:
    spoil_a_submission(world, bench=True)
    (dispatch,) = world.tick()
    assert states(world) == {"bench:bench-1": "probation"}
    assert state_of(world) == "busy"
    probation = world.take(dispatch)
    world.programme = PROBATION
    world.deliver(probation, *world.whole_run(probation))
    world.tick()
    assert states(world) == {}


def test_a_quarantine_outlives_a_restart(world: World) -> None:
    spoil_a_submission(world)
    world.tick()
    world.reopen()
    assert list(states(world).values()) == ["probation"]
    (dispatch,) = world.tick()
    world.programme = PROBATION
    probation = world.take(dispatch)
    world.deliver(probation, *world.whole_run(probation))
    world.reopen()
    world.tick()
    assert states(world) == {}


def test_without_a_programme_for_it_a_unit_stays_out_until_a_person_puts_it_back(world: World) -> None:
    world.desk.keep_programmes([world.programme])
    spoil_a_submission(world)
    assert world.tick() == ()
    assert list(states(world).values()) == ["quarantined"]
    with pytest.raises(Conflict, match="no programme for the probation of ip-phone devices"):
        world.loop.care.recover(f"device:{device_of(world)}", "ann")


def test_a_device_that_fails_is_never_taken_out(world: World) -> None:
    for number in range(4):
        world.heartbeat(registration(1))
        world.submit(key=f"key-{number}")
        (dispatch,) = world.tick()
        assignment = world.take(dispatch)
        world.deliver(assignment, *world.whole_run(assignment, digest_valid=False))
        world.tick()
    assert states(world) == {}


def test_nobody_submits_to_a_probation(world: World) -> None:
    request = BatchRequest(title="x", programme=PROBATION.id, submissions=(submission(ics={}),))
    with pytest.raises(BadInput) as caught:
        world.desk.submit("operator", request, "key")
    assert "grants nothing" in caught.value.problems[0].wrong


def test_a_run_bound_to_a_unit_waits_for_that_one(world: World) -> None:
    world.desk.apply_lab(lab(2), "admin")
    world.heartbeat(registration(1), registration(2))
    world.tick()
    world.submit(submission(unit=device_of(world, 2)))
    (dispatch,) = world.tick()
    assert Assignment.model_validate_json(dispatch.assignment_json).slot.name == "slot-2"


def test_a_unit_whose_host_left_the_lab_file_is_taken_out_all_the_same_and_passes_go_on(world: World) -> None:
    spoil_a_submission(world)
    other = lab(1).model_dump(mode="json")
    other["hosts"][0]["name"] = "host-2"
    world.desk.apply_lab(Lab.model_validate(other), "admin")
    assert world.tick() == ()
    assert states(world) == {f"device:{device_of(world)}": "probation"}
    assert [waiting.slug for waiting in world.loop.waiting.values()] == ["no-slot"]


def test_what_could_not_be_read_is_looked_at_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_a_submission(world)

    def unavailable(*_: object) -> None:
        raise Unavailable("the database does not answer now")

    with monkeypatch.context() as broken:
        broken.setattr(quarantine_views, "ended_run", unavailable)
        with pytest.raises(Unavailable):
            world.tick()
    world.tick()
    assert list(states(world).values()) == ["probation"]
