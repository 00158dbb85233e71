"""Waivers in the store: their last day, and what is changed behind the orchestrator's back."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from lab_world import World, basic, registration
from sqlalchemy import text

from lab_inventory.errors import BadInput, Conflict, NotFound
from orchestrator.authority.impediments import Prevented, Rule
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.lifecycle.waiver import WaivedProduct, WaiverState, WaiverView
from orchestrator.store import views, waiver_views
from orchestrator.store.audit import audit
from orchestrator.waiving import WaiverWanted, Waiving

PROGRAMME = basic()


@pytest.fixture
def waiving(world: World) -> Iterator[Waiving]:
    world.heartbeat(registration())
    yield Waiving(world.store, world.clock)


def propose(world: World, waiving: Waiving, days: int = 2, submission: str | None = None) -> str:
    wanted = WaiverWanted(
        programme=PROGRAMME.id,
        programme_version=PROGRAMME.version,
        requirement="BP-SIP-01",
        levels=("certified",),
        product=None if submission else WaivedProduct(maker="Acme", model="One", hardware_revision="A"),
        submission=submission,
        reason="fixed in spring",
        ends_on=today(world) + timedelta(days=days),
    )
    return waiving.propose(wanted, "opal")


def today(world: World) -> date:
    return world.clock.now().date()


def view(world: World, waiver: str) -> WaiverView:
    with world.store.reading() as connection:
        found = waiver_views.waiver(connection, waiver)
    assert found is not None
    return found


def findings(world: World) -> str:
    with world.store.reading() as connection:
        return "\n".join(audit(connection).findings)


def measured(world: World, **worse: float) -> Judgement:
    """What a submission is judged that is measured now."""
    (submission,) = world.submit(key=f"key-{world.clock.new_id('k')}").submissions
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    world.deliver(assignment, *world.whole_run(assignment, **worse))
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, submission)
    assert judgement is not None
    return judgement


def test_a_waiver_counts_until_its_last_day_and_lapses_by_itself_after_it(world: World, waiving: Waiving) -> None:
    approved, waits = propose(world, waiving), propose(world, waiving)
    waiving.approve(approved, "dora", "a small risk")
    world.clock.advance(2 * 86400)
    world.heartbeat(registration())
    world.tick()
    assert view(world, approved).state is WaiverState.APPROVED
    with_it = measured(world, ringing_ms=900.0)
    assert with_it.earned == "certified"
    world.clock.advance(86400)
    world.heartbeat(registration())
    world.tick()
    assert {view(world, name).state for name in (approved, waits)} == {WaiverState.LAPSED}
    assert measured(world, ringing_ms=900.0).earned == "works-with"
    with pytest.raises(Conflict):
        waiving.approve(waits, "dora", "too late")
    assert findings(world) == ""


def test_a_waiver_for_a_submission_that_is_measured_counts_for_that_one_alone(world: World, waiving: Waiving) -> None:
    (submission,) = world.submit().submissions
    waiver = propose(world, waiving, submission=submission)
    waiving.approve(waiver, "dora", "a small risk")
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    world.deliver(assignment, *world.whole_run(assignment, ringing_ms=900.0))
    world.tick()
    with world.store.reading() as connection:
        judgement = views.judgement(connection, submission)
        assert waiver_views.used_by(connection, view(world, waiver)) == (submission,)
    assert judgement is not None
    assert judgement.earned == "certified"
    assert measured(world, ringing_ms=900.0).earned == "works-with"


def test_who_only_held_the_batch_or_the_unit_of_a_submission_took_part_in_it(world: World, waiving: Waiving) -> None:
    (submission,) = world.submit().submissions
    waiver = propose(world, waiving, submission=submission)
    with world.store.reading() as connection:
        batch = views.submission(connection, submission)
    assert batch is not None
    assert waiving.against(waiver, "hector") == ()
    world.desk.hold_batch(batch.batch, "hector", "a moment")
    world.desk.release_batch(batch.batch, "hector")
    (found,) = waiving.against(waiver, "hector")
    assert found.rule is Rule.APPROVER_TOOK_PART
    assert f"hector held the batch {batch.batch}, released the batch {batch.batch}" in found.words
    world.take(*world.tick())
    with world.store.reading() as connection:
        (device,) = views.devices(connection)
    world.desk.hold_device(device.device, "heidi", "a look")
    (found,) = waiving.against(waiver, "heidi")
    assert f"heidi held the unit {device.device}" in found.words
    with pytest.raises(Prevented, match="approver-took-part"):
        waiving.approve(waiver, "heidi", "because")


def test_what_there_is_not_is_not_waived(world: World, waiving: Waiving) -> None:
    with pytest.raises(NotFound, match="no submission sub-9"):
        propose(world, waiving, submission="sub-9")
    with pytest.raises(BadInput, match="ends_on"):
        propose(world, waiving, days=367)
    for act in (waiving.approve, waiving.refuse, waiving.revoke):
        with pytest.raises(NotFound, match="no waiver wai-9"):
            act("wai-9", "dora", "because")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE waivers SET state='approved'", "is approved; the journal says revoked"),
        ("UPDATE waivers SET ends_on='2099-01-01'", "ends_on is 2099-01-01; it was proposed with"),
        ("UPDATE waivers SET requirement='BP-REG-01'", "requirement is BP-REG-01; it was proposed with BP-SIP-01"),
        ("UPDATE waiver_entries SET body=replace(body, 'spring', 'autumn')", "entry 1 of the waiver"),
        ("UPDATE waiver_entries SET body='{}' WHERE number=2", "entry 2 of the waiver"),
        ("DELETE FROM waiver_entries WHERE number=3", "is not what was journaled"),
        ("UPDATE waiver_entries SET fact='WaiverRefused' WHERE number=3", "is not what was journaled"),
        ("DELETE FROM waiver_entries; DELETE FROM waivers", "is not what was journaled"),
    ],
)
def test_what_is_changed_by_hand_is_found(world: World, waiving: Waiving, statement: str, words: str) -> None:
    waiver = propose(world, waiving)
    waiving.approve(waiver, "dora", "a small risk")
    waiving.revoke(waiver, "dora", "no small risk")
    assert findings(world) == ""
    with world.store.administering() as connection:
        for step in statement.split("; "):
            assert connection.execute(text(step)).rowcount > 0
    assert words in findings(world)
