import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from phone_wire import Wire, value_of

from agents.drivers import DriverRefused
from agents.drivers.reference import ReferenceDriver
from agents.simulated.bench_phones import BenchPhone
from agents.simulated.reference_program import ReferenceProgram
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput, Unavailable
from lab_inventory.lab import Account, Slot, UnitLabel
from tests.ports import free_port


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    await wire.open()
    yield wire
    wire.close()


def values(wire: Wire) -> dict[str, str]:
    control = f"127.0.0.1:{free_port()}"
    return {
        "registrar": wire.registrar, "outbound": wire.registrar, "control": control, "user": "1001",
        "password": "secret",
    }  # fmt: skip


async def test_the_program_registers_answers_by_its_key_and_takes_its_binding_away(wire: Wire, tmp_path: Path) -> None:
    told = values(wire)
    program = ReferenceProgram("dut", tmp_path, told, [], SystemClock())
    driver = ReferenceDriver(told["control"])
    await program.start()
    try:
        await wire.phone_registered()
        _, rang_s, final = await wire.call(driver, "0")  # type: ignore[arg-type]
        with pytest.raises(DriverRefused, match="no such keys"):
            await driver.press_keys("x")
    finally:
        await driver.close()
        await program.stop()
    assert rang_s < 0.5
    assert value_of(final, "User-Agent") == "Assay-Reference-Phone/1.0"
    removed = [seen for seen in wire.sip.seen if seen.data.startswith(b"REGISTER") and b";expires=0" in seen.data]
    assert removed
    said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["registered"] for line in said] == [True]


async def test_an_identity_is_kept_from_one_start_to_the_next(wire: Wire, tmp_path: Path) -> None:
    for _ in range(2):
        program = ReferenceProgram("dut", tmp_path, values(wire), [], SystemClock())
        await program.start()
        await program.stop()
    assert len((tmp_path / "uuid").read_text()) == 36


@pytest.mark.parametrize(
    ("defect", "words"),
    [("unheard-of", "no defect unheard-of"), ("ringing-late", "needs a size in ms"), ("ringing-never=3", "no size")],
)
async def test_a_defect_that_is_not_there_or_has_no_size_is_said_at_the_start(
    wire: Wire, tmp_path: Path, defect: str, words: str
) -> None:
    program = ReferenceProgram("dut", tmp_path, values(wire), [defect], SystemClock())
    with pytest.raises(Unavailable, match=words):
        await program.start()


async def test_the_program_ends_with_its_parent(wire: Wire, tmp_path: Path) -> None:
    told = values(wire)
    arguments = [f"--{name}={told[name]}" for name in ("registrar", "control", "user", "password")]
    command = [sys.executable, "-m", "agents.simulated.reference_phone", *arguments]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import subprocess; subprocess.Popen({command!r}); input()",
        stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await wire.phone_registered()
    parent.kill()
    await parent.wait()
    gone = await wire.sip.wait_for(lambda data: data.startswith(b"REGISTER") and b";expires=0" in data)
    assert gone


async def test_a_slot_whose_kind_says_so_has_the_reference_phone(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "kind").write_text("reference\n")
    (tmp_path / "defects").write_text("ringing-never\n")
    told = values(wire)
    slot = Slot(
        name="slot-1", category="ip-phone", registrar=told["registrar"], control=told["control"],
        account=Account(user="1001", password="secret"), unit=UnitLabel(hardware_revision="A", mode="wideband"),
    )  # fmt: skip
    phone = BenchPhone(slot, tmp_path, tmp_path / "work")
    driver = ReferenceDriver(told["control"])
    try:
        await phone.start()
        await wire.phone_registered()
        _, rang_s, _ = await wire.call(driver, "0")  # type: ignore[arg-type]
    finally:
        await driver.close()
        await phone.stop()
    assert rang_s == float("inf")


def test_a_kind_of_phone_that_there_is_not_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "kind").write_text("rotary")
    slot = Slot(
        name="slot-1", category="ip-phone", registrar="127.0.0.1:1", control="127.0.0.1:2",
        account=Account(user="1001", password="secret"), unit=UnitLabel(hardware_revision="A", mode="wideband"),
    )  # fmt: skip
    with pytest.raises(BadInput, match="rotary is no kind of phone: baresip or reference"):
        BenchPhone(slot, tmp_path, tmp_path / "work")
