"""Devices: what a probe saw, what that makes of it, and the unit it is. Pure."""

from enum import StrEnum

from pydantic import AwareDatetime

from lab_inventory.noun import Label, Name, Noun, Sha256, Text


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
    """What a SIP phone said at a slot's registrar address, verbatim but for its length."""

    slot: Name
    user_agent: Text
    contact: Text
    sip_instance: Label | None = None
    mac: Label | None = None
    seen_at: AwareDatetime


class Registration(Noun):
    """A unit that an agent registers: who it is, where it is attached, and which driver can press its keys.

    ``hardware_revision`` and ``mode`` cannot be read off the wire: they are what the lab file says of the slot.
    ``driver`` None: nothing here can drive it, so it is shown and never scheduled.
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


class Presence(StrEnum):
    """What agents observe of a unit."""

    PRESENT = "present"
    ABSENT = "absent"


class Intent(StrEnum):
    """What people want of a unit; no observation ever changes it."""

    IN_SERVICE = "in-service"
    HELD = "held"
