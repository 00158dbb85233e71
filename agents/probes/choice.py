"""Which probe watches a slot: by SIP or by USB, as the lab file says where its device is attached."""

from agents.discover_usb.watch import Bus, UsbWatch
from agents.probes.sip import SipProbe
from agents.probes.usb import UsbProbe
from lab_inventory.clock import Clock
from lab_inventory.lab import Slot


class Probes:
    """Makes the probes of one host. udev is loaded when the first USB slot is looked at."""

    def __init__(self) -> None:
        self._watch: UsbWatch | None = None

    def __call__(self, slot: Slot, clock: Clock) -> SipProbe | UsbProbe:
        """The probe of this slot."""
        if slot.usb is None:
            return SipProbe(slot, clock)
        if self._watch is None:
            self._watch = UsbWatch(_udev, clock)
        return UsbProbe(slot, self._watch, clock)


def _udev() -> Bus:
    from agents.discover_usb.bus import UsbBus  # noqa: PLC0415  (loads libudev)

    return UsbBus()
