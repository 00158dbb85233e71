"""A run that has a companion device, through desk, store and loop, with an agent played by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_world import TTL_S, World, basic, lab, registration

from lab_inventory.device import Identity, IdentityKind
from lab_inventory.errors import Conflict
from lab_inventory.lab import Lab, Role
from lab_inventory.messages import Assignment, Standing
from lab_inventory.programme import Programme
from orchestrator.loop import Dispatch
from orchestrator.store import listings, views
from orchestrator.store.audit import audit


def with_roles(**roles: tuple[Role, ...]) -> Lab:
    fields = lab().model_dump(mode="json")
    for slot in fields["hosts"][0]["benches"][0]["slots"]:
        slot["roles"] = roles.get(slot["name"].replace("-", "_"), (Role.DUT,))
    return Lab.model_validate(fields)


def paired() -> Programme:
    """The basic programme in a version whose first case needs a companion."""
    fields = basic().model_dump(mode="json") | {"version": "9.0"}
    fields["suites"][0]["cases"][0]["roles"] = ["dut", "companion"]
    return Programme.model_validate(fields)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.programme = paired()
    made.desk.keep_programmes([made.programme])
    made.desk.apply_lab(with_roles(slot_2=(Role.COMPANION,)), "admin")
    yield made
    made.store.close()


def placed(world: World) -> Dispatch:
    world.heartbeat(registration(1), registration(2, mode="wideband"))
    world.submit()
    (dispatch,) = world.tick()
    return dispatch


def test_one_lease_covers_both_devices_and_the_assignment_names_both(world: World) -> None:
    assignment = world.take(placed(world))
    (companion,) = assignment.companions
    assert (companion.role, companion.slot.name) == (Role.COMPANION, "slot-2")
    assert companion.registration.identity == registration(2).identity
    assert (
        sorted(assignment.epochs)
        == [
            f"device:{assignment.dut.device}",
            f"device:{companion.device}",
            "slot:host-1/slot-1",
            "slot:host-1/slot-2",
        ]
        or len(assignment.epochs) == 4
    )
    with world.store.reading() as connection:
        states = {row["device"]: row["state"] for row in listings.devices(connection)}
        shown = listings.run(connection, assignment.run)
    assert states == {assignment.dut.device: "busy", companion.device: "busy"}
    assert shown is not None
    assert [(one["role"], one["device"]) for one in shown["companions"]] == [("companion", companion.device)]


def test_a_phone_that_is_tested_with_a_headset_gets_both_or_neither(world: World) -> None:
    fields = paired().model_dump(mode="json")
    fields["suites"][0]["cases"][0]["categories"] = {"companion": "usb-headset"}
    world.programme = Programme.model_validate(fields | {"version": "9.1"})
    world.desk.keep_programmes([world.programme])
    with_headset = with_roles(slot_2=(Role.COMPANION,)).model_dump(mode="json")
    bench = with_headset["hosts"][0]["benches"][0]
    phone_slot = next(slot for slot in bench["slots"] if slot["name"] == "slot-2")
    usb = {"name": "slot-2", "category": "usb-headset", "roles": ["companion"], "usb": "pci-0000:00:14.0-usb-0:1"}
    bench["slots"] = [one for one in bench["slots"] if one is not phone_slot] + [usb | {"unit": phone_slot["unit"]}]
    world.desk.apply_lab(Lab.model_validate(with_headset), "admin")
    world.heartbeat(registration(1))
    world.submit()
    assert world.tick() == ()
    (deferral,) = world.loop.waiting.values()
    assert "no companion usb-headset is registered on bench bench-1" in deferral.words
    plugged = registration(2).model_copy(
        update={
            "identity": Identity(kind=IdentityKind.USB_SERIAL, value="1209:0001:VH0001"),
            "category": "usb-headset",
            "mode": phone_slot["unit"]["mode"],
            "hardware_revision": phone_slot["unit"]["hardware_revision"],
        }
    )
    world.heartbeat(registration(1), plugged)
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    (companion,) = assignment.companions
    assert (companion.slot.name, companion.slot.usb) == ("slot-2", "pci-0000:00:14.0-usb-0:1")
    assert {"slot:host-1/slot-1", "slot:host-1/slot-2"} < set(assignment.epochs)


def test_its_end_gives_both_back_and_the_journal_agrees(world: World) -> None:
    assignment = world.take(placed(world))
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    with world.store.reading() as connection:
        states = {row["state"] for row in listings.devices(connection)}
        judgement = views.judgement(connection, assignment.submission)
        found = audit(connection)
    assert states == {"idle"}
    assert judgement is not None
    assert judgement.earned == "certified"
    assert found.findings == ()


def test_after_a_lapse_the_next_attempt_has_a_higher_epoch_of_each(world: World) -> None:
    first = world.take(placed(world))
    world.clock.advance(TTL_S + 1)
    world.heartbeat(registration(1), registration(2))
    (dispatch,) = world.tick()
    second = Assignment.model_validate_json(dispatch.assignment_json)
    assert second.epochs == {resource: epoch + 1 for resource, epoch in first.epochs.items()}
    (reply,) = world.renew(first).leases
    assert reply.standing is Standing.LAPSED


def test_a_second_run_waits_for_the_companion_and_says_so(world: World) -> None:
    placed(world)
    world.submit(key="key-2")
    assert world.tick() == ()
    (deferral,) = world.loop.waiting.values()
    assert "is busy with" in deferral.words


def test_while_no_companion_is_there_the_run_waits_and_its_submitter_was_not_warned(world: World) -> None:
    world.heartbeat(registration(1))
    reply = world.submit()
    assert not [words for words in reply.warnings if "slots" in words]
    assert world.tick() == ()
    (deferral,) = world.loop.waiting.values()
    assert deferral.slug == "no-companion"
    assert "no companion ip-phone is registered on bench bench-1" in deferral.words


def test_a_lab_without_a_slot_for_it_takes_the_batch_with_a_warning(world: World) -> None:
    world.desk.apply_lab(lab(), "admin")
    world.heartbeat(registration(1), registration(2))
    assert any("no bench has slots for 1 companion ip-phone" in words for words in world.submit().warnings)
    assert world.tick() == ()


def test_the_slot_of_a_companion_cannot_be_taken_out_of_the_lab_file_meanwhile(world: World) -> None:
    placed(world)
    with pytest.raises(Conflict, match="slot-2 of host-1"):
        world.desk.apply_lab(lab(1), "admin")
