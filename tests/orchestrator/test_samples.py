"""Samples: their chain of custody as it is told, and every reason why something cannot be so."""

from datetime import timedelta
from typing import Any

import pytest
from lab_world import World, registration, submission
from sqlalchemy import select

from lab_inventory.errors import BadInput, Conflict, NotFound
from orchestrator.lifecycle.sample import Origin, SampleView
from orchestrator.samples import ANNOUNCED_PER_VENDOR_MAX, Announcement, HandOver, Receipt, Samples
from orchestrator.store import sample_views
from orchestrator.store import tables as t
from orchestrator.store.audit import audit

TOLD = Announcement(vendor="Acme", maker="Acme", model="One", hardware_revision="A")
HANDS = {"handed_by": "carrier", "handed_to": "berta"}


@pytest.fixture
def samples(world: World) -> Samples:
    return Samples(world.store, world.clock)


def receipt(serial: str = "S-1", **change: Any) -> Receipt:
    fields = {"serial": serial, "origin": Origin.VENDOR, "condition": "well", "seal": "4711", "place": "gate", **HANDS}
    return Receipt.model_validate(fields | change)


def over(place: str = "shelf 1", **change: Any) -> HandOver:
    return HandOver.model_validate({"place": place, **HANDS} | change)


def view(world: World, sample: str) -> SampleView:
    with world.store.reading() as connection:
        found = sample_views.sample(connection, sample)
        assert audit(connection).findings == ()
    assert found is not None
    return found


def paths(caught: pytest.ExceptionInfo[BadInput]) -> list[str]:
    return [problem.path for problem in caught.value.problems]


def test_a_sample_goes_from_hand_to_hand_and_every_step_is_kept_in_its_order(world: World, samples: Samples) -> None:
    one = samples.announce(TOLD, "anna")
    steps = [
        lambda: samples.receive(one, receipt(), "anna"),
        lambda: samples.store(one, over("shelf 1", handed_by="berta", handed_to="carla"), "carla"),
        lambda: samples.bring_to_bench(one, over("bench-1", handed_by="carla", handed_to="dora"), "dora"),
        lambda: samples.give_back(one, over("the gate", handed_by="dora", handed_to="carrier"), "anna"),
    ]
    states = [view(world, one).state.value]
    for step in steps:
        world.clock.advance(60)
        step()
        states.append(view(world, one).state.value)
    assert states == ["announced", "received", "stored", "at-bench", "returned"]
    with world.store.reading() as connection:
        chain = sample_views.custody(connection, one)
    assert [(entry["handed_by"], entry["handed_to"]) for entry in chain[1:]] == [
        ("carrier", "berta"),
        ("berta", "carla"),
        ("carla", "dora"),
        ("dora", "carrier"),
    ]
    found = view(world, one)
    assert (found.serial, found.origin, found.condition, found.seal) == ("S-1", Origin.VENDOR, "well", "4711")


def test_the_journal_says_who_wrote_it_down_and_nothing_of_who_carried_what(world: World, samples: Samples) -> None:
    one = samples.announce(TOLD, "anna")
    samples.receive(one, receipt(serial="SECRET-1", note="for Berta"), "anna")
    with world.store.reading() as connection:
        rows = connection.execute(select(t.journal.c.body).where(t.journal.c.machine == "sample")).scalars().all()
    assert len(rows) == 2
    for body in rows:
        assert '"by":"anna"' in body
        assert not any(word in body for word in ("berta", "carrier", "SECRET-1", "Berta"))


def test_a_sample_that_was_lost_and_is_found_is_received_again(world: World, samples: Samples) -> None:
    one = samples.announce(TOLD, "anna")
    samples.receive(one, receipt(), "anna")
    samples.lose(one, "not on its shelf", "anna")
    assert (view(world, one).state.value, view(world, one).place) == ("lost", "")
    with pytest.raises(Conflict, match="is lost"):
        samples.store(one, over(), "anna")
    samples.receive(one, receipt(condition="dusty"), "anna")
    assert view(world, one).condition == "dusty"


@pytest.mark.parametrize("end", ["give_back", "dispose"])
def test_what_is_gone_goes_nowhere_any_more(samples: Samples, end: str) -> None:
    one = samples.announce(TOLD, "anna")
    samples.receive(one, receipt(), "anna")
    getattr(samples, end)(one, over() if end == "give_back" else "shredded", "anna")
    for step in (
        lambda: samples.store(one, over(), "anna"),
        lambda: samples.receive(one, receipt(), "anna"),
        lambda: samples.lose(one, "?", "anna"),
    ):
        with pytest.raises(Conflict):
            step()


def test_what_was_told_late_has_its_own_time_and_the_chain_never_runs_backwards(world: World, samples: Samples) -> None:
    world.clock.advance(7200)
    now = world.clock.now()
    one = samples.announce(TOLD, "anna")
    samples.receive(one, receipt(happened_at=now - timedelta(hours=1)), "anna")
    assert view(world, one).received_at == now - timedelta(hours=1)
    with pytest.raises(BadInput) as caught:
        samples.store(one, over(happened_at=now - timedelta(hours=2)), "anna")
    assert paths(caught) == ["happened_at"]
    with pytest.raises(BadInput, match="at the latest now"):
        samples.store(one, over(happened_at=now + timedelta(seconds=1)), "anna")
    samples.store(one, over(happened_at=now - timedelta(minutes=30)), "anna")
    assert view(world, one).changed_at == now - timedelta(minutes=30)


