"""A device's descriptors asked for by control transfers through usbfs (/dev/bus/usb), and what sysfs says of it.

The kernel shows descriptors as they came but cleans strings; asked here, they come as the device answers them. The
report descriptor belongs to the HID driver's interface, so it is read from sysfs, where it has the declared length.
"""

import ctypes
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from agents.instruments.usb.port import HeadsetGone, RawDescriptors

SYSFS = Path("/sys/bus/usb/devices")
UDEV = Path("/run/udev/data")
AUDIO_CLASS = "01"
_CONTROL = 0xC0185500
"""USBDEVFS_CONTROL: _IOWR('U', 0, struct usbdevfs_ctrltransfer) on machines of 64 bits (linux/usbdevice_fs.h)."""

_GET_DESCRIPTOR, _FROM_DEVICE = 6, 0x80
_TIMEOUT_MS = 1000
_ENGLISH = 0x0409
_STRING, _DEVICE_BYTES = 3, 18


class _Transfer(ctypes.Structure):
    _fields_ = (
        ("request_type", ctypes.c_uint8),
        ("request", ctypes.c_uint8),
        ("value", ctypes.c_uint16),
        ("index", ctypes.c_uint16),
        ("length", ctypes.c_uint16),
        ("timeout_ms", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class UsbUnit:
    """One device as sysfs has it now. ``card`` and ``hidraw`` are names as ``0`` and ``hidraw0``; None: none yet.

    ``place``: its folder in sysfs; ``path``: its place as udev's ID_PATH, empty where udev knows none.
    """

    place: str
    path: str
    vendor: int
    number: int
    maker: str
    product: str
    serial: str
    release: int
    card: str | None
    hidraw: str | None


def audio_units(sysfs: Path = SYSFS) -> tuple[UsbUnit, ...]:
    """Every device with an audio interface, in the order of its place on the bus."""
    found = []
    for folder in sorted(sysfs.glob("*-*")) if sysfs.is_dir() else ():
        if ":" in folder.name:
            continue
        try:
            classes = {path.read_text().strip() for path in folder.glob("*:*/bInterfaceClass")}
            if AUDIO_CLASS in classes:
                found.append(_unit(folder))
        except OSError:
            continue  # it was unplugged while it was looked at
    return tuple(found)


def _unit(folder: Path) -> UsbUnit:
    cards = sorted(folder.glob("*:*/sound/card*"))
    raws = sorted(folder.glob("*:*/*/hidraw/hidraw*"))
    return UsbUnit(
        place=folder.name,
        path=_id_path(folder),
        vendor=int(_text(folder / "idVendor") or "0", 16),
        number=int(_text(folder / "idProduct") or "0", 16),
        maker=_text(folder / "manufacturer"),
        product=_text(folder / "product"),
        serial=_text(folder / "serial"),
        release=int(_text(folder / "bcdDevice") or "0", 16),
        card=cards[0].name.removeprefix("card") if cards else None,
        hidraw=raws[0].name if raws else None,
    )


def _id_path(folder: Path) -> str:
    told = _text(UDEV / f"c{_text(folder / 'dev')}")
    return next((line[10:] for line in told.splitlines() if line.startswith("E:ID_PATH=")), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def read_descriptors(unit: UsbUnit, sysfs: Path = SYSFS, bus: Path = Path("/dev/bus/usb")) -> RawDescriptors:
    """All descriptors of a device; raises HeadsetGone where it is not there or its node may not be opened."""
    folder = sysfs / unit.place
    try:
        number = int((folder / "busnum").read_text()), int((folder / "devnum").read_text())
        whole = (folder / "descriptors").read_bytes()
        handle = os.open(bus / f"{number[0]:03d}" / f"{number[1]:03d}", os.O_RDWR)
    except OSError as error:
        raise HeadsetGone(f"{unit.place} cannot be asked for its descriptors: {error.strerror}") from error
    try:
        device = whole[:_DEVICE_BYTES]
        numbers = sorted({device[at] for at in (14, 15, 16) if len(device) == _DEVICE_BYTES and device[at]})
        strings = {one: _ask(handle, _STRING, one, _ENGLISH) for one in (0, *numbers)}
    finally:
        os.close(handle)
    reports = sorted(folder.glob("*:*/*/report_descriptor"))
    try:
        report = reports[0].read_bytes() if reports else None
    except OSError:
        report = None
    return RawDescriptors(
        device=device,
        configuration=whole[_DEVICE_BYTES:],
        strings=strings,
        report=report,
        cleaned=frozenset({"report"}),
    )


def _ask(handle: int, kind: int, index: int, language: int) -> bytes:
    """One descriptor; empty where the device refuses it."""
    into = ctypes.create_string_buffer(255)
    order = _Transfer(
        request_type=_FROM_DEVICE,
        request=_GET_DESCRIPTOR,
        value=kind << 8 | index,
        index=language if index else 0,
        length=len(into),
        timeout_ms=_TIMEOUT_MS,
        data=ctypes.addressof(into),
    )
    try:
        count = fcntl.ioctl(handle, _CONTROL, order, True)
    except OSError:
        return b""
    return into.raw[:count]
