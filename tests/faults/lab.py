"""A lab of real processes: ``assay serve`` with its dispatcher and its Ray, an agent, its runs, and the devices.

Server and agent are started again when they die, as systemd would, unless they are to stay away. The devices are the
witness and stay. Everything is known by process id; nothing outlives ``stop``.
"""

import json
import os
import random  # noqa: TID251 - which run is hit is seeded
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from lab_inventory.clock import SystemClock
from tests.faults.disks import Disk, as_anybody
from tests.faults.witness import Press, read_presses
from tests.first_person import let_in
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
HOST = "faults-host"
MODELS = ("One", "One", "One", "One", "Five")
AGAIN_S = 1.0
LOOK_S = 0.1
TARGETS = {
    "dispatcher": "orchestrator.dispatch.ray_driver",
    "actor": "ray::LabHost",
    "raylet": "/raylet/raylet",
    "head": "/gcs/gcs_server",
}
_clock = SystemClock()
_pause = threading.Event()


def pause(seconds: float) -> None:
    """Let the lab go on."""
    _pause.wait(seconds)


def until(what: str, holds: Callable[[], Any], timeout_s: float) -> Any:
    """Look until something holds, and give it; fail in words where it does not in time."""
    deadline_s = _clock.boottime_s() + timeout_s
    while True:
        try:
            found = holds()
        except (httpx.HTTPError, ValueError):
            found = None
        if found:
            return found
        if _clock.boottime_s() > deadline_s:
            raise AssertionError(f"after {timeout_s:g} s it is not so that {what}")
        pause(0.2)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The product's own settings, in seconds; small, so that what takes minutes in a lab takes seconds here.

    ``scale``: how long a case takes, as a share of what its programme says. ``ray_patience_s``: how long Ray's
    processes live on without their head (Ray's own default is 60).
    """

    lease_ttl_s: float | None = 12.0
    host_silent_s: float = 6.5
    stop_grace_s: float = 3.0
    absent_after_s: float = 20.0
    scale: float = 0.05
    ray_patience_s: int = 15


@dataclass
class _Kept:
    """A process that is to run. ``wanted`` False: it is to stay away."""

    command: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    again_at_s: float = 0.0
    killed: set[int] = field(default_factory=set)


class Lab:
    """Started whole, stopped whole. ``shim``: the library that moves wall clocks, or None: clocks stay."""

    def __init__(
        self, work: Path, limits: Limits, *, shim: Path | None = None, planted: bool = False, long: bool = False
    ) -> None:
        self.work = work
        self.limits = limits
        self.disks = {"server": Disk(work / "server-disk"), "agent": Disk(work / "agent-disk")}
        self.data = self.disks["server"].path / "lab"
        self.agent_work = self.disks["agent"].path / "agent"
        self.own_exits: Counter[str] = Counter()
        self._server_command = "tests.faults.server" if long else "orchestrator.cli"
        self._shim = shim
        self._planted = planted
        self._kept: dict[str, _Kept] = {}
        self._clocks = {name: work / f"{name}-clock" for name in ("server", "agent")}
        self._moved_s = dict.fromkeys(self._clocks, 0)
        self._stopping = threading.Event()
        self._keeping = threading.Thread(target=self._keep, daemon=True)
        self._lock = threading.RLock()
        ports = free_ports(1 + 2 * len(MODELS))
        self.address = f"http://127.0.0.1:{ports[0]}"
        self._slots = [_slot(number, *ports[1 + 2 * number : 3 + 2 * number]) for number in range(len(MODELS))]
        self.http = httpx.Client(base_url=self.address, timeout=10)

    # From start to stop

    def start(self) -> None:
        """Everything, until every device is idle and the Ray worker is ready."""
        for name in self._clocks:
            self._set_clock(name)
        entries = [{"slot": slot, "model": model} for slot, model in zip(self._slots, MODELS, strict=True)]
        (self.work / "slots.json").write_text(json.dumps(entries))
        self.data.mkdir()
        self._start_devices()
        limits = self.limits
        ttl = {"ASSAY_LEASE_TTL_S": str(limits.lease_ttl_s)} if limits.lease_ttl_s else {}
        command = ["serve", "--data", str(self.data), "--port", self.address.rpartition(":")[2]]
        self._kept["server"] = _Kept(
            [*as_anybody(), sys.executable, "-m", self._server_command, *command, "--ray-local-host", HOST],
            {
                **ttl,
                "ASSAY_HOST_SILENT_S": str(limits.host_silent_s),
                "ASSAY_FREE_BYTES_MIN": "1000000",
                "RAY_gcs_rpc_server_reconnect_timeout_s": str(limits.ray_patience_s),
                **self._moving("server"),
            },
        )
        self._keeping.start()
        until("the server answers", lambda: self.http.get("/healthz").is_success, 60)
        self.http.headers["Authorization"] = f"Bearer {let_in(self.data)}"
        lab = {"lab": "faults", "site": "a test", "hosts": [{"name": HOST, "benches": [_bench(self._slots)]}]}
        self.call("PUT", "/v1/lab", lab)
        bug = ["--planted"] if self._planted else []
        self._kept["agent"] = _Kept(
            [*as_anybody(), sys.executable, "-m", "tests.faults.agent", "--scale", str(limits.scale), *bug],
            {
                "ASSAY_AGENT_SERVER_URL": self.address,
                "ASSAY_AGENT_HOST": HOST,
                "ASSAY_AGENT_WORK_DIR": str(self.agent_work),
                "ASSAY_AGENT_JOIN_TOKEN": self.call("POST", f"/v1/hosts/{HOST}/join-token")["token"],
                "ASSAY_AGENT_STOP_GRACE_S": str(limits.stop_grace_s),
                "ASSAY_AGENT_ABSENT_AFTER_S": str(limits.absent_after_s),
                "ASSAY_AGENT_FREE_BYTES_MIN": "1000000",
                "ASSAY_AGENT_KEEP_DELIVERED_RUNS": "10000",
                **self._moving("agent"),
            },
        )
        self.until_well(90)

    def until_well(self, timeout_s: float) -> None:
        """Until no part is degraded and every device is there."""

        def well() -> bool:
            there = [row for row in self.call("GET", "/v1/devices") if row["state"] in ("idle", "busy")]
            return len(there) == len(MODELS) and not self.http.get("/readyz").json()["degraded"]

        until("all is well", well, timeout_s)

    def stop(self) -> None:
        """Stop everything, gracefully where it can be."""
        self._stopping.set()
        if self._keeping.is_alive():
            self._keeping.join()
        self.http.close()
        everything = self._descendants()
        for name in ("agent", "server"):
            process = self._kept[name].process if name in self._kept else None
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(40)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        with suppress(AttributeError):
            self._devices.terminate()
            self._devices.wait()
        for left in (*everything, *self._runs()):
            with suppress(psutil.NoSuchProcess):
                left.kill()

    def free(self) -> None:
        """Give up the disks, after whatever is read from them; what was on them stays beside them."""
        for name, disk in self.disks.items():
            disk.allow_writing()
            shutil.copytree(disk.path, self.work / f"{name}-left", ignore=shutil.ignore_patterns("*.sock"))
            disk.free()

    def _start_devices(self) -> None:
        command = [sys.executable, "-m", "tests.faults.device", str(self.work / "slots.json")]
        self._devices = self._popen("devices", [*command, str(self.work / "presses.jsonl")], {})

    def _popen(self, name: str, command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.work / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def _keep(self) -> None:
        """Start what is to run and does not, a second after its end."""
        while not self._stopping.wait(LOOK_S):
            for name, kept in list(self._kept.items()):
                with self._lock:
                    self._keep_one(name, kept)

    def _keep_one(self, name: str, kept: _Kept) -> None:
        if kept.process is not None and kept.process.poll() is not None:
            if kept.process.pid not in kept.killed:
                self.own_exits[name] += 1
            kept.process = None
            kept.again_at_s = _clock.boottime_s() + AGAIN_S
        if kept.process is None and kept.wanted and _clock.boottime_s() >= kept.again_at_s:
            kept.process = self._popen(name, kept.command, kept.environment)

    # Faults

    def kill(self, kind: str, draw: float, wait_s: float = 20.0) -> bool:
        """kill -9 of a process of that kind, once there is one; False where there is none in time."""
        deadline_s = _clock.boottime_s() + wait_s
        while _clock.boottime_s() < deadline_s:
            with self._lock, suppress(psutil.NoSuchProcess):
                process = self._target(kind, draw)
                if process is not None:
                    if kind in self._kept:
                        self._kept[kind].killed.add(process.pid)
                    process.kill()
                    return True
            pause(LOOK_S)
        return False

    def _target(self, kind: str, draw: float) -> psutil.Process | None:
        if kind in ("server", "agent"):
            kept = self._kept[kind].process
            return psutil.Process(kept.pid) if kept is not None and kept.poll() is None else None
        found = self._runs() if kind == "run" else self._of_the_server(TARGETS[kind])
        found.sort(key=lambda process: process.pid)
        return found[int(draw * len(found))] if found else None

    def _of_the_server(self, mark: str) -> list[psutil.Process]:
        return [process for process in self._descendants() if mark in " ".join(_words(process)[:3])]

    def _descendants(self) -> list[psutil.Process]:
        found = []
        for kept in self._kept.values():
            with suppress(psutil.NoSuchProcess):
                if kept.process is not None:
                    found += psutil.Process(kept.process.pid).children(recursive=True)
        return found

    def _runs(self) -> list[psutil.Process]:
        """The processes of runs, whoever is their parent now."""
        mark = str(self.agent_work / "runs")
        return [
            process
            for process in psutil.process_iter()
            if "tests.faults.run" in (words := _words(process)) and mark in words[-1]
        ]

    def freeze(self, kinds: Sequence[str], draw: float) -> list[psutil.Process]:
        """SIGSTOP; of the runs, every one where the agent is stopped too, else one."""
        frozen: list[psutil.Process] = []
        with self._lock:
            for kind in kinds:
                if kind == "run" and len(kinds) > 1:
                    frozen += self._runs()
                elif (process := self._target(kind, draw)) is not None:
                    frozen.append(process)
            for process in frozen:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
        return frozen

    def thaw(self, frozen: Sequence[psutil.Process], draw: float) -> None:
        """SIGCONT, in an order of chance, with a moment in between."""
        order = list(frozen)
        random.Random(draw).shuffle(order)
        for process in order:
            with suppress(psutil.NoSuchProcess):
                process.resume()
            pause(draw * 0.2)

    def keep_away(self, name: str, *, away: bool) -> None:
        """Whether a process is to stay away; takes effect on its next death."""
        with self._lock:
            self._kept[name].wanted = not away

    def jump(self, name: str, seconds: int) -> None:
        """Step the wall clock of the server with its Ray, or of the agent with its runs."""
        self._moved_s[name] += seconds
        self._set_clock(name)

    def _set_clock(self, name: str) -> None:
        path = self._clocks[name]
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(struct.pack("q", self._moved_s[name]))

    def _moving(self, name: str) -> dict[str, str]:
        if self._shim is None:
            return {}
        return {"LD_PRELOAD": str(self._shim), "ASSAY_FAULTS_CLOCK": str(self._clocks[name])}

    # Looking

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call as the operator; raises httpx.HTTPError where it is not answered well."""
        answer = self.http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def presses(self) -> tuple[Press, ...]:
        """What the devices saw."""
        return read_presses((self.work / "presses.jsonl").read_text().splitlines(keepends=True))

    def audit(self) -> tuple[str, ...]:
        """What ``assay audit verify`` finds."""
        command = [sys.executable, "-m", "orchestrator.cli", "audit", "verify", "--data", str(self.data), "-o", "json"]
        asked = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        if asked.returncode not in (0, 1):
            return (f"assay audit verify ended with status {asked.returncode}: {asked.stderr[-500:]}",)
        return tuple(json.loads(asked.stdout)["findings"])


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or [process.name()]
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return [""]


def _slot(number: int, registrar: int, control: int) -> dict[str, Any]:
    return {
        "name": f"slot-{number + 1}",
        "category": "ip-phone",
        "registrar": f"127.0.0.1:{registrar}",
        "account": {"user": f"100{number}", "password": "bench"},
        "control": f"127.0.0.1:{control}",
        "unit": {"hardware_revision": "A", "mode": "wideband"},
    }


def _bench(slots: list[dict[str, Any]]) -> dict[str, Any]:
    instrument = {
        "name": "sip-endpoint",
        "kind": "sip-rtp",
        "calibration": {"method": "none is needed"},
        "uncertainty": {"ms": 0.5, "%": 0.1, "ratio": 0.001},
    }
    return {"name": "bench-1", "instruments": [instrument], "slots": slots}
