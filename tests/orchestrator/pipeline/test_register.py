"""From a heartbeat to facts about units."""

from collections.abc import Iterable
from typing import Any

import pytest
import small_lab

from lab_inventory.clock import ManualClock
from lab_inventory.device import Identity, IdentityKind, Presence, Product, Registration
from lab_inventory.messages import Heartbeat, HeldRun, SlotFault
from orchestrator.lifecycle.device import DeviceChanged, DeviceRegistered, PresenceObserved
from orchestrator.lifecycle.snapshot import DeviceView
from orchestrator.pipeline.register import Registered, register, silent


def registered(
    *devices: Registration, known: Iterable[DeviceView] = (), faults: Iterable[SlotFault] = (), **runs: dict[str, int]
) -> Registered:
    heartbeat = Heartbeat(
        agent_version="1",
        boot="boot-1",
        inbox="/run/inbox",
        devices=devices,
        faults=tuple(faults),
        runs=tuple(HeldRun(run=run, epochs=epochs) for run, epochs in runs.items()),
    )
    by_identity = {view.registration.identity: view for view in known}
    return register(heartbeat, small_lab.host(), by_identity, small_lab.NOW, ManualClock().new_id)


def weak(value: str) -> Identity:
    return Identity(kind=IdentityKind.SLOT, value=value)


def test_a_unit_that_the_lab_did_not_know_is_registered_and_present() -> None:
    new, present = registered(small_lab.registration()).facts
    assert isinstance(new, DeviceRegistered)
    assert isinstance(present, PresenceObserved)
    assert (new.host, new.registration.slot) == ("host-1", "slot-1")
    assert (present.device, present.presence) == (new.device, Presence.PRESENT)


def test_a_heartbeat_without_news_gives_no_fact() -> None:
    later = small_lab.registration(seen_at=ManualClock(seed=1).now().replace(year=2027))
    assert registered(later, known=[small_lab.device()]) == Registered(facts=(), refusals={})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"product": Product(maker="Acme", model="One", firmware="2.0")}, ("product",)),
        ({"user_agent": "Acme One 1.0b"}, ("user_agent",)),
        ({"driver": None}, ("driver",)),
    ],
)
def test_a_known_unit_that_says_something_new_has_changed(change: dict[str, Any], named: tuple[str, ...]) -> None:
    (fact,) = registered(small_lab.registration(**change), known=[small_lab.device()]).facts
    assert isinstance(fact, DeviceChanged)
    assert (fact.device, fact.changed) == ("dev-1", named)


def test_a_unit_that_was_put_into_another_slot_is_the_same_unit() -> None:
    moved = small_lab.registration("slot-2", identity=small_lab.registration("slot-1").identity)
    (fact,) = registered(moved, known=[small_lab.device()]).facts
    assert isinstance(fact, DeviceChanged)
    assert fact.changed == ("slot",)


def test_a_unit_that_comes_back_is_present_again() -> None:
    gone = small_lab.device(presence=Presence.ABSENT)
    (fact,) = registered(small_lab.registration(), known=[gone]).facts
    assert isinstance(fact, PresenceObserved)
    assert fact.presence is Presence.PRESENT


def test_a_unit_that_its_host_no_longer_reports_is_absent() -> None:
    (fact,) = registered(known=[small_lab.device()]).facts
    assert isinstance(fact, PresenceObserved)
    assert (fact.presence, fact.reason) == (Presence.ABSENT, "no longer registers at slot-1")


def test_a_fault_of_the_slot_says_why_its_unit_is_absent() -> None:
    fault = SlotFault(slot="slot-1", slug="port-taken", detail="127.0.0.1:6000 is in use")
    (fact,) = registered(known=[small_lab.device()], faults=[fault]).facts
    assert isinstance(fact, PresenceObserved)
    assert fact.reason == "127.0.0.1:6000 is in use"


def test_a_unit_whose_slot_a_run_holds_is_not_looked_for() -> None:
    epochs = {"device:dev-1": 1, "slot:host-1/slot-1": 1}
    assert registered(known=[small_lab.device()], **{"run-1": epochs}).facts == ()


