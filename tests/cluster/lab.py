"""A lab of four machines: head and server; two lab hosts; and a small host whose door stands at these two.

Ray asks for a token and speaks TLS with certificates of the lab's own CA. Every host has a device that writes down each
key before it answers; the two lab hosts have a real phone besides. Leases, silences and Ray's own patience are short by
settings, so that what takes minutes in a lab takes seconds here.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab_inventory.clock import SystemClock
from tests.cluster.machine import ROOT, Bridge, Machine, run
from tests.faults.clients import batch
from tests.faults.lab import until
from tests.faults.witness import Press, driven_twice, read_presses
from tests.first_person import let_in

NETWORK = "10.214.77"
RAY_PORT, SERVER_PORT, INBOX_PORT = 6379, 8470, 8471
LEASE_TTL_S = 12.0
HOST_SILENT_S = 6.5
SCALE = 0.08
"""Runs of the programme's profile ``short`` then take 10 s."""
PHONE = ROOT / "deploy" / "demo" / "phones" / "phone-1"
SMALL = "small"
HOSTS = ("host-1", "host-2", SMALL)
MODELS = {"host-1": "One", "host-2": "One", SMALL: "Small"}
ICS = {"codec.pcmu": True, "codec.pcma": True, "codec.g722": True, "dtmf.events": True, "hold": False}
_clock = SystemClock()


def now_s() -> float:
    return _clock.boottime_s()


