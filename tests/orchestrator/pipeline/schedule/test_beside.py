"""A run that needs devices beside the one under test: placed with all of them, or not at all."""

from itertools import product
from typing import Any

import pytest
import small_lab

from lab_inventory.device import Intent, Presence
from lab_inventory.lab import Role
from orchestrator.lifecycle.run import Need
from orchestrator.lifecycle.snapshot import DeviceView, QueuedRun, Snapshot
from orchestrator.pipeline.schedule.place import Plan, place

COMPANION = Need(role=Role.COMPANION, category="ip-phone")
REFERENCE = Need(role=Role.REFERENCE, category="ip-phone")
BESIDE = {"slot-2": (Role.COMPANION,), "slot-3": (Role.DUT, Role.COMPANION)}
UNITS = tuple(small_lab.device(f"dev-{n}", f"slot-{n}", model="One" if n == 1 else "Two") for n in (1, 2, 3))


def queued(name: str = "run-1", model: str = "One", *needs: Need, **change: Any) -> QueuedRun:
    return small_lab.queued(name, model, needs=needs or (COMPANION,), **change)


def lab(*queue: QueuedRun, units: tuple[DeviceView, ...] = UNITS, roles: Any = BESIDE, **change: Any) -> Snapshot:
    host = small_lab.host(slots=["slot-1", "slot-2", "slot-3"], roles=roles, exclusive=change.pop("exclusive", False))
    return small_lab.snapshot(queue or (queued(),), units, hosts=[small_lab.host_view(host)], **change)


def placed(snapshot: Snapshot) -> Plan:
    return place(snapshot, not_ready={}, placements_max=100)


def groups(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (placement.run.run, placement.device.device, *(device.device for device in placement.companions))
        for placement in plan.placements
    ]


def why(plan: Plan) -> str:
    (deferral,) = plan.deferrals
    assert deferral.slug == "no-companion"
    return deferral.words.partition("registered: ")[2]


def test_it_gets_a_unit_of_its_bench_whatever_product_that_is_and_takes_its_slot_too() -> None:
    plan = placed(lab())
    assert groups(plan) == [("run-1", "dev-1", "dev-2")]
    assert plan.placements[0].resources == (
        "device:dev-1",
        "slot:host-1/slot-1",
        "device:dev-2",
        "slot:host-1/slot-2",
    )


def test_what_the_bench_shares_is_taken_once() -> None:
    (placement,) = placed(lab(exclusive=True)).placements
    assert placement.resources.count("instrument:bench-of-host-1/sip") == 1


def test_a_unit_that_may_be_nothing_else_is_taken_before_one_that_may_be_tested() -> None:
    epochs = {"device:dev-2": 9}
    assert groups(placed(lab(epochs=epochs))) == [("run-1", "dev-1", "dev-2")]


def test_of_two_alike_the_least_used_is_taken() -> None:
    roles = {"slot-2": (Role.COMPANION,), "slot-3": (Role.COMPANION,)}
    assert groups(placed(lab(roles=roles, epochs={"device:dev-2": 1}))) == [("run-1", "dev-1", "dev-3")]


def test_two_runs_never_get_the_same_one_and_the_second_says_who_has_it() -> None:
    roles = {"slot-2": (Role.COMPANION,)}
    units = (UNITS[0], UNITS[1], small_lab.device("dev-3", "slot-3"))
    plan = placed(lab(queued("run-1", waits_s=9), queued("run-2"), units=units, roles=roles))
    assert groups(plan) == [("run-1", "dev-1", "dev-2")]
    (deferral,) = plan.deferrals
    assert "no companion ip-phone is free on bench bench-of-host-1: dev-2 is busy with run-1" in deferral.words


def test_a_run_that_gets_no_companion_takes_nothing() -> None:
    held = (UNITS[0], small_lab.device("dev-2", "slot-2", intent=Intent.HELD))
    plan = placed(lab(queued(), small_lab.queued("alone", waits_s=-9), units=held))
    assert groups(plan) == [("alone", "dev-1")]


