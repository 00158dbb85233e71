"""A lab whose host is the virtual machine with virtual headsets at its USB ports: real server, real Ray, real agent.

The agent runs in the machine without a Ray node; its door stands at the server's Ray. What a hand and the owner of the
simulation do (plug, press, switch a defect) goes to the headsets themselves, on this side of the machine.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from lab_inventory.clock import SystemClock
from tests.first_person import let_in
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "var" / "lab-vm"
HOST, RAY_HOST = "usb-host", "ray-host"
LOOK_S = 0.05
STARTS_S = 180.0
STOP_S = 30.0
_clock = SystemClock()
_pause = threading.Event()


def until(what: str, holds: Callable[[], Any], timeout_s: float = 60.0, look_s: float = LOOK_S) -> Any:
    """Look until something holds, and give it; raises TimeoutError in words where it does not in time."""
    deadline_s = _clock.boottime_s() + timeout_s
    while True:
        try:
            found = holds()
        except httpx.TransportError:
            found = None
        if found:
            return found
        if _clock.boottime_s() > deadline_s:
            raise TimeoutError(f"after {timeout_s:g} s it is not so that {what}")
        _pause.wait(look_s)


class UsbLab:
    """Started in order, stopped in reverse, by process id. ``headsets``: so many are plugged in at the start."""

    def __init__(self, work: Path, headsets: int = 2) -> None:
        self.work = work
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._server_port, self._inbox_port, *self._benches = free_ports(2 + headsets)
        self.slots = [f"headset-{number}" for number in range(1, headsets + 1)]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self._server_port}", timeout=30)

    def lab_file(self) -> dict[str, Any]:
        """One host, and on it a bench for each headset."""
        benches = [
            {
                "name": f"bench-{number}",
                "instruments": [{"name": "usb", "kind": "usb-audio", "calibration": {"method": "its own check"}}],
                "slots": [
                    {
                        "name": slot,
                        "category": "usb-headset",
                        "usb": f"platform-vhci_hcd.0-usb-0:{number}",
                        "control": f"10.0.2.2:{port}",
                        "driver": "bench-port",
                        "unit": {"hardware_revision": "A", "mode": "wired"},
                    }
                ],
            }
            for number, (slot, port) in enumerate(zip(self.slots, self._benches, strict=True), 1)
        ]
        return {"lab": "usb", "site": "a virtual machine", "hosts": [{"name": HOST, "benches": benches}]}

    def start(self) -> None:
        """Server and machine, until every headset is registered and the door of the machine's agent stands."""
        self.start_server()
        self.call("PUT", "/v1/lab", self.lab_file())
        token = self.call("POST", f"/v1/hosts/{HOST}/join-token")["token"]
        command = ["agents.simulated.headset.machine.lab_host", "--image", str(IMAGE), "--work", str(self.work / "vm")]
        command += ["--host", HOST, "--server-port", str(self._server_port), "--inbox-port", str(self._inbox_port)]
        for port in self._benches:
            command += ["--bench-port", str(port)]
        self._start("machine", command, token)
        until("every headset is registered", lambda: set(self.present()) == set(self.slots) or self._died(), STARTS_S)
        until("nothing is degraded", lambda: not self.http.get("/readyz").json()["degraded"] or self._died())

    def start_server(self) -> None:
        """The server, whose Ray stands for another host and has the door of ours."""
        command = ["orchestrator.cli", "serve", "--data", str(self.work / "lab"), "--port", str(self._server_port)]
        command += ["--ray-local-host", RAY_HOST, "--ray-doors-of", HOST]
        self._start("server", command)
        until("the server answers", lambda: self.http.get("/healthz").is_success or self._died())
        self.http.headers["Authorization"] = f"Bearer {let_in(self.work / 'lab')}"

    def _start(self, name: str, command: list[str], said: str = "") -> None:
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        self._running[name] = process
        if process.stdin is not None:
            process.stdin.write(f"{said}\n".encode())
            process.stdin.close()

    def _died(self) -> bool:
        for name, process in self._running.items():
            if process.poll() is not None:
                raise TimeoutError(f"{name} ended with status {process.returncode}: {self.said(name)}")
        return False

    def log(self, name: str) -> Path:
        """Where ``server`` or ``machine`` writes."""
        return self.work / f"{name}.log"

    def said(self, name: str) -> str:
        """The last that it wrote."""
        return self.log(name).read_text(errors="replace")[-3000:]

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """One call as the operator; raises where it is refused."""
        answer = self.http.request(method, path, json=body, headers=headers)
        if answer.is_error:
            raise ValueError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def devices(self) -> list[dict[str, Any]]:
        """Every unit that was ever registered."""
        found: list[dict[str, Any]] = self.call("GET", "/v1/devices")
        return found

    def present(self) -> dict[str, dict[str, Any]]:
        """The units that are there, by slot."""
        return {one["slot"]: one for one in self.devices() if one["presence"] == "present"}

    def faults(self) -> dict[str, str]:
        """What the host says is wrong at its slots."""
        (host,) = [one for one in self.call("GET", "/v1/hosts") if one["host"] == HOST]
        return {fault["slot"]: fault["slug"] for fault in host["faults"]}

    def bench(self, slot: str, do: str, **more: Any) -> dict[str, Any]:
        """What a hand does to the headset in this slot: ``plug``, ``unplug``, ``press`` with ``key``."""
        port = self._benches[self.slots.index(slot)]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            return _asked(line, {"do": do, **more})

    def defects(self, slot: str, **sizes: float) -> None:
        """Give the headset exactly these defects, by slug with ``_`` for ``-``; some show only after the next plug."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.work / "vm" / f"{slot}.sock"))
            _asked(line, {"do": "defects", "sizes": {name.replace("_", "-"): size for name, size in sizes.items()}})

    def stop(self) -> None:
        """Stop everything."""
        for name in reversed(list(self._running)):
            process = self._running.pop(name)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.http.close()


def _asked(line: socket.socket, what: Mapping[str, Any]) -> dict[str, Any]:
    with line.makefile("rw", encoding="utf-8", newline="\n") as port:
        port.write(json.dumps(what) + "\n")
        port.flush()
        said: dict[str, Any] = json.loads(port.readline())
    if not said.get("ok"):
        raise ValueError(f"{what} was answered {said}")
    return said
