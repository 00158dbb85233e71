"""What is plugged in on this host, for people who write a lab file."""

from dataclasses import dataclass

from agents.discover_usb.alive import why_silent
from agents.discover_usb.units import PluggedIn, UsbUnit, plugged_in
from lab_inventory.errors import Unavailable


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One unit."""

    port: str
    unit: str
    serial: str
    sound: str
    hid: str
    state: str


def now_plugged_in() -> PluggedIn:
    """One look, without waiting for anything; raises Unavailable where udev is not to be had."""
    try:
        from agents.discover_usb.bus import UsbBus  # noqa: PLC0415  (loads libudev)

        return plugged_in(UsbBus().records())
    except (ImportError, OSError) as error:
        raise Unavailable(f"udev is not to be had on this host: {error}") from error


def listed_units() -> tuple[Listed, ...]:
    """Every unit with sound, each asked whether it is alive. Raises Unavailable."""
    return tuple(_listed(unit) for unit in now_plugged_in().units)


def _listed(unit: UsbUnit) -> Listed:
    state = silence_of(unit) or "answers"
    return Listed(
        port=unit.port,
        unit=f"{unit.maker} {unit.model} {unit.release} ({unit.number})",
        serial=(unit.serial or "none") + (", told by another unit too" if unit.shared else ""),
        sound=", ".join(unit.cards) or "none",
        hid=", ".join(unit.hidraws) or "none",
        state=state,
    )


def silence_of(unit: UsbUnit) -> str:
    """Why a unit does not answer, in words; empty where it does."""
    try:
        return why_silent(unit.node)
    except OSError as error:
        return f"it cannot be asked: {error.strerror} ({unit.node})"
