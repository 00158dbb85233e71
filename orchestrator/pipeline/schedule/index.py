"""The lab as placing looks at it: units by what they are, each with its slot and everything a run on it takes. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from lab_inventory.lab import Role, Slot
from orchestrator.lifecycle.snapshot import DeviceView, Snapshot, UnitKey

_DUT_ALONE = (Role.DUT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A registered unit. ``slot`` None: the place it is registered at is not in the lab file."""

    device: DeviceView
    slot: Slot | None
    bench: str | None
    resources: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        """The unit and its slot, without what its bench shares."""
        return self.resources[:2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """``units``: by key and category, least used first. ``by_device``: the same by the unit's own name.

    ``categories``: the categories a key is registered in. ``beside``: for each bench, role and category that a slot of
    the lab file is for, but for the role of the device under test, the units that may play it: those first that may be
    nothing else, then the least used.
    """

    units: Mapping[tuple[UnitKey, str], tuple[Unit, ...]]
    by_device: Mapping[str, Unit]
    categories: Mapping[UnitKey, tuple[str, ...]]
    beside: Mapping[tuple[str | None, Role, str], tuple[Unit, ...]]


def index(snapshot: Snapshot) -> Index:
    """Look everything up once: the cost is that of the slots and the units, and not of the queue."""
    places = {
        (view.host, slot.name): (
            slot,
            bench.name,
            tuple(f"instrument:{bench.name}/{t.name}" for t in bench.instruments if t.exclusive),
        )
        for view in snapshot.hosts.values()
        for bench, slot in view.config.slots()
    }
    beside: dict[tuple[str | None, Role, str], list[Unit]] = {
        (bench, role, slot.category): []
        for slot, bench, _ in places.values()
        for role in slot.roles
        if role is not Role.DUT
    }
    units: dict[tuple[UnitKey, str], list[Unit]] = defaultdict(list)
    for device in snapshot.devices:
        at = device.registration.slot
        slot, bench, instruments = places.get((device.host, at), (None, None, ()))
        resources = (f"device:{device.device}", f"slot:{device.host}/{at}", *instruments)
        unit = Unit(device=device, slot=slot, bench=bench, resources=resources)
        units[device.key, device.registration.category].append(unit)
        if slot is not None and slot.roles != _DUT_ALONE:
            for role in slot.roles:
                if (bench, role, device.registration.category) in beside:
                    beside[bench, role, device.registration.category].append(unit)
    categories: dict[UnitKey, list[str]] = defaultdict(list)
    for key, category in units:
        categories[key].append(category)
    return Index(
        units={key: tuple(sorted(found, key=lambda unit: _use(unit, snapshot))) for key, found in units.items()},
        by_device={unit.device.device: unit for found in units.values() for unit in found},
        categories={key: tuple(sorted(found)) for key, found in categories.items()},
        beside={
            key: tuple(sorted(found, key=lambda unit: (_may_be_tested(unit), _use(unit, snapshot))))
            for key, found in beside.items()
        },
    )


def _may_be_tested(unit: Unit) -> bool:
    return unit.slot is not None and Role.DUT in unit.slot.roles


def _use(unit: Unit, snapshot: Snapshot) -> tuple[int, str]:
    """How often a unit was leased: its epoch counts that. Taking the least used first wears all alike."""
    return snapshot.epochs.get(unit.resources[0], 0), unit.device.device
