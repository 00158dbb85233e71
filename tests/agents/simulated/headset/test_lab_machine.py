"""The virtual machine's own code without a virtual machine: what is sent, said and refused.

That a real kernel takes the headset is shown by ``make headset-proof``, which needs QEMU.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.simulated.headset.machine.guest.attach import NotAttached, attach
from agents.simulated.headset.machine.lab_machine import CODE, LabMachine, MachineFailed
from agents.simulated.headset.program import Addresses, VirtualHeadset

BUILD = CODE / "agents/simulated/headset/machine/build.sh"
STATUS = """hub port sta spd dev      sockfd local_busid
hs  0000 006 002 00010002 000003 1-1
hs  0001 004 000 00000000 000000 0-0
ss  0008 004 000 00000000 000000 0-0
"""
STAND_IN = """#!{python}
import re, sys
sys.path.insert(0, {code!r})
from agents.simulated.headset.machine.guest.runner import serve
serve("127.0.0.1", int(re.search(r"lab_port=(\\d+)", " ".join(sys.argv))[1]))
"""
ENDLESS = """
import signal
from agents.simulated.parent import die_with_parent
die_with_parent(signal.SIGKILL)
signal.pause()
"""


@pytest.fixture
def controller(tmp_path: Path) -> Path:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "attach").touch()
    return tmp_path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabMachine:
    """A machine whose QEMU is the guest's runner alone, on this host."""
    program = tmp_path / "bin" / "qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, code=str(CODE)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return LabMachine(tmp_path, tmp_path / "console")


async def test_a_headset_is_handed_to_the_first_free_high_speed_port(
    addresses: Addresses, controller: Path, headset: VirtualHeadset
) -> None:

    assert await asyncio.to_thread(attach, *addresses.usbip, "1-1", controller) == 1
    port, handle, devid, speed = (controller / "attach").read_text().split()
    assert (port, devid, speed) == ("1", str(0x10002), "2")
    assert int(handle) > 2


async def test_a_headset_that_is_not_there_is_not_attached(addresses: Addresses, controller: Path) -> None:

    with pytest.raises(NotAttached, match="9-9 is not to be had: status 1"):
        await asyncio.to_thread(attach, *addresses.usbip, "9-9", controller)


async def test_a_program_in_the_machine_gives_its_lines_and_its_status(machine: LabMachine) -> None:
    seen: list[str] = []
    async with machine:
        status, lines = await machine.run(
            sys.executable, "-c", "print('one'); print('two'); raise SystemExit(7)", on_line=seen.append
        )
        assert (status, lines, seen) == (7, ["one", "two"], ["one", "two"])
        assert (await machine.run("/no/such/program"))[0] == 127


async def test_a_program_that_does_not_end_is_the_machines_failure(machine: LabMachine) -> None:
    async with machine:
        with pytest.raises(MachineFailed, match=r"did not end within 0\.2 s"):
            await machine.run(sys.executable, "-c", ENDLESS, timeout_s=0.2)


async def test_a_machine_that_dies_at_once_is_told_with_its_console(tmp_path: Path, machine: LabMachine) -> None:
    (tmp_path / "bin" / "qemu-system-x86_64").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "console").write_text("Kernel panic")
    with pytest.raises(MachineFailed, match=r"ended with status 1; its console:\nKernel panic"):
        async with machine:
            pass


async def test_without_qemu_the_machine_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineFailed, match="qemu-system-x86_64 does not start"):
        async with LabMachine(tmp_path, tmp_path / "console"):
            pass


def test_the_build_names_every_program_that_is_missing(tmp_path: Path) -> None:
    for name in ("bash", "dpkg", "apt-get", "dpkg-deb"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    built = subprocess.run(
        ["/bin/bash", str(BUILD), str(tmp_path / "vm")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 2
    assert "apt-get install --no-install-recommends mmdebstrap squashfs-tools qemu-system-x86" in built.stderr
    assert not (tmp_path / "vm").exists()
