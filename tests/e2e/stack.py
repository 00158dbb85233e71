"""A whole lab for a test: real server, real Ray, real agent, real phones, each a process of its own on free ports."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from lab_inventory.clock import SystemClock
from tests.first_person import let_in
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
PHONES = ROOT / "deploy" / "demo" / "phones"
HOST = "test-host"
ICS = {"codec.pcmu": True, "codec.pcma": True, "dtmf.events": True, "hold": True}
WIDEBAND = {**ICS, "audio": "wideband", "codec.g722": True}
_clock = SystemClock()
_pause = threading.Event()


def until(what: str, holds: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Look four times a second until something holds, and give it; fail in words where it does not in time."""
    deadline_s = _clock.boottime_s() + timeout_s
    while True:
        try:
            found = holds()
        except httpx.TransportError:
            found = None
        if found:
            return found
        assert _clock.boottime_s() < deadline_s, f"after {timeout_s:g} s it is not so that {what}"
        _pause.wait(0.25)


class Phone:
    """What stands in a slot: a phone directory of the demonstration, and defects before it; or another ``kind`` of
    phone. ``roles``: what its slot is for.
    """

    def __init__(
        self,
        directory: str = "phone-1",
        defects: Sequence[str] = (),
        revision: str = "A",
        *,
        kind: str = "baresip",
        roles: Sequence[str] = ("dut",),
    ) -> None:
        self.kind = kind
        self.roles = list(roles)
        self.directory = directory
        self.defects = tuple(defects)
        self.revision = revision
        self.mode = "narrowband" if directory == "phone-2" else "wideband"


