"""Asking a device whether it is alive, and the list for people, without a device: what is said where none answers."""

from pathlib import Path

import pytest

from agents.discover_usb import listing
from agents.discover_usb.alive import why_silent
from agents.discover_usb.units import plugged_in
from tests.agents.discover_usb.usb_bus import PORT, headset, recorded


def test_a_file_that_is_no_usb_device_does_not_answer() -> None:
    assert why_silent("/dev/null") == "a request for its status fails: Inappropriate ioctl for device"


def test_a_device_that_is_gone_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        why_silent(str(tmp_path / "gone"))


def test_the_list_names_the_port_for_the_lab_file_and_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "now_plugged_in", lambda: plugged_in([*recorded(), *headset("1-3")]))
    monkeypatch.setattr(listing, "why_silent", lambda node: "it is silent" if node.endswith("/1-3") else "")
    first, second, third = listing.listed_units()
    assert (first.port, first.unit) == (f"{PORT}:1", "Virtual Lab Virtual Headset 1.23 (1209:0001)")
    assert (first.serial, second.serial) == ("VH0001, told by another unit too", "VH0002")
    assert (second.sound, second.hid, second.state) == ("card1", "/dev/hidraw1", "answers")
    assert (third.port, third.state) == (f"{PORT}:3", "it is silent")


def test_a_device_that_may_not_be_asked_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(node: str) -> str:
        raise PermissionError(13, "Permission denied", node)

    monkeypatch.setattr(listing, "why_silent", forbidden)
    (unit, _) = plugged_in(recorded()).units
    assert listing.silence_of(unit) == "it cannot be asked: Permission denied (/dev/bus/usb/001/002)"