class Lab:
    """Started whole, stopped whole."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.bridge = Bridge(NETWORK)
        numbers = {"server": 1, "host-1": 11, "host-2": 12, SMALL: 13}
        # Ray's sockets need short paths.
        self.machines = {name: Machine(name, number, self.bridge, work / name[-6:]) for name, number in numbers.items()}
        self.server = self.machines["server"]
        self.head = f"{self.server.address}:{RAY_PORT}"
        self.http = httpx.Client(base_url=f"http://{self.server.address}:{SERVER_PORT}", timeout=10)
        self.token = work / "ray-token"
        self.token.write_text(SystemClock().token(""))
        self.token.chmod(0o600)
        self._make_certificates()

    # From start to stop

    def start(self) -> None:
        """Everything, until every device is idle and nothing is degraded."""
        self.bridge.start()
        for machine in self.machines.values():
            machine.start()
        self.start_head()
        self.start_server()
        self.call("PUT", "/v1/lab", self._lab_file())
        for host in HOSTS:
            self.start_host(host)
        self.until_well(90)

    def start_head(self) -> None:
        self.server.spawn("head", [sys.executable, "-m", "orchestrator.cli", "ray-head"], self._server_settings())

    def start_server(self) -> None:
        self.server.spawn("server", [sys.executable, "-m", "tests.cluster.server", "serve"], self._server_settings())
        until("the server answers", lambda: self.http.get("/healthz").is_success, 60)
        self.http.headers["Authorization"] = f"Bearer {let_in(self.work / 'data')}"

    def start_host(self, host: str) -> None:
        """Its devices and its agent, which joins with a fresh token the first time."""
        machine = self.machines[host]
        (machine.work / "slots.json").write_text(
            json.dumps([{"slot": _slot(f"keys-{host}", 0), "model": MODELS[host]}])
        )
        device = [sys.executable, "-m", "tests.faults.device", str(machine.work / "slots.json")]
        machine.spawn("device", [*device, str(machine.work / "presses.jsonl")])
        if host != SMALL:
            machine.spawn("phone", [sys.executable, "-m", "agents.simulated.bench_phones", *self._phone(machine)])
        self.start_agent(host)

    def start_agent(self, host: str, **more: str) -> None:
        machine = self.machines[host]
        settings = {**self._agent_settings(host), **more}
        if not (machine.work / "agent").exists():
            settings["ASSAY_AGENT_JOIN_TOKEN"] = self.call("POST", f"/v1/hosts/{host}/join-token")["token"]
        machine.spawn("agent", [sys.executable, "-m", "tests.cluster.agent", "--scale", str(SCALE)], settings)

    def stop(self) -> None:
        self.http.close()
        for machine in self.machines.values():
            machine.lose()
        self.bridge.stop()

    # What happens to it

    def restart_host(self, host: str) -> None:
        """Power again, and everything comes up by itself."""
        self.machines[host].start()
        self.start_host(host)

    # Looking

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One call as the operator; raises httpx.HTTPError where it is not answered well."""
        answer = self.http.request(method, path, json=body, headers=headers)
        assert answer.status_code != 422, answer.text
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def degraded(self) -> dict[str, str]:
        found: dict[str, str] = self.http.get("/readyz").json()["degraded"]
        return found

    def until_well(self, timeout_s: float = 60) -> None:
        """Until nothing is degraded and every device is idle."""

        def well() -> bool:
            idle = [row for row in self.call("GET", "/v1/devices") if row["state"] == "idle"]
            return len(idle) == 5 and not self.degraded()

        until("all is well", well, timeout_s)

    def submit(self, title: str, models: list[str]) -> str:
        """A batch of the programme of keys, with a submission for each model; gives its name."""
        body = batch(title, "outage", [("short", model) for model in models], {"keys": True})
        return str(self.call("POST", "/v1/batches", body, **{"Idempotency-Key": title.replace(" ", "-")})["batch"])

    def submit_phones(self, title: str, count: int) -> str:
        """A batch for the real phones."""
        body = batch(title, "ip-phone-shorter", [("digital", "baresip")] * count, {"audio": "wideband", **ICS})
        for entry in body["submissions"]:
            entry["product"] = {"maker": "baresip", "model": "baresip", "firmware": "1.0.0"}
        return str(self.call("POST", "/v1/batches", body, **{"Idempotency-Key": title.replace(" ", "-")})["batch"])

    def entries(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/v1/batches/{name}")["entries"]
        return found

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Every attempt of a batch."""
        return [run for entry in self.entries(name) for run in entry["runs"]]

    def where_the_door_of_small_stands(self) -> str:
        """The host whose Ray node carries the door of the small host; found by a batch that is then cancelled."""
        name = self.submit("where", ["One", "One", "Small"])

        def nodes() -> dict[str, str]:
            found = {run["host"]: run["ray_node"] for run in self.runs(name) if run["ray_node"]}
            return found if set(HOSTS) <= found.keys() else {}

        at = until("every run was handed over", nodes, 30)
        self.call("POST", f"/v1/batches/{name}/cancel", {"reason": "seen"})
        self.until_well()
        return next(host for host in HOSTS if host != SMALL and at[host] == at[SMALL])

    def again(self, name: str, run: str) -> set[str]:
        """The attempts of a batch but for one run."""
        return {other["run"] for other in self.runs(name)} - {run}

    def last_press_s(self, host: str, run: str) -> float:
        """When a run drove the device of a host for the last time."""
        return max(press.at_s for press in self.presses(host) if press.run == run)

    def run_at(self, name: str, host: str) -> dict[str, Any]:
        """The run of a batch whose first keys a host's device has seen; waited for."""

        def pressed() -> dict[str, Any] | None:
            seen = {press.run for press in self.presses(host) if press.key.startswith("TC-")}
            return next((run for run in self.runs(name) if run["run"] in seen and run["state"] == "running"), None)

        found: dict[str, Any] = until(f"a run of {name} drives the device of {host}", pressed, 40)
        return found

    def until_judged(self, name: str, timeout_s: float = 60) -> list[dict[str, Any]]:
        """Until every submission of a batch is judged; gives its entries."""
        until(f"{name} is over", lambda: self.call("GET", f"/v1/batches/{name}")["state"] == "completed", timeout_s)
        return self.entries(name)

    def presses(self, host: str) -> tuple[Press, ...]:
        """What the device of a host saw."""
        path = self.machines[host].work / "presses.jsonl"
        return read_presses(path.read_text().splitlines(keepends=True)) if path.exists() else ()

    def driven_twice(self) -> list[str]:
        """Whatever two runs did to one device at the same time, at any host."""
        return [wrong for host in HOSTS for wrong in driven_twice(self.presses(host))]

    def doctor(self, host: str, **settings: str) -> dict[str, str]:
        """What ``assay-agent doctor`` finds wrong at a host, by check."""
        environment = [f"{name}={value}" for name, value in {**self._agent_settings(host), **settings}.items()]
        command = [
            "env",
            f"PYTHONPATH={ROOT}",
            *environment,
            sys.executable,
            "-m",
            "agents.cli",
            "doctor",
            "-o",
            "json",
        ]
        found = json.loads(self.machines[host].inside("sh", "-c", '"$@" || [ $? -eq 1 ]', "sh", *command))
        return {finding["check"]: finding["detail"] for finding in found if not finding["ok"]}

    # Settings

    def _server_settings(self) -> dict[str, str]:
        return {
            "ASSAY_DATA": str(self.work / "data"),
            "ASSAY_HOST": self.server.address,
            "ASSAY_PORT": str(SERVER_PORT),
            "ASSAY_RAY_ADDRESS": self.head,
            "ASSAY_LEASE_TTL_S": str(LEASE_TTL_S),
            "ASSAY_HOST_SILENT_S": str(HOST_SILENT_S),
            "ASSAY_FREE_BYTES_MIN": "1000000",
            "ASSAY_TRUSTED_NETWORK": "true",
            **self._ray_access("ASSAY_RAY", "server"),
        }

    def _agent_settings(self, host: str) -> dict[str, str]:
        machine = self.machines[host]
        settings = {
            "ASSAY_AGENT_SERVER_URL": str(self.http.base_url).rstrip("/"),
            "ASSAY_AGENT_HOST": host,
            "ASSAY_AGENT_WORK_DIR": str(machine.work / "agent"),
            "ASSAY_AGENT_STOP_GRACE_S": "3",
            "ASSAY_AGENT_FREE_BYTES_MIN": "1000000",
            "ASSAY_AGENT_TRUSTED_NETWORK": "true",
        }
        if host == SMALL:
            return settings | {
                "ASSAY_AGENT_INBOX_LISTEN": f"{machine.address}:{INBOX_PORT}",
                "ASSAY_AGENT_INBOX_CERT": str(self.work / f"{host}.crt"),
                "ASSAY_AGENT_INBOX_KEY": str(self.work / f"{host}.key"),
            }
        return settings | {
            "ASSAY_AGENT_RAY_ADDRESS": self.head,
            "ASSAY_AGENT_RAY_NODE_IP": machine.address,
            "ASSAY_AGENT_RAY_DOORS_OF": json.dumps([SMALL]),
            **self._ray_access("ASSAY_AGENT_RAY", host),
        }

    def _ray_access(self, prefix: str, name: str) -> dict[str, str]:
        return {
            f"{prefix}_TOKEN_FILE": str(self.token),
            f"{prefix}_TLS_CERT": str(self.work / f"{name}.crt"),
            f"{prefix}_TLS_KEY": str(self.work / f"{name}.key"),
            f"{prefix}_TLS_CA": str(self.work / "ca.crt"),
        }

    def _make_certificates(self) -> None:
        """The lab's own CA, and a certificate of it for each machine: as docs/how-to/lab.md has it."""
        work = str(self.work)
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run(*new, "-x509", "-days", "30", "-subj", "/CN=lab", "-keyout", f"{work}/ca.key", "-out", f"{work}/ca.crt")
        for name, machine in self.machines.items():
            own = f"{work}/{name}"
            run(*new, "-subj", f"/CN={name}", "-keyout", f"{own}.key", "-out", f"{own}.csr")
            Path(f"{own}.ext").write_text(f"subjectAltName=IP:{machine.address},IP:127.0.0.1\n")
            sign = ["openssl", "x509", "-req", "-in", f"{own}.csr", "-CA", f"{work}/ca.crt", "-CAkey", f"{work}/ca.key"]
            run(*sign, "-CAcreateserial", "-days", "30", "-extfile", f"{own}.ext", "-out", f"{own}.crt")

    def _lab_file(self) -> dict[str, Any]:
        hosts = []
        for host in HOSTS:
            slots = [_slot(f"keys-{host}", 0), *([_slot(f"phone-{host}", 1)] if host != SMALL else [])]
            hosts.append(
                {"name": host, "benches": [{"name": f"bench-{host}", "instruments": [_ENDPOINT], "slots": slots}]}
            )
        return {"lab": "cluster", "site": "a test", "hosts": hosts}

    def _phone(self, machine: Machine) -> list[str]:
        bench = {"name": "b", "instruments": [_ENDPOINT], "slots": [_slot("phone", 1)]}
        lab = {"lab": "cluster", "site": "a test", "hosts": [{"name": "h", "benches": [bench]}]}
        (machine.work / "phones.yaml").write_text(yaml.safe_dump(lab))
        if not (machine.work / "phones").exists():
            shutil.copytree(PHONE, machine.work / "phones/phone-1")
            # One that registers again every few seconds, so that nobody waits for it after an outage.
            accounts = machine.work / "phones/phone-1/accounts"
            accounts.write_text(accounts.read_text().replace("regint=60", "regint=4"))
        arguments = ["--lab", str(machine.work / "phones.yaml"), "--phones", str(machine.work / "phones")]
        return [*arguments, "--work", str(machine.work / "phone")]


_ENDPOINT = {
    "name": "sip-endpoint",
    "kind": "sip-rtp",
    "calibration": {"method": "checks itself in a loop before each run"},
    "uncertainty": {"ms": 0.5, "%": 0.1, "ratio": 0.001},
}


def _slot(name: str, number: int) -> dict[str, Any]:
    return {
        "name": name,
        "category": "ip-phone",
        "registrar": f"127.0.0.1:{15060 + number}",
        "account": {"user": f"100{number}", "password": "bench"},
        "control": f"127.0.0.1:{14444 + number}",
        "unit": {"hardware_revision": "A", "mode": "wideband"},
    }
