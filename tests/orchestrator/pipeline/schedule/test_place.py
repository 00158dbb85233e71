"""Runs onto units."""

import sys
from types import FrameType

import small_lab

from lab_inventory.device import Intent
from orchestrator.lifecycle.snapshot import HostView, Snapshot
from orchestrator.pipeline.schedule.place import Plan, place

TWO_UNITS = (small_lab.device("dev-1", "slot-1"), small_lab.device("dev-2", "slot-2"))


def placed(snapshot: Snapshot, placements_max: int = 100, **not_ready: str) -> Plan:
    return place(snapshot, not_ready=not_ready, placements_max=placements_max)


def pairs(plan: Plan) -> list[tuple[str, str]]:
    return [(placement.run.run, placement.device.device) for placement in plan.placements]


def slugs(plan: Plan) -> dict[str, str]:
    return {deferral.run: deferral.slug for deferral in plan.deferrals}


def test_a_run_is_placed_on_a_unit_of_its_product() -> None:
    devices = [small_lab.device("dev-1", "slot-1", model="Two"), small_lab.device("dev-2", "slot-2")]
    plan = placed(small_lab.snapshot([small_lab.queued()], devices))
    assert pairs(plan) == [("run-1", "dev-2")]
    assert not plan.more


def test_higher_priority_goes_first_and_then_who_waits_longest() -> None:
    queue = [
        small_lab.queued("late", waits_s=1),
        small_lab.queued("early", waits_s=9),
        small_lab.queued("urgent", priority=90),
    ]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS))
    assert pairs(plan) == [("urgent", "dev-1"), ("early", "dev-2")]
    assert slugs(plan) == {"late": "busy"}


def test_who_waits_is_told_of_the_run_that_was_placed_in_the_same_pass() -> None:
    queue = [small_lab.queued("run-1", waits_s=9), small_lab.queued("run-2")]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS[:1]))
    (deferral,) = plan.deferrals
    assert "dev-1 is busy with run-1" in deferral.words


def test_a_run_that_cannot_be_placed_keeps_no_later_one_from_a_unit() -> None:
    queue = [small_lab.queued("first", "Two", priority=90), small_lab.queued("second")]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS[:1]))
    assert pairs(plan) == [("second", "dev-1")]
    assert slugs(plan) == {"first": "no-unit"}


def test_a_held_batch_is_passed_over() -> None:
    queue = [small_lab.queued("held", priority=90, batch_held=True), small_lab.queued("free")]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS[:1]))
    assert pairs(plan) == [("free", "dev-1")]
    assert slugs(plan) == {"held": "batch-held"}


def test_a_unit_under_a_lease_is_not_given_out() -> None:
    leases = [small_lab.lease("run-9", {"device:dev-1": 1, "slot:host-1/slot-1": 1})]
    plan = placed(small_lab.snapshot([small_lab.queued()], TWO_UNITS[:1], leases))
    assert plan.placements == ()
    assert "dev-1 is busy with run-9" in plan.deferrals[0].words


def test_a_slot_under_a_lease_keeps_the_unit_that_was_put_there_since_from_being_used() -> None:
    leases = [small_lab.lease("run-9", {"device:dev-old": 1, "slot:host-1/slot-1": 1})]
    assert slugs(placed(small_lab.snapshot([small_lab.queued()], TWO_UNITS[:1], leases))) == {"run-1": "busy"}


def test_the_unit_an_attempt_was_lost_on_is_taken_last() -> None:
    queue = [small_lab.queued(avoid_device="dev-1")]
    assert pairs(placed(small_lab.snapshot(queue, TWO_UNITS))) == [("run-1", "dev-2")]


def test_the_unit_an_attempt_was_lost_on_is_taken_where_there_is_no_other() -> None:
    queue = [small_lab.queued(avoid_device="dev-1")]
    assert pairs(placed(small_lab.snapshot(queue, TWO_UNITS[:1]))) == [("run-1", "dev-1")]


def test_an_exclusive_instrument_serves_one_run_and_a_unit_elsewhere_is_used_instead() -> None:
    hosts = [
        small_lab.host_view(small_lab.host("host-1", exclusive=True)),
        small_lab.host_view(small_lab.host("host-2", ["slot-3"])),
    ]
    devices = [*TWO_UNITS, small_lab.device("dev-3", "slot-3", "host-2")]
    queue = [small_lab.queued(f"run-{number}") for number in range(1, 4)]
    plan = placed(small_lab.snapshot(queue, devices, hosts=hosts))
    assert pairs(plan) == [("run-1", "dev-1"), ("run-2", "dev-3")]
    assert "the instrument bench-of-host-1/sip of dev-2 is busy with run-1" in plan.deferrals[0].words


def test_while_the_ray_worker_of_a_host_is_not_ready_its_units_wait_and_say_why() -> None:
    plan = place(
        small_lab.snapshot([small_lab.queued()], TWO_UNITS), not_ready={"host-1": "starting"}, placements_max=9
    )
    assert plan.placements == ()
    assert plan.deferrals[0].slug == "ray"
    assert "host-1 is not ready: starting" in plan.deferrals[0].words


