"""What Linux tells of a headset, on stand-ins for sysfs, udev, hidraw and amixer; the real ones are in the machine."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from agents.instruments.usb import linux_port, usbfs
from agents.instruments.usb.hidraw import HidRaw
from agents.instruments.usb.linux_port import LinuxPort
from agents.instruments.usb.naming import described, firmware, serial_identity
from agents.instruments.usb.port import HeadsetGone, Loudness, StreamRefused
from agents.measure import LabError

AMIXER = """#!/bin/sh
[ "$1" = -q ] && { echo "$@" >> %s; exit 0; }
cat <<'END'
numid=3,iface=MIXER,name='PCM Playback Switch'
  ; type=BOOLEAN,access=rw------,values=1
  : values=on
numid=4,iface=MIXER,name='PCM Playback Volume'
  ; type=INTEGER,access=rw---R--,values=2,min=0,max=60,step=0
  : values=60,60
  | dBminmax-min=-60.00dB,max=0.00dB
numid=5,iface=MIXER,name='Headset Capture Switch'
  ; type=BOOLEAN,access=rw------,values=1
  : values=off
END
"""


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A hub, a keyboard, and a headset with sound and HID."""
    unit = tmp_path / "sys" / "1-1"
    for folder in ("1-1:1.0/sound/card2", "1-1:1.3/0003:1209:0001.0001/hidraw/hidraw4"):
        (unit / folder).mkdir(parents=True)
    (tmp_path / "sys" / "usb1").mkdir()
    (tmp_path / "sys" / "1-2" / "1-2:1.0").mkdir(parents=True)
    (tmp_path / "sys" / "1-2" / "1-2:1.0" / "bInterfaceClass").write_text("03\n")
    (unit / "1-1:1.0" / "bInterfaceClass").write_text("01\n")
    (unit / "1-1:1.3" / "bInterfaceClass").write_text("03\n")
    told = {"idVendor": "1209", "idProduct": "0001", "bcdDevice": "0123", "manufacturer": "Virtual Lab"}
    told |= {"product": "Virtual Headset", "serial": "VH0001", "dev": "189:2"}
    for name, text in told.items():
        (unit / name).write_text(f"{text}\n")
    return tmp_path / "sys"


