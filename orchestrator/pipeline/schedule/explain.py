"""Why a unit cannot be used now, and why a run waits: a slug from a closed set and words for people. Pure.

Whether a unit can be used is a chain of small checks; the first that finds something says what.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab_inventory.device import Intent, Presence
from lab_inventory.lab import Role
from orchestrator.lifecycle.host import HostIntent
from orchestrator.lifecycle.snapshot import HostView, QueuedRun
from orchestrator.pipeline.schedule.index import Unit

UNITS_NAMED_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What keeps a unit from being used, or a run from being placed."""

    slug: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What stands beside the units. ``held_by``: the run that holds a resource. ``not_ready``: hosts whose Ray worker
    cannot be reached, with why. ``refusing``: hosts that are left alone because they refused a run, with why.
    ``quarantines``: what the lab took out by itself, by resource, with why.
    """

    hosts: Mapping[str, HostView]
    held_by: Mapping[str, str]
    not_ready: Mapping[str, str]
    refusing: Mapping[str, str]
    quarantines: Mapping[str, str]


def _held(unit: Unit, now: Circumstances) -> Obstacle | None:
    device = unit.device
    if device.intent is not Intent.HELD:
        return None
    return Obstacle(slug="held", words=f"{device.device} is held by a person{_because(device.intent_reason)}")


def _drained(unit: Unit, now: Circumstances) -> Obstacle | None:
    host = now.hosts.get(unit.device.host)
    if host is None or host.intent is not HostIntent.DRAINED:
        return None
    words = f"{unit.device.device} stands at host {host.host}, which is drained{_because(host.intent_reason)}"
    return Obstacle(slug="drained", words=words)


def _no_driver(unit: Unit, now: Circumstances) -> Obstacle | None:
    if unit.device.registration.driver is not None:
        return None
    return Obstacle(slug="no-driver", words=f"{unit.device.device} has no driver here")


def _absent(unit: Unit, now: Circumstances) -> Obstacle | None:
    device = unit.device
    if device.presence is not Presence.ABSENT:
        return None
    return Obstacle(slug="absent", words=f"{device.device} is absent{_because(device.presence_reason)}")


def _no_slot(unit: Unit, now: Circumstances) -> Obstacle | None:
    name, place = unit.device.device, unit.device.registration.slot
    if unit.slot is None:
        return Obstacle(slug="no-slot", words=f"the slot of {name} is no longer in the lab file")
    if Role.DUT not in unit.slot.roles:
        roles = " or ".join(unit.slot.roles)
        return Obstacle(slug="no-slot", words=f"{name} stands in {place}, which is for a {roles} device")
    return None


def _no_agent(unit: Unit, now: Circumstances) -> Obstacle | None:
    host = now.hosts.get(unit.device.host)
    if host is not None and host.inbox is not None:
        return None
    return Obstacle(slug="no-agent", words=f"the agent of host {unit.device.host} has not been heard of")


def _quarantined(unit: Unit, now: Circumstances) -> Obstacle | None:
    name = unit.device.device
    why = now.quarantines.get(f"device:{name}")
    if why is not None:
        return Obstacle(slug="quarantined", words=f"{name} is in quarantine{_because(why)}")
    why = now.quarantines.get(f"bench:{unit.bench}")
    if why is not None:
        return Obstacle(slug="quarantined", words=f"bench {unit.bench} of {name} is in quarantine{_because(why)}")
    return None


def _refusing(unit: Unit, now: Circumstances) -> Obstacle | None:
    name = unit.device.host
    host = now.hosts.get(name)
    why = (host.full if host else "") or now.refusing.get(name, "")
    return Obstacle(slug="refusing", words=f"host {name} takes no run now: {why}") if why else None


def _busy(unit: Unit, now: Circumstances) -> Obstacle | None:
    name = unit.device.device
    for resource in unit.resources:
        if resource in now.held_by:
            what = name if resource == unit.resources[0] else f"the {resource.replace(':', ' ', 1)} of {name}"
            return Obstacle(slug="busy", words=f"{what} is busy with {now.held_by[resource]}")
    return None


def _ray_not_ready(unit: Unit, now: Circumstances) -> Obstacle | None:
    host = unit.device.host
    if host not in now.not_ready:
        return None
    return Obstacle(slug="ray", words=f"the Ray worker of host {host} is not ready: {now.not_ready[host]}")


_CHECKS: Sequence[Callable[[Unit, Circumstances], Obstacle | None]] = (
    _held,
    _drained,
    _no_driver,
    _absent,
    _no_slot,
    _no_agent,
    _quarantined,
    _refusing,
    _busy,
    _ray_not_ready,
)

_CHECKS_BESIDE = tuple(check for check in _CHECKS if check is not _no_slot)
"""For a unit beside the one under test: it was found by the role of its slot."""

_NEAREST_FIRST = (
    "busy",
    "no-companion",
    "refusing",
    "ray",
    "no-agent",
    "absent",
    "quarantined",
    "drained",
    "held",
    "no-slot",
    "no-driver",
)
"""Which obstacle will go away first by itself: it is the one that names why a run waits."""


def obstacle(unit: Unit, now: Circumstances) -> Obstacle | None:
    """The first thing that keeps a unit from being used; None where nothing does."""
    return _first(_CHECKS, unit, now)


def obstacle_beside(unit: Unit, now: Circumstances) -> Obstacle | None:
    """The first thing that keeps a unit from being used beside the one under test; None where nothing does."""
    return _first(_CHECKS_BESIDE, unit, now)


def _first(
    checks: Sequence[Callable[[Unit, Circumstances], Obstacle | None]], unit: Unit, now: Circumstances
) -> Obstacle | None:
    for check in checks:
        found = check(unit, now)
        if found is not None:
            return found
    return None


def _lacks_nothing(unit: Unit) -> None:
    """A run that needs one device."""


def why_waiting(
    run: QueuedRun,
    units: Sequence[Unit],
    categories: Sequence[str],
    now: Circumstances,
    lacks: Callable[[Unit], Obstacle | None] = _lacks_nothing,
) -> Obstacle:
    """Why none of the ``units`` of its product takes a run, with counts; those nearest to being usable come first.

    ``categories``: those in which units of its product are registered at all. ``lacks``: what a unit that could be used
    is short of beside itself.
    """
    key = run.key
    what = f"{key.maker} {key.model} {key.firmware}, hardware {key.hardware_revision}, mode {key.mode}"
    if not units and run.unit is not None:
        return Obstacle(slug="no-unit", words=f"{run.unit}, on which it must run, is not registered as {what}")
    if not units:
        other = f" as {run.category}, only as {' and '.join(categories)}" if categories else ""
        return Obstacle(slug="no-unit", words=f"no unit of {what} is registered{other}")
    obstacles = [found for unit in units if (found := obstacle(unit, now) or lacks(unit)) is not None]
    obstacles.sort(key=lambda found: _NEAREST_FIRST.index(found.slug))
    count = f"1 unit of {what} is" if len(units) == 1 else f"{len(units)} units of {what} are"
    named = "; ".join(found.words for found in obstacles[:UNITS_NAMED_MAX])
    more = f"; and {len(obstacles) - UNITS_NAMED_MAX} more" if len(obstacles) > UNITS_NAMED_MAX else ""
    return Obstacle(slug=obstacles[0].slug, words=f"{count} registered: {named}{more}")


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
