"""Builds and labs for the tests of the rollout: real wheels, real sshd servers, real agents, real phones."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ssh_lab import ROOT, SshLab, make_driver_wheel, make_wheel, why_not

from deploy.build import Dependencies, make_build

FAULT = "/etc/a-host-that-the-new-build-cannot-serve"


@dataclass(frozen=True)
class Builds:
    """Directories of builds: ``old``, ``new`` (with a driver that is a package of its own), and ``bad``, which cannot
    serve a host that has the file FAULT.
    """

    old: str
    new: str
    bad: str


def with_a_fault(tree: Path) -> None:
    """A build that looks well (its doctor finds nothing) and then cannot serve at some host."""
    path = tree / "agents" / "serve.py"
    text = path.read_text()
    assert text.count("        self._runs.adopt()\n") == 1
    broken = f"        if Path({FAULT!r}).exists():\n            raise RuntimeError('this build has a fault')\n"
    path.write_text(text.replace("        self._runs.adopt()\n", broken + "        self._runs.adopt()\n"))


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    work = tmp_path_factory.mktemp("builds")
    made = {}
    driver = make_driver_wheel(work)
    for name, version, change in (("old", "0.2.0", None), ("new", "0.3.0", None), ("bad", "0.4.0", with_a_fault)):
        wheel = make_wheel(work, version, change=change)
        also = [driver] if name == "new" else []
        directory, _ = make_build(wheel, work / "out", ROOT / "constraints.txt", Dependencies.HOST, also)
        made[name] = str(directory)
    return Builds(**made)


def a_lab(work: Path, hosts: int, *, tls: bool = False) -> Iterator[SshLab]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    lab = SshLab(work, hosts, tls=tls)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def five_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshLab]:
    yield from a_lab(tmp_path_factory.mktemp("lab"), 5, tls=True)


@pytest.fixture(scope="module")
def two_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshLab]:
    yield from a_lab(tmp_path_factory.mktemp("lab"), 2)


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshLab]:
    yield from a_lab(tmp_path_factory.mktemp("lab"), 1)
