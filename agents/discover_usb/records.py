"""What udev and sysfs say of one device, as it was found: properties, strings, descriptors. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class UsbRecord:
    """One udev device of the subsystems usb, sound or hidraw.

    ``properties`` as udev has them (DEVPATH, SUBSYSTEM, DEVTYPE, ID_PATH, ...). ``strings`` are manufacturer, product
    and serial of a USB device as sysfs has them; ``descriptors`` its device and active configuration descriptors, raw.
    """

    properties: Mapping[str, str]
    strings: Mapping[str, str] = field(default_factory=dict)
    descriptors: bytes = b""

    @property
    def path(self) -> str:
        """Where it hangs: DEVPATH, a device below another one's path is part of it."""
        return self.properties["DEVPATH"]

    @property
    def is_usb_device(self) -> bool:
        """Whether it is a whole USB device, hubs included."""
        return (self.properties.get("SUBSYSTEM"), self.properties.get("DEVTYPE")) == ("usb", "usb_device")