def test_a_device_with_sound_is_seen_with_its_card_its_hidraw_and_its_port(
    sysfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c189:2").write_text("I:123\nE:ID_PATH=pci-0-usb-0:1\nE:ID_MODEL=x\n")
    monkeypatch.setattr(usbfs, "UDEV", tmp_path)
    (unit,) = usbfs.audio_units(sysfs)
    assert (unit.place, unit.path, unit.card, unit.hidraw) == ("1-1", "pci-0-usb-0:1", "2", "hidraw4")
    assert described(unit) == "Virtual Lab Virtual Headset 1.23 (USB 1209:0001)"
    assert (firmware(unit), serial_identity(unit)) == ("1.23", "1209:0001:VH0001")


def test_where_there_is_no_usb_nothing_is_attached(tmp_path: Path) -> None:
    assert usbfs.audio_units(tmp_path / "none") == ()


@pytest.fixture
def port(sysfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinuxPort:
    """A port that sees the stand-in, with a stand-in for amixer that writes down what it is told to set."""
    program = tmp_path / "bin" / "amixer"
    program.parent.mkdir()
    program.write_text(AMIXER % (tmp_path / "set"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    (unit,) = usbfs.audio_units(sysfs)
    made = LinuxPort()
    monkeypatch.setattr(made, "unit", lambda: unit)
    return made


async def test_controls_are_found_by_what_they_are_and_set_in_decibels(port: LinuxPort, tmp_path: Path) -> None:
    assert await port.set_volume(-6) == Loudness(set_db=-6, low_db=-60, high_db=0)
    assert await port.set_mute(True)
    assert (tmp_path / "set").read_text().splitlines() == [
        "-q -c 2 cset numid=4 -- 54",
        "-q -c 2 cset numid=5 -- off",
    ]
    assert await port.muted() is True


async def test_a_control_that_the_headset_does_not_have_is_none(port: LinuxPort) -> None:
    assert await port.set_gain(-6) is None


async def test_a_mixer_that_cannot_be_started_is_the_labs_error(
    port: LinuxPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="install alsa-utils"):
        await port.muted()


async def test_reports_are_read_with_their_time_as_they_come(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hidraw0")
    hid = HidRaw()
    hid.open("hidraw0", tmp_path)
    try:
        hid.write(b"\x01\x02")  # a pipe gives back what it was given
        assert await hid.wait(1, 2.0)
        (report,) = hid.reports()
        assert report.data == b"\x01\x02"
        assert report.at_ns > 0
        hid.forget()
        assert not await hid.wait(1, 0.01)
    finally:
        hid.close()
    with pytest.raises(HeadsetGone, match="no hidraw node is open"):
        hid.write(b"\x01\x00")


async def test_a_hidraw_node_that_is_not_there_is_a_headset_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(HeadsetGone, match="cannot be opened"):
        HidRaw().open("hidraw0", tmp_path)


async def test_what_the_drivers_do_not_take_is_the_headsets_and_its_descriptors_can_still_be_asked(
    sysfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tuple(replace(unit, card=None, hidraw=None) for unit in usbfs.audio_units(sysfs))
    monkeypatch.setattr(linux_port, "audio_units", lambda: broken)
    monkeypatch.setattr(linux_port, "DRIVERS_S", 0.02)
    port = LinuxPort()
    assert await port.appear(0.1) is None
    assert await port.appear(1.0, whole=False) is not None
    with pytest.raises(StreamRefused, match="no sound card"):
        await port.set_mute(True)
    with pytest.raises(StreamRefused, match="no hidraw"):
        await port.write_report(b"\x01\x00")


async def test_two_devices_in_one_slot_are_the_labs_error(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (unit,) = usbfs.audio_units(sysfs)
    twice = (replace(unit, path="usb-0:1.1"), replace(unit, place="1-2", path="usb-0:1.2"))
    monkeypatch.setattr(linux_port, "audio_units", lambda: twice)
    with pytest.raises(LabError, match="several audio devices"):
        LinuxPort("usb-0:1").unit()
    assert LinuxPort("usb-0:1.2")._look() == twice[1]


@pytest.mark.parametrize(
    ("told", "level_db", "raw", "set_db"),
    [
        ("min=0,max=24,step=0\n  | dBminmax-min=-12.00dB,max=12.00dB", 0, 12, 0),
        ("min=0,max=37,step=0\n  | dBminmax-min=-37.00dB,max=0.00dB", -99, 0, -37),
        ("min=0,max=20,step=0\n  | dBscale-min=-30.00dB,step=1.50dB,mute=0", -7, 15, -7.5),
    ],
)
def test_a_level_is_set_to_the_nearest_step_of_the_control(told: str, level_db: float, raw: int, set_db: float) -> None:
    found = linux_port.raw_volume(told, level_db)
    assert found is not None
    assert (found[0], found[1].set_db) == (raw, pytest.approx(set_db))


def test_a_control_that_tells_no_decibels_cannot_be_set_to_any() -> None:
    assert linux_port.raw_volume("min=0,max=24,step=0", 0) is None


def test_a_host_that_restores_mixers_is_known_until_its_rule_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, masks = tmp_path / "lib", tmp_path / "etc"
    own.mkdir()
    masks.mkdir()
    monkeypatch.setattr(linux_port, "RULES", (str(own), str(masks)))
    assert not LinuxPort().host_sets_mixers
    (own / "90-alsa-restore.rules").touch()
    assert LinuxPort().host_sets_mixers
    (masks / "90-alsa-restore.rules").symlink_to("/dev/null")
    assert not LinuxPort().host_sets_mixers
