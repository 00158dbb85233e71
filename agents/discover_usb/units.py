"""From udev's records to the units that are plugged in: one for each product, with all that belongs to it. Pure.

A unit is a USB device with sound. A device without sound beside it (a dongle's HID part, a firmware port) belongs to it
where both are of one vendor and hang on one hub, and the hub is of that vendor too (it is built in) or both tell one
serial number. Two devices with sound are always two units: a shared serial number is a fault and makes no one product.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agents.discover_usb.records import UsbRecord
from agents.instruments.usb.raw import UnreadableDescriptor
from agents.instruments.usb.standard import AUDIO_CLASS, HID_CLASS, DeviceDescriptor, read_device
from lab_inventory.noun import says_nothing

HUB_CLASS = 9
_LABEL_MAX = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class UsbHub:
    """A hub, those of the host controllers included. ``path``: its DEVPATH; ``port``: where it is plugged in."""

    path: str
    port: str
    name: str
    vendor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UsbUnit:
    """A product that is plugged in.

    ``port`` is udev's ID_PATH: the place, the same after every start of the machine. ``paths`` are the DEVPATHs of all
    USB devices that belong to it, the one with sound first; ``node`` is the usbfs file of that one. ``serial`` None: it
    tells none that says anything; ``shared``: another unit of the same product tells the same. ``bcd`` is bcdDevice in
    its four digits, ``release`` the same for people: ``0123`` is 1.23.
    """

    port: str
    paths: tuple[str, ...]
    node: str
    vendor: int
    product: int
    bcd: str
    maker: str
    model: str
    serial: str | None
    has_hid: bool
    cards: tuple[str, ...]
    hidraws: tuple[str, ...]
    shared: bool = False

    @property
    def whole(self) -> bool:
        """Whether the kernel's drivers have all that its interfaces promise. A broken unit may never be whole."""
        return bool(self.cards) and (bool(self.hidraws) or not self.has_hid)

    @property
    def release(self) -> str:
        """The firmware."""
        return f"{self.bcd[:2].lstrip('0') or '0'}.{self.bcd[2:]}"

    @property
    def number(self) -> str:
        """Vendor and product, as ``1209:0001``."""
        return f"{self.vendor:04x}:{self.product:04x}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PluggedIn:
    """Everything that is plugged in at one moment, by port."""

    units: tuple[UsbUnit, ...] = ()
    hubs: tuple[UsbHub, ...] = ()

    def at(self, place: str) -> tuple[UsbUnit, ...]:
        """The units at a port, or below it on a hub that is plugged in there."""
        return tuple(unit for unit in self.units if unit.port == place or unit.port.startswith(f"{place}."))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """One USB device with what hangs on its interfaces."""

    record: UsbRecord
    hub: str
    vendor: int
    product: int
    release: int
    classes: frozenset[int]
    cards: tuple[str, ...]
    hidraws: tuple[str, ...]

    @property
    def serial(self) -> str | None:
        text = _printable(self.record.strings.get("serial", ""), 100)
        return None if says_nothing(text) or not text.strip("0") else text

    @property
    def has_sound(self) -> bool:
        return AUDIO_CLASS in self.classes or bool(self.cards)


def plugged_in(records: Iterable[UsbRecord]) -> PluggedIn:
    """What these records come to. A record of a device whose USB device is not among them belongs to nothing."""
    every = tuple(records)
    whole = {record.path: record for record in every if record.is_usb_device}
    below: dict[str, list[UsbRecord]] = {path: [] for path in whole}
    for record in every:
        owner = _nearest(record.path, whole)
        if owner is not None and record.path not in whole:
            below[owner].append(record)
    devices, hubs = [], []
    for path, record in whole.items():
        device = _device(record, below[path], _nearest(path, whole) or "")
        if HUB_CLASS in device.classes:
            hubs.append(UsbHub(path=path, port=_port(record), name=_name(device), vendor=device.vendor))
        else:
            devices.append(device)
    units = [_unit(device, _belonging(device, devices, hubs)) for device in devices if device.has_sound]
    told = Counter((unit.number, unit.serial) for unit in units)
    marked = [
        replace(unit, shared=unit.serial is not None and told[unit.number, unit.serial] > 1)
        for unit in sorted(units, key=lambda unit: unit.port)
    ]
    return PluggedIn(units=tuple(marked), hubs=tuple(sorted(hubs, key=lambda hub: hub.path)))


