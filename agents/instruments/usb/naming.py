"""How a USB unit is written down, as it is registered and known again. Pure."""

from typing import Protocol

from agents.words import as_text


class Named(Protocol):
    """What a unit tells of itself; empty where it tells nothing. ``release``: bcdDevice, 0x0123 is 1.23."""

    @property
    def vendor(self) -> int:
        """Its maker's number."""
        ...

    @property
    def number(self) -> int:
        """Its product's number."""
        ...

    @property
    def maker(self) -> str:
        """Its maker."""
        ...

    @property
    def product(self) -> str:
        """Its product."""
        ...

    @property
    def serial(self) -> str:
        """Its serial number."""
        ...

    @property
    def release(self) -> int:
        """Its firmware."""
        ...


def described(unit: Named) -> str:
    """``Virtual Lab Virtual Headset 1.23 (USB 1209:0001)``."""
    name = " ".join(part for part in (unit.maker, unit.product) if part) or "unknown"
    return as_text(f"{name} {firmware(unit)} (USB {unit.vendor:04x}:{unit.number:04x})")


def firmware(unit: Named) -> str:
    """bcdDevice in words: 0x0123 is ``1.23``."""
    return f"{unit.release >> 8:x}.{unit.release & 0xFF:02x}"


def serial_identity(unit: Named) -> str:
    """``1209:0001:VH0001``: a serial number is one only among the units of one product."""
    return f"{unit.vendor:04x}:{unit.number:04x}:{unit.serial}"
