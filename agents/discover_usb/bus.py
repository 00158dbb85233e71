"""The USB devices of this machine through udev: listed, and listened to. Thin: decides nothing.

pyudev (LGPL) loads libudev, so this module is imported only where a slot of the lab file is a USB port.
"""

from pathlib import Path
from typing import Any

import pyudev

from agents.discover_usb.records import UsbRecord

SUBSYSTEMS = ("usb", "sound", "hidraw")
_STRINGS = ("manufacturer", "product", "serial")
_EVENTS_MAX = 10_000
"""Of one look: a device that comes and goes without end keeps nobody from looking."""


class UsbBus:
    """What udev has of the subsystems in ``SUBSYSTEMS``, once udev is done with it."""

    def __init__(self) -> None:
        """Raises ImportError where libudev is missing, OSError where the kernel's events are not to be had."""
        self._context = pyudev.Context()
        self._monitor = pyudev.Monitor.from_netlink(self._context)
        for subsystem in SUBSYSTEMS:
            self._monitor.filter_by(subsystem)
        self._monitor.start()

    def changed(self) -> bool:
        """Whether anything was plugged in or out since the last call; never waits."""
        events = 0
        while events < _EVENTS_MAX and self._monitor.poll(timeout=0) is not None:
            events += 1
        return events > 0

    def records(self) -> tuple[UsbRecord, ...]:
        """Everything that is there now."""
        found: list[UsbRecord] = []
        for subsystem in SUBSYSTEMS:
            for device in self._context.list_devices(subsystem=subsystem):
                if subsystem == "usb" or "/usb" in device.device_path:
                    found.append(_record(device))
        return tuple(found)


def _record(device: Any) -> UsbRecord:
    properties = {name: device.properties[name] for name in device.properties}
    if properties.get("DEVTYPE") != "usb_device":
        return UsbRecord(properties=properties)
    folder = Path(device.sys_path)
    strings = {name: text for name in _STRINGS if (text := _read(folder / name).decode("utf-8", "replace").strip())}
    return UsbRecord(properties=properties, strings=strings, descriptors=_read(folder / "descriptors"))


def _read(path: Path) -> bytes:
    """What sysfs says; nothing where the device has no such thing, or has just been unplugged."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
