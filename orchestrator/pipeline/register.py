"""From a heartbeat to facts about units: new, changed, come or gone; or a refusal in words. Pure.

A heartbeat is complete, so what a host no longer reports is gone from it; but a slot that a run holds is not looked at
by the agent's probe, and its unit stays what it was. A heartbeat without news gives no fact at all.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lab_inventory.device import Identity, Presence, Registration
from lab_inventory.lab import Host
from lab_inventory.messages import Heartbeat
from orchestrator.lifecycle.device import DeviceChanged, DeviceRegistered, PresenceObserved
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.snapshot import DeviceView

REASON_MAX = 2000
UNITS_PER_HOST_MAX = 1000


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The facts, and for each slot whose registration was refused why."""

    facts: tuple[Fact, ...]
    refusals: Mapping[str, str]


def register(
    heartbeat: Heartbeat,
    host: Host,
    known: Mapping[Identity, DeviceView],
    now: datetime,
    new_id: Callable[[str], str],
) -> Registered:
    """Compare what ``host`` reports with what is ``known`` of all hosts.

    A unit of this host whose registration is refused becomes absent: nobody can say what stands there.
    """
    facts: list[Fact] = []
    refusals: dict[str, str] = {}
    taken: set[Identity] = set()
    of_host, fresh = sum(view.host == host.name for view in known.values()), 0
    slots = Counter(registration.slot for registration in heartbeat.devices)
    identities = Counter(registration.identity for registration in heartbeat.devices)
    for registration in heartbeat.devices:
        view = known.get(registration.identity)
        refusal = _refusal(registration, host, view) or _ambiguity(registration, slots, identities)
        if view is None and not refusal and of_host + fresh >= UNITS_PER_HOST_MAX:
            refusal = f"{of_host + fresh} units of host {host.name} are known already, and no more are taken"
        if refusal:
            refusals[registration.slot] = refusal
            continue
        fresh += view is None
        taken.add(registration.identity)
        facts.extend(_news(registration, host.name, view, now, new_id))
    in_use = {f"slot:{host.name}/{slot.name}" for _, slot in host.slots()} & {
        resource for run in heartbeat.runs for resource in run.epochs
    }
    faults = {fault.slot: fault.detail for fault in heartbeat.faults}
    for identity, view in known.items():
        slot = view.registration.slot
        here = view.host == host.name and view.presence is Presence.PRESENT
        if not here or identity in taken or (f"slot:{host.name}/{slot}" in in_use and slot not in slots):
            continue
        reason = refusals.get(slot) or faults.get(slot) or f"no longer registers at {slot}"
        absent = PresenceObserved(device=view.device, presence=Presence.ABSENT, reason=reason[:REASON_MAX], at=now)
        facts.append(absent)
    return Registered(facts=tuple(facts), refusals=refusals)


def _refusal(registration: Registration, host: Host, known: DeviceView | None) -> str:
    """Why a registration is not taken at its slot, or nothing."""
    place, identity = host.slot(registration.slot), registration.identity
    if place is None:
        return f"slot {registration.slot} of host {host.name} is not in the lab file"
    _, slot = place
    if slot.category != registration.category:
        return f"slot {slot.name} is for {slot.category}, not for {registration.category}"
    if (slot.unit.hardware_revision, slot.unit.mode) != (registration.hardware_revision, registration.mode):
        said = f"hardware {registration.hardware_revision}, mode {registration.mode}"
        return f"the lab file says hardware {slot.unit.hardware_revision}, mode {slot.unit.mode}; its agent says {said}"
    if identity.weak and identity.value != f"{host.name}/{slot.name}":
        return f"a unit known only by its place calls itself {identity.value}, which is not {host.name}/{slot.name}"
    if known is not None and known.host != host.name and known.presence is Presence.PRESENT:
        return f"the identity {identity.value} is registered at host {known.host} and present there"
    return ""


def _ambiguity(registration: Registration, slots: Counter[str], identities: Counter[Identity]) -> str:
    """Why nobody can say which unit stands where, or nothing."""
    if identities[registration.identity] > 1:
        return f"the identity {registration.identity.value} registers {identities[registration.identity]} times at once"
    if slots[registration.slot] > 1:
        return f"{slots[registration.slot]} units register at slot {registration.slot} at once"
    return ""


def _news(
    registration: Registration, host: str, known: DeviceView | None, now: datetime, new_id: Callable[[str], str]
) -> list[Fact]:
    """What a registration that is taken says that was not known."""
    if known is None:
        device = new_id("dev")
        return [
            DeviceRegistered(device=device, host=host, registration=registration, at=now),
            PresenceObserved(device=device, presence=Presence.PRESENT, reason="", at=now),
        ]
    facts: list[Fact] = []
    changed = _changed_fields(known, registration, host)
    if changed:
        facts.append(DeviceChanged(device=known.device, host=host, registration=registration, changed=changed, at=now))
    if known.presence is not Presence.PRESENT:
        facts.append(PresenceObserved(device=known.device, presence=Presence.PRESENT, reason="", at=now))
    return facts


def _changed_fields(known: DeviceView, registration: Registration, host: str) -> tuple[str, ...]:
    """The names of the fields that differ; when it was seen is no news."""
    before, after = known.registration, registration
    fields = [
        name for name in type(after).model_fields if name != "seen_at" and getattr(before, name) != getattr(after, name)
    ]
    if known.host != host:
        fields.append("host")
    return tuple(fields)


def silent(known: Mapping[Identity, DeviceView], silent_hosts: frozenset[str], now: datetime) -> tuple[Fact, ...]:
    """What becomes of the units of hosts that have not been heard of: absent, until they are heard of again."""
    return tuple(
        PresenceObserved(
            device=view.device, presence=Presence.ABSENT, reason=f"host {view.host} is not heard of", at=now
        )
        for view in known.values()
        if view.presence is Presence.PRESENT and view.host in silent_hosts
    )
