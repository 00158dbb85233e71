"""`assay-agent press`: one key of one phone by hand, and clear words where it cannot be."""

from pathlib import Path

import pytest
from typer.testing import CliRunner
from yealink_stand_in import YealinkStandIn, yealink_stand_in

from agents.cli import app
from agents.drivers import DriverRefused
from agents.measure import LabError
from agents.press import press, slot_of
from lab_inventory.errors import BadInput
from lab_inventory.lab import Slot

LAB = """\
lab: trial
site: here
hosts:
  - name: host-1
    benches:
      - name: bench-1
        instruments:
          - {name: sip, kind: sip-rtp, calibration: {method: self-check}}
        slots:
          - name: slot-1
            category: ip-phone
            registrar: 127.0.0.1:5171
            account: {user: "1001", password: bench-one}
            control: CONTROL
            driver: yealink
            control_account: {user: admin, password: 0pen-Sesame}
            unit: {hardware_revision: A, mode: wideband}
"""


def written(folder: Path, control: str = "127.0.0.1:1") -> Path:
    path = folder / "lab.yaml"
    path.write_text(LAB.replace("CONTROL", control))
    return path


def slot(folder: Path, control: str = "127.0.0.1:1") -> Slot:
    return slot_of(written(folder, control), "slot-1", None)


async def test_a_key_is_pressed_with_what_the_lab_file_says_of_the_slot(tmp_path: Path) -> None:
    phone = YealinkStandIn(account=("admin", "0pen-Sesame"))
    async with yealink_stand_in(phone):
        at = slot(tmp_path, phone.control)
        assert await press(at, None, "answer", None) == "answer was taken; look at the phone whether it did it"
        await press(at, None, "press_keys", "1")
        await press(at, None, "reboot", None)
    assert phone.keys == ["ASW", "1", "Reboot"]


async def test_the_firmware_is_told_as_the_phone_says_it(tmp_path: Path) -> None:
    async with yealink_stand_in(YealinkStandIn(body=b"58.80.0.5")) as phone:
        assert await press(slot(tmp_path, phone.control), None, "firmware", None) == "58.80.0.5"


async def test_what_the_phone_refuses_comes_out_as_that(tmp_path: Path) -> None:
    async with yealink_stand_in(YealinkStandIn(status=403)) as phone:
        with pytest.raises(DriverRefused, match="Action URI Allow IP List"):
            await press(slot(tmp_path, phone.control), None, "answer", None)


@pytest.mark.parametrize(
    ("driver", "verb", "argument", "words"),
    [
        ("acme", "answer", None, "driver acme is not installed; expected one of baresip"),
        (None, "__init__", None, "no driver has a verb __init__; expected one of open"),
        (None, "dial", None, "dial takes a SIP URI"),
        (None, "press_keys", None, "press_keys takes digits"),
        (None, "answer", "1", "answer takes nothing"),
    ],
)
async def test_what_cannot_be_pressed_is_told_with_what_can(
    tmp_path: Path, driver: str | None, verb: str, argument: str | None, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        await press(slot(tmp_path), driver, verb, argument)


async def test_a_driver_without_firmware_or_reboot_says_so(tmp_path: Path) -> None:
    plain = slot(tmp_path).model_copy(update={"control_account": None})
    for verb, words in (("firmware", "cannot ask for the firmware"), ("reboot", "cannot reboot its phone")):
        with pytest.raises(BadInput, match=words):
            await press(plain, "baresip", verb, None)
    with pytest.raises(LabError, match="takes neither"):
        await press(slot(tmp_path), "baresip", "answer", None)


def test_a_slot_that_there_is_not_is_named_by_the_command(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["press", "answer", "--lab", str(written(tmp_path)), "--slot", "slot-9"])
    assert isinstance(ended.exception, BadInput)
    assert "has 0 slots slot-9; expected one" in str(ended.exception)


def test_the_command_lists_drivers_for_programs_and_refuses_another_form() -> None:
    assert '"driver": "operator"' in CliRunner().invoke(app, ["drivers", "-o", "json"]).output
    assert isinstance(CliRunner().invoke(app, ["drivers", "-o", "xml"]).exception, BadInput)
