"""Whether this host can carry an assignment out. Pure."""

from collections.abc import Mapping

from agents.adopt import Drivers
from agents.words import as_text
from lab_inventory.lab import Host
from lab_inventory.messages import Acceptance, Assignment, AssignmentAnswer


def why_refused(
    assignment: Assignment, own_name: str, host: Host | None, drivers: Drivers, busy: Mapping[str, str]
) -> str | None:
    """Why this host cannot carry an assignment out, or None where it can. ``busy``: runs by the slot they hold."""
    if assignment.host != own_name:
        return f"it is for host {assignment.host}, and this is {own_name}"
    if host is None:
        return "this agent has not been told its bench yet"
    for slot, unit in assignment.units:
        if host.slot(slot.name) is None:
            return f"there is no slot {slot.name} on this host"
        if slot.name in busy:
            return f"slot {slot.name} is busy with run {busy[slot.name]}"
        if unit.driver is None:
            return f"the device in slot {slot.name} has no driver"
        if unit.driver not in drivers:
            return f"driver {unit.driver} is not installed on this host"
    return None


def answer_to(assignment: Assignment, acceptance: Acceptance, reason: str = "") -> AssignmentAnswer:
    """The answer to an assignment."""
    return AssignmentAnswer(run=assignment.run, answer=acceptance, reason=as_text(reason))
