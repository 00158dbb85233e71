"""``make run``: server, agent and three phones are started; a batch is queued, run, judged; the outcome is shown.
With ``HEADSET=1`` it is one phone, and a headset at a second lab host, which is a virtual machine.

Status 0: the job ended as its golden profile says; 1: it did not; 2: it could not run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console

from deploy.demo.outcome import Expected, Phone, differences, not_measured, phone_of, read_expected, table
from deploy.demo.processes import Processes
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError, Unavailable
from lab_inventory.lab import Host, Lab, read_lab

HERE = Path(__file__).parent
PORT = 8470
WITH_HEADSET = HERE / "headset"
INBOX_PORT = 8471
START_TIMEOUT_S = 60.0
MACHINE_TIMEOUT_S = 240.0
JOB_TIMEOUT_S = 600.0
JOB_WITH_MACHINE_TIMEOUT_S = 1500.0
LOOK_S = 0.5
STOP_RUNS_TIMEOUT_S = 30.0
ENDED = {
    0: "the job ended as expected",
    1: "the job did not end as expected",
    2: "this machine was too busy to measure all that the job is about",
}


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


class Demo:
    """One run of the main job, as the files in ``told`` say: lab, batch and golden profile."""

    def __init__(self, work: Path, port: int, phones: Path, console: Console, told: Path = HERE) -> None:
        self._told = told
        self._work = work
        self._phones = phones
        self._console = console
        self._address = f"http://127.0.0.1:{port}"
        self._port = port
        self._clock = SystemClock()
        self._began_s = self._clock.boottime_s()
        self._processes = Processes(work / "logs")
        self._http = httpx.Client(base_url=self._address, timeout=30)
        self._pause = threading.Event()
        self._batch = ""
        self._code = ""

    def say(self, text: str) -> None:
        """A line of progress with the seconds since the start."""
        self._console.print(
            f"[{self._clock.boottime_s() - self._began_s:6.1f} s] {text}", highlight=False, markup=False
        )

    def job(self) -> list[Phone]:
        """From nothing to verdicts."""
        lab = read_lab(self._told / "lab.yaml")
        self._start_server(lab)
        self._start_agent(lab)
        for host in lab.hosts[1:]:
            self._start_machine(host)
        with self._characterising(lab):
            self._start_phones(lab)
            self._find(lab)
        self._submit()
        return self._follow()

    def _start_server(self, lab: Lab) -> None:
        self.say("starting the server, and Ray on this machine")
        data = self._work / "lab"
        host = lab.hosts[0].name
        command = [
            "orchestrator.cli",
            "serve",
            "--data",
            str(data),
            "--port",
            str(self._port),
            "--ray-local-host",
            host,
        ]
        command += [option for other in lab.hosts[1:] for option in ("--ray-doors-of", other.name)]
        self._let_in(data)
        self._processes.start("server", command)
        self._until("the server answers", lambda: self._http.get("/healthz").is_success)
        token = (data / "operator-token").read_text(encoding="utf-8").strip()
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._call("PUT", "/v1/lab", json.loads(lab.model_dump_json()))

    def _let_in(self, data: Path) -> None:
        """Somebody to operate the demonstration, as ``assay people first`` lets the first person in."""
        token = data / "operator-token"
        token.unlink(missing_ok=True)
        command = [sys.executable, "-m", "orchestrator.cli", "people", "first", "demo", "--data", str(data)]
        command += ["--recover"] if (data / "assay.sqlite").exists() else []
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            raise Unavailable(f"nobody could be let in: {said.stderr.strip()}")
        self._code = said.stdout.split()[-1]

    def _start_agent(self, lab: Lab) -> None:
        host = lab.hosts[0].name
        environment = self._agent_environment(host)
        environment["ASSAY_AGENT_JOIN_TOKEN"] = self._call("POST", f"/v1/hosts/{host}/join-token")["token"]
        self.say(f"starting the agent of {host}")
        self._processes.start("agent", ["agents.cli", "serve"], environment)

    def _agent_environment(self, host: str) -> dict[str, str]:
        return {
            "ASSAY_AGENT_SERVER_URL": self._address,
            "ASSAY_AGENT_HOST": host,
            "ASSAY_AGENT_WORK_DIR": str(self._work / "agent"),
        }

    @contextmanager
    def _characterising(self, lab: Lab) -> Iterator[None]:
        """The bench measures itself without a device while the phones come up; ended when this is left."""
        host = lab.hosts[0].name
        self.say("the bench measures itself without a device, 30 times")
        command = [sys.executable, "-m", "agents.cli", "bench", "characterise", "--lab", str(self._told / "lab.yaml")]
        environment = os.environ | self._agent_environment(host)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as bench:
            try:
                yield
                said = bench.communicate(timeout=START_TIMEOUT_S)[0].decode(errors="replace").strip()
            except subprocess.TimeoutExpired as error:
                raise Unavailable(f"after {START_TIMEOUT_S:g} s the bench still measures itself") from error
            finally:
                if bench.poll() is None:
                    bench.kill()
        if bench.returncode != 0:
            raise Unavailable(f"the bench could not measure itself: {said}")
        self.say(f"the bench has a record of its uncertainty: {self._address}/benches/{lab.hosts[0].benches[0].name}")

    def _start_machine(self, host: Host) -> None:
        """A lab host that is a virtual machine, with an agent and no Ray node; its headsets are plugged in."""
        token = self._call("POST", f"/v1/hosts/{host.name}/join-token")["token"]
        command = ["agents.simulated.headset.machine.lab_host", "--work", str(self._work / host.name)]
        command += ["--image", str(self._work / "lab-vm"), "--host", host.name]
        command += ["--server-port", str(self._port), "--inbox-port", str(INBOX_PORT)]
        for _, slot in host.slots():
            command += ["--bench-port", (slot.control or "").rpartition(":")[2]]
        self.say(f"starting {host.name}, a virtual machine with a virtual USB headset, its agent without a Ray node")
        self._processes.start(host.name, command, told=token)

    def _start_phones(self, lab: Lab) -> None:
        count = sum(slot.registrar is not None for host in lab.hosts for _, slot in host.slots())
        behind = ", one behind a proxy that makes it defective" if count > 1 else ""
        self.say(f"starting {count} phone{'s' if count > 1 else ''} (baresip){behind}")
        phones = ["agents.simulated.bench_phones", "--lab", str(self._told / "lab.yaml")]
        phones += ["--phones", str(self._phones), "--work", str(self._work / "phones")]
        self._processes.start("phones", phones)

    def _find(self, lab: Lab) -> None:
        slots = {slot.name for host in lab.hosts for _, slot in host.slots()}
        known: set[str] = set()

        def found() -> bool:
            for device in self._call("GET", "/v1/devices"):
                if device["state"] == "idle" and device["slot"] not in known:
                    known.add(device["slot"])
                    self.say(
                        f"found in {device['slot']}: {device['maker']} {device['model']} {device['firmware']}, "
                        f"{device['mode']}, known by its {device['identity_kind']}"
                    )
            return known >= slots

        timeout_s = START_TIMEOUT_S if len(lab.hosts) == 1 else MACHINE_TIMEOUT_S
        self._until("all devices are registered", found, timeout_s)
        self._until("the Ray worker is ready", lambda: not self._http.get("/readyz").json()["degraded"])

    def _submit(self) -> None:
        batch = yaml.safe_load((self._told / "batch.yaml").read_text(encoding="utf-8"))
        key = self._clock.new_id("demo")
        reply = self._call("POST", "/v1/batches", batch, {"Idempotency-Key": key})
        self._batch = reply["batch"]
        self.say(
            f"queued {self._batch} with {len(reply['submissions'])} submissions: {self._address}/batches/{self._batch}"
        )

    def _follow(self) -> list[Phone]:
        """Say what goes on until the batch has ended."""
        said: dict[str, tuple[str, int]] = {}

        def ended() -> bool:
            found = self._call("GET", f"/v1/batches/{self._batch}")
            for entry in found["entries"]:
                for run in entry["runs"]:
                    now = (run["state"], run["cases_ended"])
                    if said.get(run["run"]) != now:
                        self._say_run(entry, run, said.get(run["run"]))
                        said[run["run"]] = now
            return found["state"] in ("completed", "cancelled")

        with_machine = self._told != HERE
        self._until("the batch has ended", ended, JOB_WITH_MACHINE_TIMEOUT_S if with_machine else JOB_TIMEOUT_S)
        found = self._call("GET", f"/v1/batches/{self._batch}")
        without_ray = [run["run"] for entry in found["entries"] for run in entry["runs"] if not run["ray_actor"]]
        if without_ray:
            raise Unavailable(f"no Ray actor stands in the record of {', '.join(without_ray)}")
        return [
            phone_of(entry, self._call("GET", f"/v1/submissions/{entry['submission']}")) for entry in found["entries"]
        ]

    def _say_run(self, entry: Mapping[str, Any], run: Mapping[str, Any], before: tuple[str, int] | None) -> None:
        attempt = f", attempt {run['attempt']}" if run["attempt"] > 1 else ""
        if before is None or before[0] != run["state"]:
            where = f" at {run['slot']}, Ray actor {run['ray_actor'][:12]}" if run["state"] == "taken" else ""
            why = f": {run['reason']}" if run["reason"] else ""
            self.say(f"{entry['title']}{attempt}: {run['state']}{where}{why}")
        elif run["cases_ended"] % 4 == 0:
            self.say(f"{entry['title']}{attempt}: {run['cases_ended']} cases and repeats done")

    def certificates(self, phones: list[Phone]) -> dict[str, Path]:
        """Write the certificates beside the work, and the issuer's public key to verify them with."""
        for old in self._work.glob("certificate-*.json"):
            old.unlink()
        shutil.copyfile(self._work / "lab" / "issuer.json", self.issuer)
        files: dict[str, Path] = {}
        for phone in phones:
            if phone.certificate:
                answer = self._http.get(f"/v1/certificates/{phone.certificate}")
                path = self._work / f"certificate-{phone.title.split(',')[0]}.json"
                path.write_bytes(answer.content)
                files[phone.certificate] = path
        return files

    @property
    def issuer(self) -> Path:
        """The public key that certificates are verified with."""
        return self._work / "issuer.json"

    def page(self) -> str:
        """The address of the page that shows the same, with a code that is good once for signing in."""
        return f"{self._address}/sign-in?code={self._code}&next=/batches/{self._batch}"

    def wait(self) -> None:
        """Serve until Ctrl-C; raises Unavailable where a process ends by itself."""
        while True:
            self._pause.wait(LOOK_S)
            self._processes.require_alive()

    def stop(self) -> None:
        """Stop the runs that are still going on, then every process."""
        with suppress(AssayError, httpx.HTTPError, KeyError):
            self._stop_runs()
        self._processes.stop()
        self._http.close()

    def _stop_runs(self) -> None:
        if not self._batch or "Authorization" not in self._http.headers:
            return
        path = f"/v1/batches/{self._batch}"
        if self._call("GET", path)["state"] in ("completed", "cancelled"):
            return
        self._call("POST", f"{path}/cancel", {"reason": "the demonstration was stopped"})
        self._until(
            "the runs have stopped",
            lambda: (
                not any(
                    run["state"] in ("placed", "taken", "running", "stopping")
                    for entry in self._call("GET", path)["entries"]
                    for run in entry["runs"]
                )
            ),
            STOP_RUNS_TIMEOUT_S,
        )

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        answer = self._http.request(method, path, json=body, headers=headers)
        if answer.is_error:
            raise Unavailable(f"{method} {path} was answered {answer.status_code}: {answer.text[:400]}")
        return answer.json() if answer.content else None

    def _until(self, what: str, holds: Any, timeout_s: float = START_TIMEOUT_S) -> None:
        """Look until something holds; raises Unavailable where it does not in time, or a process ended."""
        until_s = self._clock.boottime_s() + timeout_s
        while True:
            with suppress(httpx.TransportError):
                if holds():
                    return
            self._processes.require_alive()
            if self._clock.boottime_s() > until_s:
                raise Unavailable(f"after {timeout_s:g} s it is still not so that {what}; see {self._work / 'logs'}")
            self._pause.wait(LOOK_S)


