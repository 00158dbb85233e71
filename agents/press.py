"""``assay-agent press``: one key of one phone, to try a driver on a device before anything is measured with it.

Takes the lab file, a slot and a verb; says that the key was taken, or raises what the driver raises. It looks at
nothing: whether the phone did it, whoever stands beside it sees.
"""

from pathlib import Path

from agents.drivers import PhoneDriver, Reboots, TellsFirmware, driver_in, installed_drivers
from lab_inventory.errors import BadInput
from lab_inventory.lab import Slot, read_lab

WITHOUT = ("open", "answer", "hang_up", "hold", "resume", "complete_transfer", "reset")
WITH_URI = ("dial", "transfer", "consult")
VERBS = (*WITHOUT, *WITH_URI, "press_keys", "reboot", "firmware")


def slot_of(lab: Path, name: str, host: str | None) -> Slot:
    """The slot of that name in a lab file; ``host`` where several hosts have one."""
    found = [
        slot for one in read_lab(lab).hosts if host in (None, one.name) for _, slot in one.slots() if slot.name == name
    ]
    if len(found) != 1:
        raise BadInput(f"{lab} has {len(found)} slots {name}{f' at host {host}' if host else ''}; expected one")
    return found[0]


async def press(slot: Slot, driver: str | None, verb: str, argument: str | None) -> str:
    """Press it; gives what to tell. Raises BadInput for what no driver can do, LabError for what this one cannot."""
    drivers = installed_drivers()
    name = driver or slot.driver or ""
    if name not in drivers:
        raise BadInput(f"driver {name or '(none)'} is not installed; expected one of {', '.join(sorted(drivers))}")
    if verb not in VERBS:
        raise BadInput(f"no driver has a verb {verb[:40]}; expected one of {', '.join(VERBS)}")
    takes = verb in WITH_URI or verb == "press_keys"
    if takes is not bool(argument):
        raise BadInput(f"{verb} takes {'a SIP URI' if verb in WITH_URI else 'digits' if takes else 'nothing'}")
    keys = driver_in(slot, drivers[name])
    try:
        return await _pressed(keys, verb, argument)
    finally:
        await keys.close()


async def _pressed(keys: PhoneDriver, verb: str, argument: str | None) -> str:
    if verb == "firmware":
        if not isinstance(keys, TellsFirmware):
            raise BadInput(f"the driver {keys.name} cannot ask for the firmware")
        return await keys.firmware()
    if verb == "reboot" and not isinstance(keys, Reboots):
        raise BadInput(f"the driver {keys.name} cannot reboot its phone")
    await getattr(keys, verb)(*([argument] if argument else []))
    return f"{verb} was taken; look at the phone whether it did it"