@pytest.mark.parametrize(
    ("units", "roles", "words"),
    [
        (UNITS[:1], {}, "bench bench-of-host-1 has no slot for a companion ip-phone"),
        (UNITS[:1], BESIDE, "no companion ip-phone is registered on bench bench-of-host-1 beside dev-1"),
        (
            (
                UNITS[0],
                small_lab.device("dev-2", "slot-2", model="Two", presence=Presence.ABSENT, presence_reason="unplugged"),
            ),
            BESIDE,
            "no companion ip-phone is free on bench bench-of-host-1: dev-2 is absent: unplugged",
        ),
        (
            (UNITS[0], small_lab.device("dev-2", "slot-2", model="Two", intent=Intent.HELD, intent_reason="on loan")),
            BESIDE,
            "no companion ip-phone is free on bench bench-of-host-1: dev-2 is held by a person: on loan",
        ),
        (
            (
                UNITS[0],
                small_lab.device("dev-2", "slot-2", registration=small_lab.registration("slot-2", "Two", driver=None)),
            ),
            BESIDE,
            "no companion ip-phone is free on bench bench-of-host-1: dev-2 has no driver here",
        ),
    ],
)
def test_why_it_waits_is_said(units: tuple[DeviceView, ...], roles: Any, words: str) -> None:
    assert why(placed(lab(units=units, roles=roles))) == words


def test_the_device_under_test_is_not_its_own_companion() -> None:
    both = {"slot-1": (Role.DUT, Role.COMPANION)}
    assert "beside dev-1" in why(placed(lab(units=UNITS[:1], roles=both)))


def test_a_unit_on_another_bench_is_no_companion() -> None:
    far = small_lab.host_view(small_lab.host("host-2", ["slot-9"], roles={"slot-9": (Role.COMPANION,)}))
    near = small_lab.host_view(small_lab.host("host-1", ["slot-1"]))
    units = [UNITS[0], small_lab.device("dev-9", "slot-9", "host-2")]
    plan = placed(small_lab.snapshot([queued()], units, hosts=[near, far]))
    assert "bench bench-of-host-1 has no slot" in why(plan)


def test_a_unit_of_another_category_is_no_companion() -> None:
    headset = small_lab.device("dev-2", "slot-2", registration=small_lab.registration("slot-2", category="headset"))
    assert "is registered on bench" in why(placed(lab(units=(UNITS[0], headset))))


def test_what_is_in_quarantine_is_no_companion() -> None:
    plan = placed(lab(units=UNITS[:2], quarantines=[small_lab.quarantine("device:dev-2")]))
    assert "dev-2 is in quarantine" in why(plan)


def test_a_unit_that_is_busy_with_a_companion_elsewhere_waits_for_neither() -> None:
    """One bench has the companion that the other lacks: the run goes there."""
    first = small_lab.host_view(small_lab.host("host-1", ["slot-1"]))
    second = small_lab.host_view(small_lab.host("host-2", ["slot-8", "slot-9"], roles={"slot-9": (Role.COMPANION,)}))
    units = [UNITS[0], small_lab.device("dev-8", "slot-8", "host-2"), small_lab.device("dev-9", "slot-9", "host-2")]
    plan = placed(small_lab.snapshot([queued()], units, hosts=[first, second], epochs={"device:dev-8": 7}))
    assert groups(plan) == [("run-1", "dev-8", "dev-9")]


ROLES = ((), (Role.COMPANION,), (Role.REFERENCE,), (Role.COMPANION, Role.REFERENCE))


@pytest.mark.parametrize(("second", "third"), list(product(ROLES, ROLES)))
def test_two_roles_are_filled_by_two_units_wherever_that_is_possible(
    second: tuple[Role, ...], third: tuple[Role, ...]
) -> None:
    roles = {"slot-2": second or (Role.DUT,), "slot-3": third or (Role.DUT,)}
    plan = placed(lab(queued("run-1", "One", COMPANION, REFERENCE), roles=roles))
    ways = [
        (a, b)
        for a, b in (("dev-2", "dev-3"), ("dev-3", "dev-2"))
        if Role.COMPANION in roles[f"slot-{a[-1]}"] and Role.REFERENCE in roles[f"slot-{b[-1]}"]
    ]
    assert groups(plan) == ([("run-1", "dev-1", *ways[0])] if ways else [])
    assert len(plan.deferrals) == (0 if ways else 1)


def test_two_companions_are_counted() -> None:
    plan = placed(lab(queued("run-1", "One", COMPANION, COMPANION), units=UNITS[:2]))
    assert why(plan) == "only 1 of 2 companion ip-phone is free on bench bench-of-host-1: there are no more"
    assert groups(placed(lab(queued("run-1", "One", COMPANION, COMPANION)))) == [("run-1", "dev-1", "dev-2", "dev-3")]
