"""Devices: what a probe saw, what that makes of it, and the unit it is. Pure."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from lab_inventory.noun import Label, Name, Noun, Sha256, Text

TRIED_ON_MAX = 20
"""So many devices a driver may say that it was tried on."""


class Product(Noun):
    """What a vendor sells, with its firmware: all read off the wire."""

    maker: Label
    model: Label
    firmware: Label


class Component(Noun):
    """The firmware of one part of a product, as ``main``, ``dongle``, ``base``: exactly this one, by its hash."""

    name: Name
    version: Label
    digest: Sha256


class CompanionKind(StrEnum):
    """What another product is to the one that is certified."""

    HOST = "host"
    DONGLE = "dongle"
    BASE = "base"


class Companion(Noun):
    """Another product with which, and with which alone, a product is certified."""

    kind: CompanionKind
    product: Label
    version: Label


class IdentityKind(StrEnum):
    """By what a unit is known again, best first."""

    SIP_INSTANCE = "sip-instance"
    MAC = "mac"
    USB_SERIAL = "usb-serial"
    SLOT = "slot"


class Identity(Noun):
    """By what a unit is known again."""

    kind: IdentityKind
    value: Label

    @property
    def weak(self) -> bool:
        """True where only the place is known: another unit put there would not be noticed."""
        return self.kind is IdentityKind.SLOT


class Sighting(Noun):
    """What a SIP phone said at a slot's registrar address, verbatim but for its length; or what a USB device tells of
    itself, with its port as ``contact``: then ``product`` is what its descriptors say.
    """

    slot: Name
    user_agent: Text
    contact: Text
    sip_instance: Label | None = None
    mac: Label | None = None
    usb_serial: Label | None = None
    product: Product | None = None
    seen_at: AwareDatetime


class DriverFacts(Noun):
    """What the driver of a unit says of itself.

    ``tried_on``: the devices on which somebody tried it, each with firmware and day; empty: on none, ever.
    ``press_timeout_s``: how long it may take to press a key; a person takes longer than a program.
    """

    version: Label
    tried_on: tuple[Label, ...] = Field(max_length=TRIED_ON_MAX)
    press_timeout_s: float = Field(gt=0)

    def in_words(self, name: str) -> str:
        """Which driver it is and how far it is known, in a sentence."""
        if not self.tried_on:
            return f"The driver {name} {self.version} has never been tried on a device."
        return f"The driver {name} {self.version} was tried on {'; '.join(self.tried_on)}."


class Registration(Noun):
    """A unit that an agent registers: who it is, where it is attached, and which driver can press its keys.

    ``hardware_revision`` and ``mode`` cannot be read off the wire: they are what the lab file says of the slot.
    ``driver`` None: nothing here can drive it, so it is shown and never scheduled. ``driver_facts`` None: there is no
    driver, or its agent is of a version that tells nothing of it.
    """

    identity: Identity
    product: Product
    category: Name
    hardware_revision: Label
    mode: Name
    slot: Name
    driver: Name | None
    user_agent: Text
    seen_at: AwareDatetime
    driver_facts: DriverFacts | None = Field(default=None, exclude_if=lambda given: given is None)

    def driver_in_words(self) -> str:
        """Which driver presses its keys and how far that is known; empty where there is none."""
        if self.driver is None:
            return ""
        if self.driver_facts is None:
            return f"The driver {self.driver} does not say on what it was tried."
        return self.driver_facts.in_words(self.driver)


class Presence(StrEnum):
    """What agents observe of a unit."""

    PRESENT = "present"
    ABSENT = "absent"


class Intent(StrEnum):
    """What people want of a unit; no observation ever changes it."""

    IN_SERVICE = "in-service"
    HELD = "held"
