"""From a sighting to a registration: who it is, and which driver can press its keys. Pure.

A unit is known again by its ``+sip.instance``, else by its MAC address; by USB it is by product and serial number; else
only by its place, which is weak.
"""

import re
from collections.abc import Mapping

from agents.drivers import PhoneDriver, facts_of
from lab_inventory.device import Identity, IdentityKind, Product, Registration, Sighting
from lab_inventory.lab import Slot

_PRODUCT = re.compile(r"^\s*([A-Za-z][\w-]{0,30})(?:[ _-]([\w.-]{1,40}))??[ /]v?([0-9][\w.+~-]{0,40})")
UNKNOWN = "unknown"


def identity_of(sighting: Sighting, host: str) -> Identity:
    """By what the unit is known again."""
    if sighting.sip_instance:
        return Identity(kind=IdentityKind.SIP_INSTANCE, value=sighting.sip_instance)
    if sighting.mac:
        return Identity(kind=IdentityKind.MAC, value=sighting.mac)
    if sighting.usb_serial:
        return Identity(kind=IdentityKind.USB_SERIAL, value=sighting.usb_serial)
    return Identity(kind=IdentityKind.SLOT, value=f"{host}/{sighting.slot}")


def registration_of(
    sighting: Sighting, slot: Slot, host: str, drivers: Mapping[str, type[PhoneDriver]]
) -> Registration:
    """Everything the orchestrator is told of a unit. Without a control port in the lab file no driver can drive it."""
    product, known_by = _recognised(sighting.user_agent, drivers)
    driver = _driver(slot, known_by, drivers)
    return Registration(
        identity=identity_of(sighting, host),
        product=sighting.product or product,
        category=slot.category,
        hardware_revision=slot.unit.hardware_revision,
        mode=slot.unit.mode,
        slot=slot.name,
        driver=driver,
        user_agent=sighting.user_agent,
        seen_at=sighting.seen_at,
        driver_facts=facts_of(drivers[driver]) if driver else None,
    )


def _driver(slot: Slot, known_by: str | None, drivers: Mapping[str, type[PhoneDriver]]) -> str | None:
    """The driver that the lab file names, where it is installed; else the one that knows the device."""
    wanted = slot.driver or known_by
    return wanted if slot.control and wanted in drivers else None


def _recognised(user_agent: str, drivers: Mapping[str, type[PhoneDriver]]) -> tuple[Product, str | None]:
    for name, driver in sorted(drivers.items()):
        product = driver.recognises(user_agent)
        if product is not None:
            return product, name
    match = _PRODUCT.match(user_agent)
    if match is None:
        return Product(maker=UNKNOWN, model=UNKNOWN, firmware=UNKNOWN), None
    maker, model, firmware = match.groups()
    return Product(maker=maker, model=model or maker, firmware=firmware), None
