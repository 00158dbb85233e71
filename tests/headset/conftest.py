"""``usb_lab``: a whole lab with two virtual headsets, for all tests of a file: the boot is the dear part.
Leave the headsets plugged in and healthy, as the fixture ``headsets`` does by itself after each test that takes it.
Nothing may be asserted of time: an emulated machine's clock stands still as long as its host likes.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headset.usb_lab import IMAGE, ROOT, UsbLab, until

NEEDED = ("qemu-system-x86_64", "mmdebstrap", "sqfstar", "cpio")
BUILD = ROOT / "agents/simulated/headset/machine/build.sh"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if sys.version_info[:2] != (3, 11):
        missing.append("Python 3.11, as the machine's Debian has it")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if missing and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}: see 'make lab-vm'"))


@pytest.fixture(scope="session")
def machine() -> None:
    """The virtual machine is built."""
    subprocess.run(["bash", str(BUILD), str(IMAGE)], check=True)


@pytest.fixture(scope="module")
def usb_lab(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsbLab]:
    """Server, Ray, and the machine with its agent; both headsets are registered. Two machines at once are too much for
    two processors, so this one ends with its file.
    """
    lab = UsbLab(tmp_path_factory.mktemp("usb-lab"))
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()
        for name in ("server", "machine"):
            if lab.log(name).exists():
                print(f"--- {name}\n{lab.said(name)}")


@pytest.fixture
def headsets(usb_lab: UsbLab) -> Iterator[UsbLab]:
    """The same lab; afterwards both headsets are healthy and plugged in."""
    yield usb_lab
    for slot in usb_lab.slots:
        usb_lab.defects(slot)
        usb_lab.bench(slot, "plug")
    until("both headsets are there again", lambda: set(usb_lab.present()) == set(usb_lab.slots))
