import asyncio
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from phone_wire import PHONES, Wire

from agents.processes import mark_of
from agents.simulated import bench_phones
from agents.simulated.bench_phones import places
from lab_inventory.errors import BadInput, Unavailable
from tests.ports import free_port, free_row

LAB = """
lab: test
site: here
hosts:
  - name: host
    benches:
      - name: bench
        instruments: [{name: sip, kind: sip-rtp, calibration: {method: none}}]
        slots:
"""
SLOT = """
          - name: slot-%d
            category: ip-phone
            registrar: %s
            account: {user: "1001", password: secret}
            control: 127.0.0.1:%d
            unit: {hardware_revision: A, mode: wideband}
"""
Line = dict[str, object]


@pytest.fixture
async def wires() -> AsyncIterator[list[Wire]]:
    wires = [Wire(), Wire()]
    for wire in wires:
        await wire.open()
    yield wires
    for wire in wires:
        wire.close()


@pytest.fixture
def lab(tmp_path: Path, wires: list[Wire]) -> Path:
    slots = [SLOT % (number, wire.registrar, free_port()) for number, wire in enumerate(wires, start=1)]
    (tmp_path / "lab.yaml").write_text(LAB + "".join(slots))
    return tmp_path / "lab.yaml"


@pytest.fixture
def phones(tmp_path: Path) -> Path:
    shutil.copytree(PHONES / "phone-2", tmp_path / "phones" / "phone-1")
    shutil.copytree(PHONES / "phone-3", tmp_path / "phones" / "phone-2")
    return tmp_path / "phones"


async def _start(lab: Path, phones: Path, *before: str) -> asyncio.subprocess.Process:
    command = [*before, sys.executable, "-m", "agents.simulated.bench_phones", "--lab", str(lab)]
    command += ["--phones", str(phones), "--work", str(lab.parent / "work")]
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def _lines(program: asyncio.subprocess.Process, count: int) -> list[Line]:
    assert program.stdout
    async with asyncio.timeout(20):
        return [json.loads(await program.stdout.readline()) for _ in range(count)]


async def _gone(lines: list[Line]) -> None:
    async with asyncio.timeout(10):
        for line in lines:
            assert isinstance(line["pid"], int)
            mark = mark_of(line["pid"])
            if mark is not None:
                await mark.ended()


async def test_phones_stand_in_their_slots_and_sigterm_leaves_nothing_behind(
    lab: Path, phones: Path, wires: list[Wire]
) -> None:
    program = await _start(lab, phones)
    lines = await _lines(program, 2)
    assert [(line["slot"], line["phone"], line["defects"]) for line in lines] == [
        ("slot-1", "phone-1", []),
        ("slot-2", "phone-2", ["hold-as-sendrecv"]),
    ]
    for wire in wires:
        await wire.phone_registered()
    program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    assert [mark_of(int(str(line["pid"]))) for line in lines] == [None, None]


async def test_phones_end_when_what_started_them_is_killed(lab: Path, phones: Path) -> None:
    program = await _start(lab, phones)
    lines = await _lines(program, 2)
    program.kill()
    await program.wait()
    await _gone(lines)


async def test_everything_ends_when_the_parent_of_the_program_is_killed(lab: Path, phones: Path) -> None:
    starter = "import subprocess, sys; subprocess.run(sys.argv[1:], check=False)"
    parent = await _start(lab, phones, sys.executable, "-c", starter)
    lines = await _lines(parent, 2)
    parent.kill()
    await parent.wait()
    await _gone(lines)


async def test_a_phone_that_cannot_be_started_is_told_and_the_others_are_stopped(
    lab: Path, phones: Path, wires: list[Wire]
) -> None:
    (phones / "phone-2" / "defects").write_text("no-such\n")
    program = await _start(lab, phones)
    lines = await _lines(program, 1)
    assert program.stderr
    assert b"unknown defect no-such" in await program.stderr.read()
    assert await program.wait() == 2
    assert mark_of(int(str(lines[0]["pid"]))) is None


async def test_a_phone_whose_ports_are_taken_in_the_moment_it_starts_gets_others(
    lab: Path, phones: Path, wires: list[Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    (slot, directory), _ = places(lab, phones)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        taken, free = free_row(bench_phones.RTP_PORTS + 2), free_row(bench_phones.RTP_PORTS + 2)
        other.bind(("127.0.0.1", taken))
        found = iter([taken, free])
        monkeypatch.setattr(bench_phones, "_free_ports", lambda: next(found))
        phone = bench_phones.BenchPhone(slot, directory, lab.parent / "work")
        try:
            await phone.start()
            await wires[0].phone_registered()
        finally:
            await phone.stop()
    assert next(found, None) is None


async def test_a_phone_whose_ports_are_taken_again_and_again_is_told(
    lab: Path, phones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (slot, directory), _ = places(lab, phones)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        taken = free_row(bench_phones.RTP_PORTS + 2)
        other.bind(("127.0.0.1", taken))
        monkeypatch.setattr(bench_phones, "_free_ports", lambda: taken)
        with pytest.raises(Unavailable, match=bench_phones.TAKEN):
            await bench_phones.BenchPhone(slot, directory, lab.parent / "work").start()


def test_a_directory_without_phones_is_told(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no phone directories"):
        places(lab, tmp_path / "nothing")
