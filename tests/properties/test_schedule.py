"""What holds of every plan of the scheduler, whatever the lab looks like."""

from datetime import datetime, timedelta

import small_lab
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_inventory.device import Intent, Presence
from orchestrator.lifecycle.snapshot import DeviceView, QueuedRun, Snapshot
from orchestrator.pipeline.schedule.place import Plan, place

MODELS = st.sampled_from(["One", "One", "Two"])
HOSTS = ("host-1", "host-2")
fast = settings(max_examples=200, deadline=None)


def needed(unit: DeviceView, lab: Snapshot) -> tuple[str, ...]:
    """What a run on a unit takes."""
    place_of = lab.hosts[unit.host].config.slot(unit.registration.slot)
    assert place_of is not None
    instruments = [f"instrument:{place_of[0].name}/{t.name}" for t in place_of[0].instruments if t.exclusive]
    return f"device:{unit.device}", f"slot:{unit.host}/{unit.registration.slot}", *instruments


def usable(unit: DeviceView, lab: Snapshot, held: dict[str, str], not_ready: dict[str, str]) -> bool:
    """Whether a run could be placed on a unit now."""
    return (
        unit.presence is Presence.PRESENT
        and unit.intent is Intent.IN_SERVICE
        and lab.hosts[unit.host].inbox is not None
        and unit.host not in not_ready
        and not any(resource in held for resource in needed(unit, lab))
    )


@st.composite
def units(draw: st.DrawFn, number: int, calm: bool) -> DeviceView:
    at = draw(st.sampled_from(HOSTS))
    out_of = 1 if calm else 8
    return small_lab.device(
        f"dev-{number}",
        draw(st.sampled_from([f"{at}-slot-{n}" for n in range(4)])),
        at,
        "One" if calm else draw(MODELS),
        presence=Presence.ABSENT if draw(st.integers(1, out_of)) > 7 else Presence.PRESENT,
        intent=Intent.HELD if draw(st.integers(1, out_of)) > 7 else Intent.IN_SERVICE,
        changed_at=small_lab.NOW - timedelta(seconds=draw(st.integers(0, 3))),
    )


@st.composite
def labs(draw: st.DrawFn) -> Snapshot:
    """Two hosts of four slots, some with an exclusive instrument; units, leases and a queue.

    In a calm one nothing but the instruments and each other keeps units and runs apart.
    """
    calm = draw(st.booleans())
    hosts = [
        small_lab.host_view(
            small_lab.host(name, [f"{name}-slot-{n}" for n in range(4)], exclusive=draw(st.booleans())),
            inbox="/run/inbox" if calm or draw(st.integers(0, 7)) else None,
        )
        for name in HOSTS
    ]
    devices = [draw(units(number, calm)) for number in range(draw(st.integers(2 if calm else 0, 6)))]
    empty = small_lab.snapshot(hosts=hosts)
    leases = [
        small_lab.lease(f"old-{unit.device}", dict.fromkeys(needed(unit, empty), 1))
        for unit in devices
        if not calm and draw(st.integers(0, 6)) == 0
    ]
    queue = [
        small_lab.queued(
            f"run-{number}",
            "One" if calm else draw(MODELS),
            waits_s=draw(st.integers(0, 3)),
            priority=draw(st.sampled_from([0, 50, 100])),
            batch_held=not calm and draw(st.integers(0, 5)) == 0,
            avoid_device=draw(st.sampled_from([None, "dev-0", "dev-1"])),
        )
        for number in range(draw(st.integers(2, 3) if calm else st.integers(0, 10)))
    ]
    return small_lab.snapshot(queue, devices, leases, hosts)


NOT_READY = st.dictionaries(st.sampled_from(HOSTS), st.just("no such actor"), max_size=1)


def held_after(lab: Snapshot, plan: Plan) -> dict[str, str]:
    """Every resource that is taken once the plan is carried out, by which run."""
    held = {resource: lease.run for lease in lab.leases for resource in lease.epochs}
    return held | {resource: placed.run.run for placed in plan.placements for resource in placed.resources}


def turn(run: QueuedRun) -> tuple[int, datetime, str]:
    return -run.priority, run.queued_at, run.run