def test_a_unit_of_another_slot_is_looked_for_while_a_run_goes_on() -> None:
    epochs = {"device:dev-2": 1, "slot:host-1/slot-2": 1}
    assert len(registered(known=[small_lab.device()], **{"run-1": epochs}).facts) == 1


def test_a_unit_that_is_absent_already_is_not_told_again() -> None:
    assert registered(known=[small_lab.device(presence=Presence.ABSENT)]).facts == ()


def test_units_of_other_hosts_are_left_alone() -> None:
    assert registered(known=[small_lab.device(at="host-2")]).facts == ()


def test_a_unit_that_moved_from_a_host_where_it_is_gone_stands_here_now() -> None:
    gone = small_lab.device(at="host-2", presence=Presence.ABSENT)
    changed, present = registered(small_lab.registration(), known=[gone]).facts
    assert isinstance(changed, DeviceChanged)
    assert (changed.host, changed.changed) == ("host-1", ("host",))
    assert isinstance(present, PresenceObserved)


@pytest.mark.parametrize(
    ("registration", "words"),
    [
        (small_lab.registration("slot-9"), "slot slot-9 of host host-1 is not in the lab file"),
        (small_lab.registration(category="headset"), "slot slot-1 is for ip-phone, not for headset"),
        (small_lab.registration(mode="narrowband"), "the lab file says hardware A, mode wideband"),
        (small_lab.registration(identity=weak("host-2/slot-1")), "calls itself host-2/slot-1"),
    ],
)
def test_what_contradicts_the_lab_file_is_refused(registration: Registration, words: str) -> None:
    answer = registered(registration)
    assert answer.facts == ()
    assert words in answer.refusals[registration.slot]


def test_a_unit_known_only_by_its_place_is_registered_under_that_place() -> None:
    assert registered(small_lab.registration(identity=weak("host-1/slot-1"))).refusals == {}


def test_a_unit_that_is_present_at_another_host_is_refused() -> None:
    answer = registered(small_lab.registration(), known=[small_lab.device(at="host-2")])
    assert answer.facts == ()
    assert "host-2 and present there" in answer.refusals["slot-1"]


def test_an_identity_at_two_slots_is_refused_at_both_and_its_unit_is_absent() -> None:
    identity = small_lab.registration("slot-1").identity
    twice = [small_lab.registration(slot, identity=identity) for slot in ("slot-1", "slot-2")]
    answer = registered(*twice, known=[small_lab.device()])
    assert set(answer.refusals) == {"slot-1", "slot-2"}
    (fact,) = answer.facts
    assert isinstance(fact, PresenceObserved)
    assert (fact.presence, fact.reason) == (Presence.ABSENT, answer.refusals["slot-1"])


def test_two_units_at_one_slot_are_both_refused() -> None:
    other = small_lab.registration(identity=Identity(kind=IdentityKind.MAC, value="00:11:22:33:44:55"))
    answer = registered(small_lab.registration(), other)
    assert answer.facts == ()
    assert answer.refusals == {"slot-1": "2 units register at slot slot-1 at once"}


def test_the_units_of_a_silent_host_are_absent_and_no_others() -> None:
    views = [
        small_lab.device("dev-1", "slot-1"),
        small_lab.device("dev-2", "slot-2", "host-2"),
        small_lab.device("dev-3", "slot-3", presence=Presence.ABSENT),
    ]
    known = {view.registration.identity: view for view in views}
    (fact,) = silent(known, frozenset({"host-1"}), small_lab.NOW)
    assert isinstance(fact, PresenceObserved)
    assert (fact.device, fact.reason) == ("dev-1", "host host-1 is not heard of")


def test_a_host_that_makes_up_ever_new_units_is_refused_and_what_is_known_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.pipeline.register.UNITS_PER_HOST_MAX", 2)
    known = [small_lab.device(f"dev-{n}", f"slot-{n}", presence=Presence.ABSENT) for n in (1, 2)]
    made_up = small_lab.registration(identity=Identity(kind=IdentityKind.SIP_INSTANCE, value="urn:uuid:made-up"))
    refused = registered(made_up, small_lab.registration("slot-2"), known=known)
    assert "2 units of host host-1 are known already" in refused.refusals["slot-1"]
    assert [fact.entity for fact in refused.facts] == ["dev-2"], "a unit that is known is taken as before"
