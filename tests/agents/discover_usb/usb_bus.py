"""A USB bus for tests: what udev listed in the lab's virtual machine with two headsets, replayed at any port."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from agents.discover_usb.records import UsbRecord

RECORDED = Path(__file__).parent / "two_headsets.json"
CONTROLLER = "/devices/platform/vhci_hcd.0/usb1"
PORT = "platform-vhci_hcd.0-usb-0"


@cache
def recorded() -> tuple[UsbRecord, ...]:
    """What Linux 6.1 and udev 252 said of two virtual headsets, serial numbers VH0001 and VH0002, at ports 1 and 2."""
    return tuple(
        UsbRecord(properties=one["properties"], strings=one["strings"], descriptors=bytes.fromhex(one["descriptors"]))
        for one in json.loads(RECORDED.read_text())
    )


def root() -> tuple[UsbRecord, ...]:
    """The host controller alone."""
    return tuple(one for one in recorded() if "/1-" not in one.path or one.path.endswith("1-0:1.0"))


def hub(place: str, *, vendor: int = 0x05E3) -> UsbRecord:
    """A hub with chips of a third vendor at ``place``, as ``1-1``."""
    properties = {
        "SUBSYSTEM": "usb",
        "DEVTYPE": "usb_device",
        "DEVPATH": _path(place),
        "ID_PATH": _port(place),
        "DEVNAME": f"/dev/bus/usb/001/{place}",
        "PRODUCT": f"{vendor:x}/610/100",
        "TYPE": "9/0/1",
    }
    return UsbRecord(properties=properties, strings={"product": "USB2.0 Hub"})


def headset(place: str, serial: str | None = "VH0001") -> tuple[UsbRecord, ...]:
    """The recorded headset as udev would list it at ``place``, as ``1-1.2``, with another serial number or none."""
    found = []
    for one in recorded():
        if not one.path.startswith(f"{CONTROLLER}/1-1"):
            continue
        told = {
            name: text.replace(f"{CONTROLLER}/1-1/1-1:", f"{_path(place)}/{place}:")
            .replace(f"{CONTROLLER}/1-1", _path(place))
            .replace(f"{PORT}:1", _port(place))
            .replace("/dev/bus/usb/001/002", f"/dev/bus/usb/001/{place}")
            for name, text in one.properties.items()
        }
        strings = {name: text for name, text in one.strings.items() if name != "serial"}
        if one.is_usb_device and serial is not None:
            strings["serial"] = serial
        found.append(replace(one, properties=told, strings=strings))
    return tuple(found)


def part(place: str, *, vendor: int = 0x1209, product: int = 0x99, serial: str | None = None) -> tuple[UsbRecord, ...]:
    """A device with nothing but HID."""
    path = _path(place)
    device = UsbRecord(
        properties={
            "SUBSYSTEM": "usb",
            "DEVTYPE": "usb_device",
            "DEVPATH": path,
            "ID_PATH": _port(place),
            "PRODUCT": f"{vendor:x}/{product:x}/100",
            "TYPE": "0/0/0",
        },
        strings={} if serial is None else {"serial": serial},
    )
    below = {"SUBSYSTEM": "usb", "DEVTYPE": "usb_interface", "DEVPATH": f"{path}/{place}:1.0", "INTERFACE": "3/0/0"}
    raw = {"SUBSYSTEM": "hidraw", "DEVPATH": f"{path}/{place}:1.0/x/hidraw/hidraw9", "DEVNAME": "/dev/hidraw9"}
    return device, UsbRecord(properties=below), UsbRecord(properties=raw)


def _path(place: str) -> str:
    """``1-1.2`` hangs on ``1-1``, and that on the controller."""
    steps = place.split(".")
    return "/".join([CONTROLLER, *(".".join(steps[: depth + 1]) for depth in range(len(steps)))])


def _port(place: str) -> str:
    return f"{PORT}:{place.partition('-')[2]}"


class HandBus:
    """A bus on which a test plugs."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[UsbRecord, ...]] = {}
        self.stirred = False

    def put(self, place: str, records: tuple[UsbRecord, ...]) -> None:
        """Plug in."""
        self.there[place] = records
        self.stirred = True

    def take(self, *places: str) -> None:
        """Pull, with everything below."""
        self.there = {at: kept for at, kept in self.there.items() if not _is_below(at, places)}
        self.stirred = True

    def changed(self) -> bool:
        stirred, self.stirred = self.stirred, False
        return stirred

    def records(self) -> tuple[UsbRecord, ...]:
        return (*root(), *(record for records in self.there.values() for record in records))


def _is_below(at: str, places: tuple[str, ...]) -> bool:
    return any(at == place or at.startswith(f"{place}.") for place in places)