class Stack:
    """Started in order, stopped in reverse, by process id."""

    def __init__(
        self,
        work: Path,
        phones: Sequence[Phone],
        *,
        benches: int = 1,
        lease_ttl_s: float = 900.0,
        power_program: Path | None = None,
    ) -> None:
        self.work = work
        self._power_program = power_program
        self._lease_ttl_s = lease_ttl_s
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        ports = free_ports(1 + 2 * len(phones))
        self.address = f"http://127.0.0.1:{ports[0]}"
        self._port = ports[0]
        self.lab = self._lab(phones, ports[1:], benches)
        self._phones = work / "phone-directories"
        for number, phone in enumerate(phones, 1):
            target = self._phones / f"{number:02d}"
            shutil.copytree(PHONES / phone.directory, target)
            (target / "defects").write_text("\n".join(phone.defects))
            (target / "kind").write_text(phone.kind)
        self.http = httpx.Client(base_url=self.address, timeout=30)

    @staticmethod
    def _lab(phones: Sequence[Phone], ports: list[int], benches: int) -> dict[str, Any]:
        slots: list[list[dict[str, Any]]] = [[] for _ in range(benches)]
        for place, phone in enumerate(phones):
            slots[place % benches].append(
                {
                    "name": f"slot-{place + 1:02d}",
                    "category": "ip-phone",
                    "roles": phone.roles,
                    "registrar": f"127.0.0.1:{ports[2 * place]}",
                    "account": {"user": f"10{place:02d}", "password": "bench"},
                    "control": f"127.0.0.1:{ports[2 * place + 1]}",
                    "power": f"port-{place + 1}",
                    "unit": {"hardware_revision": phone.revision, "mode": phone.mode},
                }
            )
        return {
            "lab": "test",
            "site": "a test",
            "hosts": [
                {
                    "name": HOST,
                    "benches": [
                        {
                            "name": f"bench-{number}",
                            "instruments": [
                                {
                                    "name": "sip-endpoint",
                                    "kind": "sip-rtp",
                                    "calibration": {"method": "checks itself in a loop before each run"},
                                    "uncertainty": {"ms": 0.5, "%": 0.1, "ratio": 0.001},
                                    # Several benches share this machine's two cores: one run each at a time.
                                    "exclusive": benches > 1,
                                }
                            ],
                            "slots": of_bench,
                        }
                        for number, of_bench in enumerate(slots, 1)
                    ],
                }
            ],
        }

    def start(self) -> None:
        """Everything, until all phones are idle and the Ray worker is ready."""
        # bench_phones takes phones in the order of the lab file's slots, which go round the benches.
        in_order = sorted((s for b in self.lab["hosts"][0]["benches"] for s in b["slots"]), key=lambda s: s["name"])
        one_bench = {**self.lab["hosts"][0]["benches"][0], "slots": in_order}
        flat = {**self.lab, "hosts": [{"name": HOST, "benches": [one_bench]}]}
        (self.work / "phones.yaml").write_text(yaml.safe_dump(flat))
        self.start_server()
        self.call("PUT", "/v1/lab", self.lab)
        self.start_agent()
        self.start_phones()
        self.until_ready(len(in_order))

    def start_server(self) -> None:
        """The server with its embedded Ray."""
        command = ["orchestrator.cli", "serve", "--data", str(self.work / "lab"), "--port", str(self._port)]
        command += ["--ray-local-host", HOST]
        self._start("server", command, ASSAY_LEASE_TTL_S=str(self._lease_ttl_s), ASSAY_HOST_SILENT_S="8")
        until("the server answers", lambda: self.http.get("/healthz").is_success)
        self.http.headers["Authorization"] = f"Bearer {let_in(self.work / 'lab')}"

    def start_agent(self) -> None:
        """The agent; it joins with a fresh token the first time, and has its own credential after that."""
        environment = {
            "ASSAY_AGENT_SERVER_URL": self.address,
            "ASSAY_AGENT_HOST": HOST,
            "ASSAY_AGENT_WORK_DIR": str(self.work / "agent"),
        }
        if self._power_program is not None:
            environment["ASSAY_AGENT_POWER_PROGRAM"] = str(self._power_program)
        if not (self.work / "agent").exists():
            environment["ASSAY_AGENT_JOIN_TOKEN"] = self.call("POST", f"/v1/hosts/{HOST}/join-token")["token"]
        self._start("agent", ["agents.cli", "serve"], **environment)

    def characterise(self, bench: str = "bench-1") -> None:
        """Let a bench measure itself with the real command, as often as it must: about 15 s."""
        environment = {
            "ASSAY_AGENT_SERVER_URL": self.address,
            "ASSAY_AGENT_HOST": HOST,
            "ASSAY_AGENT_WORK_DIR": str(self.work / "agent"),
        }
        command = [sys.executable, "-m", "agents.cli", "bench", "characterise", bench]
        subprocess.run(command, env=os.environ | environment, cwd=ROOT, check=True, timeout=120)

    def start_phones(self) -> None:
        """The phones with their proxies."""
        command = ["agents.simulated.bench_phones", "--lab", str(self.work / "phones.yaml")]
        command += ["--phones", str(self._phones), "--work", str(self.work / "phones")]
        self._start("phones", command)

    def take_defects_away(self) -> None:
        """Start the phones again, without their defects."""
        for of_phone in self._phones.iterdir():
            (of_phone / "defects").write_text("")
        process = self._running.pop("phones")
        process.terminate()
        process.wait(30)
        self.start_phones()

    def until_ready(self, phones: int) -> None:
        """Until that many phones are idle and nothing is degraded."""

        def ready() -> bool:
            idle = [device for device in self.call("GET", "/v1/devices") if device["state"] == "idle"]
            return len(idle) >= phones and not self.http.get("/readyz").json()["degraded"]

        until(f"{phones} phones are idle and nothing is degraded", ready)

    def _start(self, name: str, command: list[str], **environment: str) -> None:
        with (self.work / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """kill -9 of one of the processes that were started here."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def running(self) -> dict[str, subprocess.Popen[bytes]]:
        """The processes that were started here, by name."""
        return dict(self._running)

    def submit(
        self,
        *phones: Phone,
        programme: str = "ip-phone-basic",
        ics: dict[str, Any] | None = None,
        profile: str = "digital",
    ) -> str:
        """A batch with one submission for each phone; gives its id. ``ics``: other than what the mode says."""
        submissions = [
            {
                "title": f"{phone.directory} {phone.revision}",
                "vendor": "Test vendor",
                "product": {"maker": "baresip", "model": "baresip", "firmware": "1.0.0"},
                "hardware_revision": phone.revision,
                "mode": phone.mode,
                "profile": profile,
                "ics": ics
                or (WIDEBAND if phone.mode == "wideband" else {**ICS, "audio": "narrowband", "codec.g722": False}),
            }
            for phone in phones
        ]
        batch = {"title": "a test", "programme": programme, "submissions": submissions}
        reply = self.call("POST", "/v1/batches", batch, {"Idempotency-Key": _clock.new_id("key")})
        return str(reply["batch"])

    def runs(self, batch: str) -> list[dict[str, Any]]:
        """Every attempt of a batch."""
        found = self.call("GET", f"/v1/batches/{batch}")
        return [run for entry in found["entries"] for run in entry["runs"]]

    def until_running(self, batch: str, cases: int = 2) -> dict[str, Any]:
        """Until some attempt has ended a few cases; gives it."""

        def found() -> dict[str, Any] | None:
            running = [r for r in self.runs(batch) if r["state"] == "running" and r["cases_ended"] >= cases]
            return running[0] if running else None

        result: dict[str, Any] = until("a run is going on", found, 120)
        return result

    def judgements(self, batch: str, timeout_s: float = 300.0) -> dict[str, dict[str, Any]]:
        """Wait for the batch's end; the judgements by the hardware revision that was submitted."""
        until(
            "the batch has ended", lambda: self.call("GET", f"/v1/batches/{batch}")["state"] == "completed", timeout_s
        )
        found: dict[str, dict[str, Any]] = {}
        for entry in self.call("GET", f"/v1/batches/{batch}")["entries"]:
            judged = self.call("GET", f"/v1/submissions/{entry['submission']}")
            found[entry["hardware_revision"]] = judged["judgement"]
        return found

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """One call as the operator; fails where it is refused."""
        answer = self.http.request(method, path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this stack: what was started here and what that started, wherever it hangs now."""
        mark = str(self.work)
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(mark in word for word in process.info["cmdline"] or ()):
                found.append(process)
        return found

    def stop(self) -> None:
        """Stop everything, the run processes too."""
        for name in ("phones", "agent", "server"):
            process = self._running.pop(name, None)
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for left in self.processes():
            left.kill()
        self.http.close()

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.work / f"{name}.log").read_text(errors="replace")


def failed(judgement: dict[str, Any]) -> dict[str, str]:
    """The requirements that do not pass at some level, with the verdict."""
    return {
        requirement["requirement"]: requirement["verdict"]
        for level in judgement["levels"]
        for requirement in level["requirements"]
        if requirement["verdict"] not in ("pass", "not-applicable") or requirement["flags"]
    }


def reports_digest(run: dict[str, Any]) -> str:
    """The reports of a run as text, to see that they did not change."""
    return json.dumps(run["reports"], sort_keys=True)