def main() -> int:
    """Run the job, show it, serve."""
    parser = argparse.ArgumentParser(description="The main job on one machine.")
    parser.add_argument("--once", action="store_true", help="stop after the job")
    parser.add_argument("--work", type=Path, default=Path("var"))
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--headset", action="store_true", help="a phone, and a headset at a virtual machine")
    parser.add_argument("--phones", type=Path, default=HERE / "phones", help="the phones' configuration directories")
    options = parser.parse_args()
    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else 150)
    options.work.mkdir(parents=True, exist_ok=True)
    told = WITH_HEADSET if options.headset else HERE
    demo = Demo(options.work, options.port, options.phones, console, told)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    status = 2
    try:
        status = _run(demo, console, read_expected(told / "expected.yaml"), once=options.once)
    except Stopped:
        console.print("stopping ...")
    except (AssayError, httpx.HTTPError, OSError) as error:
        console.print(f"could not run: {error}", highlight=False, markup=False)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        demo.stop()
    return status


def _run(demo: Demo, console: Console, expected: Expected, *, once: bool) -> int:
    phones = demo.job()
    files = demo.certificates(phones)
    console.print(table(phones, files))
    wrong = differences(phones, expected)
    for line in wrong:
        console.print(f"NOT AS EXPECTED: {line}", highlight=False, markup=False)
    status = 0 if not wrong else 2 if not_measured(phones, expected) else 1
    demo.say(ENDED[status])
    if files:
        console.print(f"verify one:  .venv/bin/assay verify {next(iter(files.values()))} --issuer {demo.issuer}")
    if once:
        return status
    console.print(f"the page:    {demo.page()}   (Ctrl-C stops everything)", soft_wrap=True)
    with suppress(Stopped):
        demo.wait()
    return status


def _stop(number: int, frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
