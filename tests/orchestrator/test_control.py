"""A control device is measured where nothing else is; a drift stands against decisions until a person explains it."""

import random  # noqa: TID251 - seeded, and gauss
from pathlib import Path

import pytest
from lab_world import World, registration, submission
from sqlalchemy import update

from lab_inventory.errors import Conflict, NotFound
from lab_inventory.measurement import Measurement, Unit
from lab_inventory.messages import (
    Assignment,
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    Ended,
    RunOutcome,
    Started,
)
from orchestrator.pipeline.control_chart import BASELINE_POINTS
from orchestrator.store import control_views, listings, views
from orchestrator.store import tables as t
from orchestrator.store.audit import audit

SIX_HOURS_S = 6 * 3600.0 + 1
WHY = "The switch was replaced by a slower one and is back."


@pytest.fixture
def controlled(world: World) -> World:
    """A lab with a phone in each slot, of which the first is a control device."""
    control_device(world)
    return world


def control_device(world: World) -> None:
    world.heartbeat(registration(1), registration(2))
    world.loop.control.mark(device_in(world, "slot-1"), "anna", "it has not changed in years")


def device_in(world: World, slot: str) -> str:
    with world.store.reading() as connection:
        return str(next(row["device"] for row in listings.devices(connection) if row["slot"] == slot))


def begun(world: World) -> Assignment:
    """Six hours later the lab begins a control run, and its agent takes it."""
    world.clock.advance(SIX_HOURS_S)
    world.heartbeat(registration(1), registration(2))
    (dispatch,) = world.tick()
    return world.take(dispatch)


def measure(world: World, ringing_ms: float) -> None:
    """A whole control run in which the phone rings after so long."""
    assignment = begun(world)
    assert (assignment.programme, assignment.recover) == ("ip-phone-control 1.0", False)
    measured = Measurement(
        quantity="ringing_ms", unit=Unit.MILLISECOND, value=ringing_ms, uncertainty=0.5, instrument="sip"
    )
    bodies = [
        Started(suite_version="1", pid=1),
        BenchChecked(passed=True, measurements=()),
        DeviceIdentified(same=True, user_agent="Acme One 1.0"),
        *(
            CaseEnded(
                case=case.id,
                repeat=repeat,
                status=CaseStatus.MEASURED,
                measurements=(measured,) if case.id == "CC-SIP-01" else (),
                duration_s=1,
            )
            for case in assignment.cases
            for repeat in range(1, case.repeats + 1)
        ),
        Ended(outcome=RunOutcome.COMPLETED, within_deadline=True),
    ]
    world.deliver(assignment, *(world.report(seq, body) for seq, body in enumerate(bodies, 1)))
    world.tick()


def open_drifts(world: World) -> list[str]:
    with world.store.reading() as connection:
        return [one.drift for one in control_views.drifts(connection, only_open=True)]


def findings(world: World) -> tuple[str, ...]:
    with world.store.reading() as connection:
        return audit(connection).findings


def judged(world: World, submission_id: str) -> bool:
    with world.store.reading() as connection:
        return views.judgement(connection, submission_id) is not None


def test_a_control_device_is_measured_when_it_is_due_and_never_while_a_run_wants_its_unit(controlled: World) -> None:
    assignment = begun(controlled)
    assert assignment.dut.device == device_in(controlled, "slot-1")
    controlled.submit(submission("one"), submission("two"), key="key-2")
    dispatches = controlled.tick()
    assert {one.run for one in dispatches} != {assignment.run}  # the other unit is not waited for
    (renewed,) = controlled.renew(assignment).leases
    assert renewed.standing == "cancelled"
    assert "wants its unit" in renewed.reason


def test_after_a_control_run_the_next_one_waits_until_it_is_due(controlled: World) -> None:
    measure(controlled, 100.0)
    controlled.clock.advance(60.0)
    assert controlled.tick() == ()


def test_a_drift_holds_back_judgement_and_certificate_until_a_person_says_what_it_was(tmp_path: Path) -> None:
    world = World(tmp_path)
    control_device(world)
    chance = random.Random(3)
    for _ in range(BASELINE_POINTS):
        measure(world, chance.gauss(100.0, 2.0))
    assert open_drifts(world) == []
    measure(world, 130.0)
    (drift,) = open_drifts(world)

    (waits,) = world.submit(key="key-2").submissions
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    assert not judged(world, waits)

    world.loop.control.explain(drift, "anna", WHY, anew=False)
    world.tick()
    assert judged(world, waits)
    with world.store.reading() as connection:
        assert len(listings.certificates(connection)) == 1
        (told,) = control_views.drifts(connection)
    assert (told.explained_by, told.explanation) == ("anna", WHY)
    with pytest.raises(Conflict):
        world.loop.control.explain(drift, "bert", "Something else.", anew=False)
    with pytest.raises(NotFound):
        world.loop.control.explain("dft-none", "bert", "Something else.", anew=False)
    measure(world, 131.0)
    assert len(open_drifts(world)) == 1

    assert findings(world) == ()
    with world.store.administering() as connection:
        connection.execute(update(t.drifts).where(t.drifts.c.drift == drift).values(explanation="Nothing at all."))
    assert findings(world) == (f"the explanation of drift {drift} is not what was said",)
