"""Why a unit cannot be used, and why a run waits."""

from dataclasses import replace
from typing import Any

import pytest
import small_lab

from lab_inventory.device import Intent, Presence
from lab_inventory.lab import Role
from orchestrator.lifecycle.host import HostIntent
from orchestrator.lifecycle.snapshot import DeviceView, HostView
from orchestrator.pipeline.schedule.explain import UNITS_NAMED_MAX, Circumstances, Obstacle, obstacle, why_waiting
from orchestrator.pipeline.schedule.index import Unit


def unit(of: DeviceView | None = None, **change: Any) -> Unit:
    device = of or small_lab.device(**change)
    found = small_lab.host().slot(device.registration.slot)
    return Unit(
        device=device,
        slot=found[1] if found else None,
        bench=found[0].name if found else None,
        resources=(f"device:{device.device}", f"slot:{device.host}/{device.registration.slot}"),
    )


def now(**change: Any) -> Circumstances:
    hosts: dict[str, HostView] = {"host-1": small_lab.host_view(small_lab.host())}
    nothing: dict[str, Any] = {"held_by": {}, "not_ready": {}, "refusing": {}, "quarantines": {}}
    return Circumstances(**({"hosts": hosts} | nothing | change))


def test_a_unit_that_nothing_keeps_back_can_be_used() -> None:
    assert obstacle(unit(), now()) is None


DRAINED = replace(small_lab.host_view(small_lab.host()), intent=HostIntent.DRAINED, intent_reason="new agent")
WITHOUT_A_DRIVER = small_lab.device(registration=small_lab.registration(driver=None))


@pytest.mark.parametrize(
    ("of", "circumstances", "slug", "words"),
    [
        (
            unit(intent=Intent.HELD, intent_reason="cable loose"),
            now(),
            "held",
            "dev-1 is held by a person: cable loose",
        ),
        (unit(intent=Intent.HELD), now(), "held", "dev-1 is held by a person"),
        (unit(WITHOUT_A_DRIVER), now(), "no-driver", "dev-1 has no driver here"),
        (
            unit(presence=Presence.ABSENT, presence_reason="unplugged"),
            now(),
            "absent",
            "dev-1 is absent: unplugged",
        ),
        (unit(slot="slot-9"), now(), "no-slot", "the slot of dev-1 is no longer in the lab file"),
        (unit(), now(hosts={}), "no-agent", "the agent of host host-1 has not been heard of"),
        (
            unit(),
            now(hosts={"host-1": small_lab.host_view(small_lab.host(), inbox=None)}),
            "no-agent",
            "the agent of host host-1 has not been heard of",
        ),
        (
            unit(),
            now(hosts={"host-1": DRAINED}, held_by={"device:dev-1": "run-7"}),
            "drained",
            "dev-1 stands at host host-1, which is drained: new agent",
        ),
        (unit(), now(held_by={"device:dev-1": "run-7"}), "busy", "dev-1 is busy with run-7"),
        (
            unit(),
            now(held_by={"slot:host-1/slot-1": "run-7"}),
            "busy",
            "the slot host-1/slot-1 of dev-1 is busy with run-7",
        ),
        (
            unit(),
            now(quarantines={"device:dev-1": "it could not be measured on"}),
            "quarantined",
            "dev-1 is in quarantine: it could not be measured on",
        ),
        (
            unit(),
            now(quarantines={"bench:bench-of-host-1": "it did not pass its own check"}),
            "quarantined",
            "bench bench-of-host-1 of dev-1 is in quarantine: it did not pass its own check",
        ),
        (
            unit(),
            now(refusing={"host-1": "its work directory has 3 MB left"}),
            "refusing",
            "host host-1 takes no run now: its work directory has 3 MB left",
        ),
        (
            unit(),
            now(not_ready={"host-1": "no such node"}),
            "ray",
            "the Ray worker of host host-1 is not ready: no such node",
        ),
    ],
)
def test_what_keeps_a_unit_from_being_used_is_said(
    of: Unit, circumstances: Circumstances, slug: str, words: str
) -> None:
    assert obstacle(of, circumstances) == Obstacle(slug=slug, words=words)


def test_a_slot_for_companions_holds_no_unit_to_be_tested() -> None:
    place = small_lab.host().slot("slot-1")
    assert place is not None
    companion = place[1].model_copy(update={"roles": (Role.COMPANION,)})
    companions = Unit(device=small_lab.device(), slot=companion, bench="bench-1", resources=("device:dev-1",))
    found = obstacle(companions, now())
    assert found == Obstacle(slug="no-slot", words="dev-1 stands in slot-1, which is for a companion device")


def test_a_run_without_a_unit_says_which_product_is_missing() -> None:
    why = why_waiting(small_lab.queued(), (), (), now())
    assert why == Obstacle(slug="no-unit", words="no unit of Acme One 1.0, hardware A, mode wideband is registered")


def test_a_run_whose_product_is_registered_in_another_category_says_so() -> None:
    why = why_waiting(small_lab.queued(), (), ("headset",), now())
    assert why.words.endswith("is registered as ip-phone, only as headset")


def test_the_unit_that_is_nearest_to_being_free_comes_first_and_names_the_reason() -> None:
    units = [unit(name="dev-1", intent=Intent.HELD), unit(name="dev-2")]
    why = why_waiting(small_lab.queued(), units, (), now(held_by={"device:dev-2": "run-7"}))
    assert why.slug == "busy"
    assert why.words == (
        "2 units of Acme One 1.0, hardware A, mode wideband are registered: "
        "dev-2 is busy with run-7; dev-1 is held by a person"
    )


def test_of_many_units_a_few_are_named_and_the_others_counted() -> None:
    units = [unit(name=f"dev-{number}", intent=Intent.HELD) for number in range(UNITS_NAMED_MAX + 3)]
    why = why_waiting(small_lab.queued(), units, (), now())
    assert why.words.startswith(f"{UNITS_NAMED_MAX + 3} units of")
    assert why.words.count("is held by a person") == UNITS_NAMED_MAX
    assert why.words.endswith("; and 3 more")