@fast
@given(labs(), NOT_READY)
def test_no_resource_is_given_twice_nor_while_it_is_leased(lab: Snapshot, not_ready: dict[str, str]) -> None:
    plan = place(lab, not_ready=not_ready, placements_max=100)
    given_out = [resource for placed in plan.placements for resource in placed.resources]
    assert len(given_out) == len(set(given_out))
    assert not set(given_out) & {resource for lease in lab.leases for resource in lease.epochs}


@fast
@given(labs(), NOT_READY, st.integers(0, 3))
def test_every_waiting_run_is_placed_once_or_told_why_not(
    lab: Snapshot, not_ready: dict[str, str], placements_max: int
) -> None:
    plan = place(lab, not_ready=not_ready, placements_max=placements_max)
    told = [placed.run.run for placed in plan.placements] + [deferral.run for deferral in plan.deferrals]
    assert sorted(told) == sorted(run.run for run in lab.queue)
    assert all(deferral.slug and deferral.words for deferral in plan.deferrals)
    assert plan.more is any(deferral.slug == "next-pass" for deferral in plan.deferrals)
    assert len(plan.placements) <= placements_max


@fast
@given(labs(), NOT_READY)
def test_a_placement_is_what_its_run_asked_for_and_usable(lab: Snapshot, not_ready: dict[str, str]) -> None:
    held = {resource: lease.run for lease in lab.leases for resource in lease.epochs}
    for placed in place(lab, not_ready=not_ready, placements_max=100).placements:
        assert placed.device.key == placed.run.key
        assert not placed.run.batch_held
        assert usable(placed.device, lab, held, not_ready)
        assert placed.resources == needed(placed.device, lab)


@fast
@given(labs(), NOT_READY)
def test_no_unit_stays_free_while_a_run_waits_for_it(lab: Snapshot, not_ready: dict[str, str]) -> None:
    plan = place(lab, not_ready=not_ready, placements_max=100)
    waiting = {deferral.run for deferral in plan.deferrals}
    held = held_after(lab, plan)
    free = {unit.key for unit in lab.devices if usable(unit, lab, held, not_ready)}
    assert not [run.run for run in lab.queue if run.run in waiting and not run.batch_held and run.key in free]


@fast
@given(labs(), NOT_READY, st.integers(0, 4))
def test_no_run_goes_before_one_of_its_kind_whose_turn_comes_first(
    lab: Snapshot, not_ready: dict[str, str], placements_max: int
) -> None:
    plan = place(lab, not_ready=not_ready, placements_max=placements_max)
    placed = [placement.run for placement in plan.placements]
    deferred = {deferral.run for deferral in plan.deferrals}
    for run in (run for run in lab.queue if run.run in deferred and not run.batch_held):
        assert all(turn(other) < turn(run) for other in placed if other.key == run.key)


@fast
@given(labs(), NOT_READY, st.data())
def test_the_order_of_the_snapshot_plays_no_part(lab: Snapshot, not_ready: dict[str, str], data: st.DataObject) -> None:
    shuffled = small_lab.snapshot(
        data.draw(st.permutations(lab.queue)), data.draw(st.permutations(lab.devices)), lab.leases, lab.hosts.values()
    )
    plans = [place(each, not_ready=not_ready, placements_max=100) for each in (lab, shuffled)]
    assert plans[0].placements == plans[1].placements


@fast
@given(labs(), NOT_READY, st.integers(1, 3))
def test_passes_with_a_bound_leave_nothing_that_could_be_placed(
    lab: Snapshot, not_ready: dict[str, str], placements_max: int
) -> None:
    leases, queue, more = list(lab.leases), list(lab.queue), True
    while more:
        now = small_lab.snapshot(queue, lab.devices, leases, lab.hosts.values())
        plan = place(now, not_ready=not_ready, placements_max=placements_max)
        leases += [small_lab.lease(p.run.run, dict.fromkeys(p.resources, 1)) for p in plan.placements]
        queue = [run for run in queue if run.run not in {p.run.run for p in plan.placements}]
        more = plan.more
        assert plan.placements or not more
    held = {resource: lease.run for lease in leases for resource in lease.epochs}
    free = {unit.key for unit in lab.devices if usable(unit, lab, held, not_ready)}
    assert not [run.run for run in queue if not run.batch_held and run.key in free]