def test_a_pass_places_no_more_than_its_bound_and_says_that_there_is_more() -> None:
    queue = [small_lab.queued(f"run-{number}") for number in range(1, 4)]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS), placements_max=1)
    assert len(plan.placements) == 1
    assert slugs(plan) == {"run-2": "next-pass", "run-3": "next-pass"}
    assert plan.more


def test_a_pass_that_placed_as_many_as_it_may_and_all_there_were_leaves_no_more() -> None:
    assert not placed(small_lab.snapshot([small_lab.queued()], TWO_UNITS), placements_max=1).more


def test_a_unit_of_another_category_is_not_taken() -> None:
    headset = small_lab.device(registration=small_lab.registration(category="headset"))
    assert slugs(placed(small_lab.snapshot([small_lab.queued()], [headset]))) == {"run-1": "no-unit"}


def large_lab(runs: int) -> Snapshot:
    """20 hosts of 50 units of 100 models, every tenth held, half with an exclusive instrument; ``runs`` wait."""
    hosts: list[HostView] = []
    devices = []
    for number in range(20):
        name = f"host-{number}"
        slots = [f"{name}-slot-{slot}" for slot in range(50)]
        hosts.append(small_lab.host_view(small_lab.host(name, slots, exclusive=number % 2 == 0)))
        for at, slot in enumerate(slots):
            intent = Intent.HELD if at % 10 == 0 else Intent.IN_SERVICE
            devices.append(small_lab.device(f"dev-{name}-{at}", slot, name, f"Model {at % 100}", intent=intent))
    queue = [
        small_lab.queued(f"run-{number}", f"Model {number % 110}", waits_s=number, priority=number % 5)
        for number in range(runs)
    ]
    return small_lab.snapshot(queue, devices, hosts=hosts)


def calls_of(snapshot: Snapshot) -> int:
    """How many Python functions a pass calls: what it costs, whatever else the machine does."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        plan = placed(snapshot, placements_max=1000)
    finally:
        sys.setprofile(None)
    assert len(plan.placements) + len(plan.deferrals) == len(snapshot.queue)
    return calls


def test_a_pass_over_a_thousand_units_costs_a_few_calls_for_each_run_and_unit_and_not_for_each_pair() -> None:
    assert calls_of(large_lab(10_000)) < 15 * (10_000 + 1_000)


def test_ten_times_the_runs_cost_no_more_than_ten_times_as_much() -> None:
    assert calls_of(large_lab(10_000)) < 10 * calls_of(large_lab(1_000))


def test_what_is_in_quarantine_gets_nothing_but_its_own_probation() -> None:
    out = [small_lab.quarantine("device:dev-1")]
    queue = [
        small_lab.queued("ordinary", priority=90),
        small_lab.queued("probation", unit="dev-1", probation=True),
    ]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS[:1], quarantines=out))
    assert pairs(plan) == [("probation", "dev-1")]
    assert slugs(plan) == {"ordinary": "quarantined"}


def test_a_bench_in_quarantine_takes_all_its_units_out() -> None:
    out = [small_lab.quarantine("bench:bench-of-host-1")]
    plan = placed(small_lab.snapshot([small_lab.queued()], TWO_UNITS, quarantines=out))
    assert pairs(plan) == []
    assert slugs(plan) == {"run-1": "quarantined"}


def test_a_probation_never_runs_on_a_unit_that_a_person_took_out() -> None:
    held = [small_lab.device("dev-1", intent=Intent.HELD)]
    queue = [small_lab.queued("probation", unit="dev-1", probation=True)]
    plan = placed(small_lab.snapshot(queue, held, quarantines=[small_lab.quarantine()]))
    assert slugs(plan) == {"probation": "held"}


def test_a_probation_asks_for_its_unit_whatever_that_is_by_now() -> None:
    flashed = [small_lab.device("dev-1", model="Two")]
    plan = placed(small_lab.snapshot([small_lab.queued("probation", unit="dev-1", probation=True)], flashed))
    assert pairs(plan) == [("probation", "dev-1")]


def test_a_run_that_is_bound_to_a_unit_runs_on_no_other() -> None:
    queue = [small_lab.queued("bound", unit="dev-2"), small_lab.queued("gone", unit="dev-9")]
    plan = placed(small_lab.snapshot(queue, TWO_UNITS))
    assert pairs(plan) == [("bound", "dev-2")]
    assert slugs(plan) == {"gone": "no-unit"}


def test_a_host_that_takes_no_run_is_left_alone() -> None:
    snapshot = small_lab.snapshot([small_lab.queued()], TWO_UNITS)
    plan = place(snapshot, not_ready={}, refusing={"host-1": "3 MB left"}, placements_max=9)
    assert slugs(plan) == {"run-1": "refusing"}