def test_a_serial_is_of_one_sample_until_that_is_gone(samples: Samples) -> None:
    one, two = samples.announce(TOLD, "anna"), samples.announce(TOLD, "anna")
    samples.receive(one, receipt("S-1"), "anna")
    with pytest.raises(BadInput, match=f"is sample {one}"):
        samples.receive(two, receipt("S-1"), "anna")
    with pytest.raises(BadInput, match=f"is sample {one}"):
        samples.announce(TOLD.model_copy(update={"serial": "S-1"}), "anna")
    samples.give_back(one, over(), "anna")
    samples.receive(two, receipt("S-1"), "anna")


def test_every_reason_against_a_receipt_is_told_at_once(world: World, samples: Samples) -> None:
    one = samples.announce(TOLD.model_copy(update={"serial": "S-1"}), "anna")
    two = samples.announce(TOLD.model_copy(update={"serial": "S-2"}), "anna")
    samples.receive(two, receipt("S-2"), "anna")
    later = world.clock.now() + timedelta(days=1)
    with pytest.raises(BadInput) as caught:
        samples.receive(one, receipt("S-2", happened_at=later), "anna")
    assert paths(caught) == ["happened_at", "serial", "serial"]


def test_a_bench_is_one_of_the_lab_file(samples: Samples) -> None:
    one = samples.announce(TOLD, "anna")
    samples.receive(one, receipt(), "anna")
    with pytest.raises(BadInput, match="a bench of the lab file: bench-1"):
        samples.bring_to_bench(one, over("bench-9"), "anna")


def test_a_sample_is_linked_with_submissions_of_its_product_alone(world: World, samples: Samples) -> None:
    one = samples.announce(TOLD, "anna")
    reply = world.submit(submission(), submission(vendor="Other", hardware_revision="B"))
    samples.link(one, reply.submissions[0], "anna")
    with world.store.reading() as connection:
        (found,) = sample_views.samples(connection, submission=reply.submissions[0])
        assert sample_views.samples(connection, submission=reply.submissions[1]) == []
    assert found.sample == one
    with pytest.raises(Conflict, match="already"):
        samples.link(one, reply.submissions[0], "anna")
    with pytest.raises(BadInput) as caught:
        samples.link(one, reply.submissions[1], "anna")
    assert [problem.wrong for problem in caught.value.problems] == [
        "the submission's vendor is 'Other'",
        "the submission's hardware revision is 'B'",
    ]
    assert view(world, one).state.value == "announced"


def test_a_registered_unit_is_one_sample_that_the_lab_has(world: World, samples: Samples) -> None:
    world.heartbeat(registration(1), registration(2))
    with world.store.reading() as connection:
        units = {row.slot: row.device for row in connection.execute(select(t.devices))}
    one, two = samples.announce(TOLD, "anna"), samples.announce(TOLD, "anna")
    with pytest.raises(Conflict, match="is announced"):
        samples.name_unit(one, units["slot-1"], "anna")
    samples.receive(one, receipt("S-1"), "anna")
    samples.receive(two, receipt("S-2"), "anna")
    samples.name_unit(one, units["slot-1"], "anna")
    assert view(world, one).unit == units["slot-1"]
    with pytest.raises(BadInput, match=f"is sample {one}"):
        samples.name_unit(two, units["slot-1"], "anna")
    other = samples.announce(TOLD.model_copy(update={"hardware_revision": "B"}), "anna")
    samples.receive(other, receipt("S-3"), "anna")
    with pytest.raises(BadInput, match="hardware revision is 'A'; expected 'B'"):
        samples.name_unit(other, units["slot-2"], "anna")


def test_what_there_is_not_is_not_found(samples: Samples) -> None:
    one = samples.announce(TOLD, "anna")
    for step in (
        lambda: samples.lose("smp-none", "?", "anna"),
        lambda: samples.link(one, "sub-none", "anna"),
        lambda: samples.name_unit(one, "dev-none", "anna"),
    ):
        with pytest.raises(NotFound):
            step()


def test_a_vendor_announces_its_own_and_not_without_end(
    world: World, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ANNOUNCED_PER_VENDOR_MAX == 200
    monkeypatch.setattr("orchestrator.samples.ANNOUNCED_PER_VENDOR_MAX", 2)
    with pytest.raises(BadInput) as caught:
        samples.announce(TOLD, "anna", "Other")
    assert paths(caught) == ["vendor"]
    samples.announce(TOLD, "anna", "Acme")
    samples.announce(TOLD, "anna", "Acme")
    with pytest.raises(Conflict, match="did not arrive yet"):
        samples.announce(TOLD, "anna", "Acme")
    samples.announce(TOLD.model_copy(update={"vendor": "Other"}), "anna")


def test_samples_are_found_by_state_origin_and_words(world: World, samples: Samples) -> None:
    one, two = samples.announce(TOLD, "anna"), samples.announce(TOLD.model_copy(update={"vendor": "Blue_%"}), "anna")
    samples.receive(one, receipt("AB-77", origin=Origin.RETAIL), "anna")

    def found(**chosen: str) -> set[str]:
        with world.store.reading() as connection:
            return {view.sample for view in sample_views.samples(connection, **chosen)}  # type: ignore[arg-type]

    assert found() == {one, two}
    assert found(state="received") == found(origin="retail") == found(words="ab-7") == {one}
    assert found(words="e_%") == found(vendor="Blue_%") == {two}
    assert found(words="%") == {two}
