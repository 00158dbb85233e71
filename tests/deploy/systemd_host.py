"""A host whose PID 1 is a real systemd, with a real sshd under it: for the supervisor that needs one.

It has its own cgroup, unit directory and no generators, so that of the machine's own services nothing is started in it;
of systemd's own units it has the targets. No journal, no udev: what would touch the machine is left out.
"""

import os
import shutil
import sys
from functools import cached_property
from pathlib import Path

from ssh_lab import NAMESPACES, SshHost, until

from lab_inventory.clock import SystemClock

SYSTEMD = Path("/lib/systemd/systemd")
UNITS = Path("/lib/systemd/system")
TARGETS = (
    *("sysinit", "basic", "multi-user", "shutdown", "umount", "final", "local-fs", "network", "network-online"),
    *("sockets", "timers", "paths", "slices", "rescue", "emergency", "exit"),
)


def why_no_systemd() -> str:
    """Why no systemd can be PID 1 of a namespace here, or nothing."""
    if not SYSTEMD.exists():
        return "needs systemd: apt-get install systemd"
    return "" if os.access(_root(), os.W_OK) else "needs a cgroup hierarchy that can be written to"


def _root() -> Path:
    """Where cgroups are made: the hierarchy of systemd (version 1), or the only one (version 2)."""
    old = Path("/sys/fs/cgroup/systemd")
    return old if old.is_dir() else Path("/sys/fs/cgroup")


class SystemdHost(SshHost):
    """One host; ``restart`` is a reboot."""

    @cached_property
    def _cgroup(self) -> Path:
        return _root() / SystemClock().new_id("assay-test")

    def command(self, script: str) -> list[str]:
        """In a cgroup of its own first, so that in the namespace this is the root."""
        inner = " ".join(["exec unshare", *NAMESPACES, "--ipc --uts --cgroup --fork --kill-child --mount-proc sh -ec"])
        make = f'mkdir -p {self._cgroup} && echo $$ > {self._cgroup}/cgroup.procs && {inner} "$1"'
        return ["sh", "-ec", make, "sh", script]

    def first_process(self) -> list[str]:
        """systemd, which starts sshd and whatever was enabled."""
        units, none = self.dir / "units", self.dir / "none"
        units.mkdir(exist_ok=True)
        none.mkdir(exist_ok=True)
        for name in TARGETS:
            if (UNITS / f"{name}.target").exists():
                shutil.copy(UNITS / f"{name}.target", units)
        own = self.dir / "etc/systemd/system"
        if not (own / "lab-sshd.service").exists():
            shutil.rmtree(own)
            (own / "multi-user.target.wants").mkdir(parents=True)
            (own / "multi-user.target.wants/lab-sshd.service").symlink_to("/etc/systemd/system/lab-sshd.service")
            program = f"{shutil.which('sshd')} -D -e -f /etc/ssh/sshd_lab_config"
            (own / "lab-sshd.service").write_text(f"[Service]\nExecStart={program}\n")
            if Path(sys.base_prefix).parts[1] in ("root", "home"):
                # The unit keeps the agent out of home directories, and this machine has its Python in one.
                (own / "assay-agent.service.d").mkdir()
                (own / "assay-agent.service.d/python.conf").write_text("[Service]\nProtectHome=false\n")
        (self.dir / "etc/machine-id").write_text(f"{self.number:032x}\n")
        old = "mount -t tmpfs tmpfs /sys/fs/cgroup; mkdir /sys/fs/cgroup/systemd"
        old += "; mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
        new = "mount -t cgroup2 none /sys/fs/cgroup"
        return [
            f"if [ -d /sys/fs/cgroup/systemd ]; then {old}; else {new}; fi",
            f"mount --bind {units} {UNITS}",
            f"mount --bind {none} /lib/systemd/system-generators",
            "export container=assay-test",
            f"exec {SYSTEMD} --unit=multi-user.target --log-target=console --show-status=0",
        ]

    def reboot(self) -> None:
        """Everything there ends at once, and it starts again with nothing in /run."""
        self.stop()
        for path in (self.dir / "run").iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (self.dir / "run/sshd").mkdir()
        self.start()

    def stop(self) -> None:
        """End it, and remove the cgroups that are left."""
        super().stop()
        until("what ran there has left its cgroups", self._cleared)

    def _cleared(self) -> bool:
        for directory, _, _ in os.walk(self._cgroup, topdown=False):
            try:
                Path(directory).rmdir()
            except OSError:
                return False
        return True