def _nearest(path: str, whole: Iterable[str] | dict[str, UsbRecord]) -> str | None:
    """The USB device that something hangs on: the longest path above its own."""
    above = path.rpartition("/")[0]
    while above:
        if above in whole:
            return above
        above = above.rpartition("/")[0]
    return None


def _device(record: UsbRecord, below: Sequence[UsbRecord], hub: str) -> _Device:
    vendor, product, release = _numbers(record)
    classes = [_class(one.properties.get("INTERFACE", "")) for one in below if _is(one, "usb", "usb_interface")]
    classes.append(_class(record.properties.get("TYPE", "")))
    return _Device(
        record=record,
        hub=hub,
        vendor=vendor,
        product=product,
        release=release,
        classes=frozenset(one for one in classes if one is not None),
        cards=tuple(sorted(name for one in below if (name := _card(one)))),
        hidraws=tuple(sorted(one.properties["DEVNAME"] for one in below if _is_hidraw(one))),
    )


def _numbers(record: UsbRecord) -> tuple[int, int, int]:
    """Vendor, product and release: by the device descriptor, else by what the kernel made of it; 0 where neither is."""
    try:
        found: DeviceDescriptor = read_device(record.descriptors[:18]).found
    except UnreadableDescriptor:
        try:
            vendor, product, release = (int(part, 16) for part in record.properties["PRODUCT"].split("/"))
        except (KeyError, ValueError):
            return 0, 0, 0
        return vendor, product, release
    return found.vendor, found.product, found.release


def _class(triple: str) -> int | None:
    """The class of ``CLASS/SUBCLASS/PROTOCOL``, decimal as the kernel writes it."""
    first = triple.partition("/")[0]
    return int(first) if first.isascii() and first.isdigit() else None


def _is(record: UsbRecord, subsystem: str, kind: str) -> bool:
    return (record.properties.get("SUBSYSTEM"), record.properties.get("DEVTYPE")) == (subsystem, kind)


def _is_hidraw(record: UsbRecord) -> bool:
    return record.properties.get("SUBSYSTEM") == "hidraw" and "DEVNAME" in record.properties


def _card(record: UsbRecord) -> str:
    """``card0`` where the record is a sound card that udev is done with."""
    name = record.path.rpartition("/")[2]
    is_card = record.properties.get("SUBSYSTEM") == "sound" and name.startswith("card")
    return name if is_card and record.properties.get("SOUND_INITIALIZED") == "1" else ""


def _belonging(device: _Device, devices: Sequence[_Device], hubs: Sequence[UsbHub]) -> list[_Device]:
    """The devices without sound that are parts of this one."""
    built_in = any(hub.path == device.hub and hub.vendor == device.vendor for hub in hubs)
    found = []
    for other in devices:
        beside = not other.has_sound and (other.hub, other.vendor) == (device.hub, device.vendor)
        rivals = [one for one in devices if one.has_sound and (one.hub, one.vendor) == (other.hub, other.vendor)]
        same = [one for one in rivals if one.serial is not None and one.serial == other.serial]
        if beside and (same == [device] or (built_in and not same and rivals == [device])):
            found.append(other)
    return found


def _unit(device: _Device, parts: Sequence[_Device]) -> UsbUnit:
    every = (device, *parts)
    strings = device.record.strings
    return UsbUnit(
        port=_port(device.record),
        paths=tuple(one.record.path for one in every),
        node=device.record.properties.get("DEVNAME", ""),
        vendor=device.vendor,
        product=device.product,
        bcd=f"{device.release:04x}",
        maker=_printable(strings.get("manufacturer", ""), _LABEL_MAX) or f"USB vendor {device.vendor:04x}",
        model=_printable(strings.get("product", ""), _LABEL_MAX) or f"USB product {device.product:04x}",
        serial=device.serial,
        has_hid=any(HID_CLASS in one.classes for one in every),
        cards=tuple(card for one in every for card in one.cards),
        hidraws=tuple(hidraw for one in every for hidraw in one.hidraws),
    )


def _port(record: UsbRecord) -> str:
    """The place as udev names it; where udev does not, as the kernel does, which may differ after the next start."""
    return record.properties.get("ID_PATH") or record.path.rpartition("/")[2]


def _name(device: _Device) -> str:
    told = device.record.strings
    words = f"{told.get('manufacturer', '')} {told.get('product', '')}".strip()
    return _printable(words, _LABEL_MAX) or f"{device.vendor:04x}:{device.product:04x}"


def _printable(text: str, most: int) -> str:
    return "".join(one if one.isprintable() else "?" for one in text).strip()[:most].strip()
