"""A machine for the tests of a cluster: network, process table and mounts of its own, on a bridge with the others.

What differs from a real one: kernel, clock and file system are shared, and its first process only takes in orphans.
Everything is ended by process id.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.faults.lab import until

ROOT = Path(__file__).parents[2]
NEEDED = ("ip", "unshare", "nsenter", "openssl", "baresip")
_FIRST = "import os, time\nwhile True:\n  try: os.wait()\n  except ChildProcessError: time.sleep(0.05)\n"


def why_not() -> str:
    """Why such machines cannot be on this one, or nothing."""
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    needs = "apt-get install iproute2 util-linux openssl baresip-core"
    return f"needs {', '.join(missing)}: {needs}" if missing else ""


def run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}: {ended.stderr or ended.stdout}"
    return ended.stdout


class Bridge:
    """What the machines are plugged into; this process is there too, at ``.254``."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.name = f"ac{os.getpid() % 100000}"

    def start(self) -> None:
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "addr", "add", f"{self.network}.254/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")

    def stop(self) -> None:
        subprocess.run(["ip", "link", "del", self.name], check=False, capture_output=True)


class Machine:
    """One machine, with a directory of its own for logs; started, unplugged, plugged in again, lost."""

    def __init__(self, name: str, number: int, bridge: Bridge, work: Path) -> None:
        self.name = name
        self.address = f"{bridge.network}.{number}"
        self.work = work
        self._bridge = bridge
        self._link = f"{bridge.name}-{number}"
        self._first: subprocess.Popen[bytes] | None = None
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        work.mkdir()

    def start(self) -> None:
        """Its namespaces and its cable."""
        inner = f"p{self._link}"
        script = (
            # Ray leaves marks there of what runs on its machine.
            "mkdir -p /tmp/ray; mount -t tmpfs tmpfs /tmp/ray\n"
            f"until ip link show {inner} >/dev/null 2>&1; do sleep 0.02; done\n"
            f"ip link set lo up; ip addr add {self.address}/24 dev {inner}; ip link set {inner} up\n"
            f'exec {sys.executable} -c "$0"\n'
        )
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (self.work / "first.log").open("ab") as log:
            self._first = subprocess.Popen(
                [*command, "sh", "-ec", script, _FIRST],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        pid = self._first.pid
        ours = Path("/proc/self/ns/net").readlink()
        until(f"{self.name} has a network of its own", lambda: Path(f"/proc/{pid}/ns/net").readlink() != ours, 10)
        run("ip", "link", "add", self._link, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", inner, "netns", str(pid))
        run("ip", "link", "set", self._link, "master", self._bridge.name, "up")
        until(f"{self.name} has its address", lambda: self.address in self.inside("ip", "-4", "addr"), 10)

    def inside(self, *command: str) -> str:
        """Run a command there, and give what it says."""
        return run(*self._enter(), *command)

    def spawn(self, name: str, command: Sequence[str], environment: Mapping[str, str] = {}) -> None:
        """Start a process there that is kept under a name."""
        with (self.work / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*self._enter(), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(self.work), **environment},
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """kill -9 of a process and of all that it started: as a supervisor ends the group of a unit that died."""
        started = self._running.pop(name)
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(started.pid).children(recursive=True)
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, 10)
        started.wait(10)

    def runs(self, name: str) -> bool:
        """Whether a process kept under that name is alive."""
        return name in self._running and self._running[name].poll() is None

    def unplug(self) -> None:
        """Take the cable out: everything there goes on, and reaches nobody."""
        run("ip", "link", "set", self._link, "down")

    def plug_in(self) -> None:
        run("ip", "link", "set", self._link, "up")

    def lose(self) -> None:
        """Cut its power."""
        if self._first is not None and self._first.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self._first.pid).children():
                    child.kill()
            self._first.kill()
            self._first.wait()
        for started in self._running.values():
            started.wait(10)
        self._running.clear()
        # The kernel takes a dead network namespace apart when it has time; the next start may need the name before.
        subprocess.run(["ip", "link", "del", self._link], check=False, capture_output=True)

    def _enter(self) -> list[str]:
        assert self._first is not None
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        return ["nsenter", "-t", children[0], "-n", "-m", "-p", f"--wd={self.work}", "--"]
