"""One batch over a phone and a headset, each under its own programme, through desk, store and loop."""

from pathlib import Path

import pytest
from lab_world import World, basic, lab, registration, submission

from lab_inventory.device import Identity, IdentityKind, Product
from lab_inventory.errors import BadInput
from lab_inventory.lab import Lab
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.batch import OwnProgramme
from orchestrator.store import listings, views
from orchestrator.store.audit import audit
from orchestrator.store.listing_views import Sought, listing

HEADSET = Product(maker="Acme", model="Ears", firmware="1.23")


def for_headsets() -> Programme:
    """The basic programme with another name, for another category."""
    fields = basic().model_dump(mode="json") | {"id": "headset-basic", "category": "usb-headset", "version": "1.0"}
    return Programme.model_validate(fields)


def with_a_usb_slot() -> Lab:
    fields = lab().model_dump(mode="json", exclude_none=True)
    slots = fields["hosts"][0]["benches"][0]["slots"]
    unit = slots[1]["unit"]
    slots[1] = {"name": "slot-2", "category": "usb-headset", "usb": "pci-0000:00:14.0-usb-0:1", "unit": unit}
    return Lab.model_validate(fields)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.desk.keep_programmes([*shipped_programmes(), for_headsets()])
    made.desk.apply_lab(with_a_usb_slot(), "admin")
    told = {"category": "usb-headset", "product": HEADSET}
    ears = Identity(kind=IdentityKind.USB_SERIAL, value="1209:0001:VH0001")
    made.heartbeat(registration(1), registration(2).model_copy(update=told | {"identity": ears}))
    return made


def test_a_phone_and_a_headset_of_one_batch_are_each_judged_and_certified_under_their_own_programme(
    world: World,
) -> None:
    own = OwnProgramme(id="headset-basic")
    reply = world.submit(submission(), submission("ears", product=HEADSET, programme=own))
    assert reply.warnings == ()
    taken = [world.take(dispatch) for dispatch in world.tick()]
    assert sorted((one.slot.name, one.programme.split()[0]) for one in taken) == [
        ("slot-1", "ip-phone-basic"), ("slot-2", "headset-basic"),
    ]  # fmt: skip
    for assignment in taken:
        world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    with world.store.reading() as connection:
        found = listings.batch(connection, reply.batch)
        judged = [views.judgement(connection, one) for one in reply.submissions]
        shown, total = listing(connection, Sought(programme="headset-basic"))
        phones, _ = listing(connection, Sought(programme="ip-phone-basic"))
        audited = audit(connection)
    world.store.close()
    assert found is not None
    assert [entry["programme"] for entry in found["entries"]] == [
        f"ip-phone-basic {basic().version}", "headset-basic 1.0",
    ]  # fmt: skip
    assert [one.programme for one in judged if one] == ["ip-phone-basic", "headset-basic"]
    assert (total, shown[0]["model"], shown[0]["programme"]) == (1, "Ears", "headset-basic")
    assert [one["model"] for one in phones] == ["One"]
    assert audited.findings == ()


def test_a_submission_to_a_programme_that_is_not_there_is_refused_with_its_place(world: World) -> None:
    with pytest.raises(BadInput) as refused:
        world.submit(submission(programme=OwnProgramme(id="no-such")))
    world.store.close()
    (problem,) = refused.value.problems
    assert (problem.path, problem.wrong) == ("submissions[0].programme", "no-such is no programme here")
    assert "headset-basic" in problem.expected


def test_who_submits_cannot_bind_a_digest(world: World) -> None:
    own = OwnProgramme(id="headset-basic", version="1.0", digest="sha256:" + "0" * 64)
    with pytest.raises(BadInput) as refused:
        world.submit(submission(programme=own))
    world.store.close()
    assert refused.value.problems[0].path == "submissions[0].programme.digest"
