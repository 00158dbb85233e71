"""What holds of every plan in a lab where runs need other devices beside the one under test."""

from itertools import permutations

import small_lab
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_inventory.device import Intent
from lab_inventory.lab import Role
from orchestrator.lifecycle.run import Need
from orchestrator.lifecycle.snapshot import DeviceView, Snapshot
from orchestrator.pipeline.schedule.place import Plan, place

HOSTS = ("host-1", "host-2")
ROLES = st.sampled_from([(Role.DUT,), (Role.DUT, Role.COMPANION), (Role.COMPANION,), (Role.COMPANION, Role.REFERENCE)])
COMPANION, REFERENCE = (Need(role=role, category="ip-phone") for role in (Role.COMPANION, Role.REFERENCE))
NEEDS = st.sampled_from([(), (COMPANION,), (COMPANION,), (COMPANION, REFERENCE), (COMPANION, COMPANION)])
fast = settings(max_examples=150, deadline=None)


@st.composite
def labs(draw: st.DrawFn) -> Snapshot:
    """Two hosts of four slots in any roles; units of two products in them, some held, some leased; a queue."""
    hosts = [
        small_lab.host_view(
            small_lab.host(
                name,
                [f"{name}-slot-{n}" for n in range(4)],
                exclusive=draw(st.integers(0, 3)) == 0,
                roles={f"{name}-slot-{n}": draw(ROLES) for n in range(4)},
            )
        )
        for name in HOSTS
    ]
    places = [(name, f"{name}-slot-{n}") for name in HOSTS for n in range(4)]
    units = [
        small_lab.device(
            f"dev-{number}",
            slot,
            at,
            draw(st.sampled_from(["One", "Two"])),
            intent=Intent.HELD if draw(st.integers(0, 7)) == 0 else Intent.IN_SERVICE,
        )
        for number, (at, slot) in enumerate(draw(st.lists(st.sampled_from(places), max_size=8)))
    ]
    leases = [
        small_lab.lease(f"old-{unit.device}", dict.fromkeys(own(unit), 1))
        for unit in units
        if draw(st.integers(0, 6)) == 0
    ]
    queue = [
        small_lab.queued(
            f"run-{n}", draw(st.sampled_from(["One", "Two"])), waits_s=draw(st.integers(0, 3)), needs=draw(NEEDS)
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    return small_lab.snapshot(queue, units, leases, hosts)


def own(unit: DeviceView) -> tuple[str, str]:
    return f"device:{unit.device}", f"slot:{unit.host}/{unit.registration.slot}"


def roles_of(unit: DeviceView, lab: Snapshot) -> tuple[Role, ...]:
    found = lab.hosts[unit.host].config.slot(unit.registration.slot)
    assert found is not None
    return found[1].roles


def instruments(unit: DeviceView, lab: Snapshot) -> tuple[str, ...]:
    found = lab.hosts[unit.host].config.slot(unit.registration.slot)
    assert found is not None
    return tuple(f"instrument:{found[0].name}/{one.name}" for one in found[0].instruments if one.exclusive)


def placed(lab: Snapshot) -> Plan:
    return place(lab, not_ready={}, placements_max=100)


@fast
@given(labs())
def test_no_device_nor_slot_is_given_twice_nor_while_it_is_leased(lab: Snapshot) -> None:
    given_out = [resource for one in placed(lab).placements for resource in one.resources]
    assert len(given_out) == len(set(given_out))
    assert not set(given_out) & {resource for lease in lab.leases for resource in lease.epochs}


@fast
@given(labs())
def test_a_run_gets_all_that_it_needs_on_one_bench_or_nothing(lab: Snapshot) -> None:
    for one in placed(lab).placements:
        assert len(one.companions) == len(one.run.needs)
        assert Role.DUT in roles_of(one.device, lab)
        for need, unit in zip(one.run.needs, one.companions, strict=True):
            assert need.role in roles_of(unit, lab)
            assert unit.host == one.device.host
            assert unit.intent is Intent.IN_SERVICE
        wanted = [*own(one.device), *instruments(one.device, lab)]
        wanted += [resource for unit in one.companions for resource in own(unit)]
        assert list(one.resources) == wanted
        assert len({unit.device for unit in (one.device, *one.companions)}) == 1 + len(one.companions)


@fast
@given(labs())
def test_no_run_waits_while_everything_it_needs_is_free(lab: Snapshot) -> None:
    plan = placed(lab)
    held = {resource for lease in lab.leases for resource in lease.epochs}
    held |= {resource for one in plan.placements for resource in one.resources}
    free = [unit for unit in lab.devices if unit.intent is Intent.IN_SERVICE and not held.intersection(own(unit))]
    waiting = {deferral.run for deferral in plan.deferrals}
    for run in (run for run in lab.queue if run.run in waiting):
        for dut, *others in permutations(free, 1 + len(run.needs)):
            fits = (
                dut.key == run.key and Role.DUT in roles_of(dut, lab) and not held.intersection(instruments(dut, lab))
            )
            fits &= len({own(unit)[1] for unit in (dut, *others)}) == 1 + len(others)
            assert not fits or not all(
                unit.host == dut.host and need.role in roles_of(unit, lab)
                for need, unit in zip(run.needs, others, strict=True)
            )


@fast
@given(labs(), st.data())
def test_the_order_of_the_snapshot_plays_no_part_and_who_waits_is_told_why(lab: Snapshot, data: st.DataObject) -> None:
    shuffled = small_lab.snapshot(
        data.draw(st.permutations(lab.queue)), data.draw(st.permutations(lab.devices)), lab.leases, lab.hosts.values()
    )
    plans = [placed(each) for each in (lab, shuffled)]
    assert plans[0].placements == plans[1].placements
    told = [one.run.run for one in plans[0].placements] + [deferral.run for deferral in plans[0].deferrals]
    assert sorted(told) == sorted(run.run for run in lab.queue)
    assert all(deferral.slug and deferral.words for deferral in plans[0].deferrals)
