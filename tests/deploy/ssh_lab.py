"""A lab of hosts for the tests of the rollout, each a real sshd in a network, process and mount namespace of its own.

A host has its own address on a bridge, its own host key, its own /etc, /opt, /run and /var/lib, and a real SIP phone in
its slot. What differs from a machine of its own: kernel and the rest of the file system are shared, and PID 1 is sshd.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab_inventory.clock import SystemClock
from lab_inventory.trust import trust
from orchestrator.lab_ca import make
from tests.first_person import let_in
from tests.new_driver_page import write_example

ROOT = Path(__file__).parents[2]
PHONE = ROOT / "deploy" / "demo" / "phones" / "phone-1"
PORT = 2222
SERVER_PORT = 8470
NEEDED = ("sshd", "ip", "unshare", "nsenter", "baresip", "ssh-keygen", "setpriv", "sudo", "ps", "pkill")
NAMESPACES = ("--net", "--mount", "--pid")
OWN = ("etc", "opt", "run", "var/lib", "var/tmp")
_clock = SystemClock()
_pause = threading.Event()


def why_not() -> str:
    """Why such a lab cannot be on this machine, or nothing."""
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return (
        f"needs {', '.join(missing)}: apt-get install openssh-server iproute2 util-linux sudo procps baresip-core"
        if missing
        else ""
    )


def until(what: str, holds: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Look until something holds and give it: no event tells what goes on at a host."""
    deadline_s = _clock.boottime_s() + timeout_s
    while True:
        try:
            found = holds()
        except httpx.TransportError:
            found = None
        if found:
            return found
        assert _clock.boottime_s() < deadline_s, f"after {timeout_s:g} s it is not so that {what}"
        _pause.wait(0.05)


def run(*command: str, **options: Any) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert ended.returncode == 0, f"{command}: {ended.stderr or ended.stdout}"
    return ended.stdout


def base_python() -> str:
    """The interpreter below the virtual environment of the tests: what a host has as its Python."""
    return str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]


def make_wheel(work: Path, version: str, *, change: Callable[[Path], None] | None = None) -> Path:
    """A wheel of this source tree under another version, perhaps changed."""
    tree = work / f"tree-{version}"
    for name in ("lab_inventory", "orchestrator", "agents", "deploy"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, tree / name)
    text = (ROOT / "pyproject.toml").read_text().replace('version = "0.1.0"', f'version = "{version}"', 1)
    (tree / "pyproject.toml").write_text(text)
    if change is not None:
        change(tree)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "wheels"), cwd=tree)
    return next((work / "wheels").glob(f"assay_lab-{version}-*.whl"))


def make_driver_wheel(work: Path) -> Path:
    """A wheel of the driver that docs/how-to/new-driver.md shows."""
    folder = work / "acme-driver"
    folder.mkdir()
    write_example(folder)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "wheels"), cwd=folder)
    return next((work / "wheels").glob("assay_driver_acme-*.whl"))


@dataclass
class Applied:
    """How an assay-deploy command ended."""

    status: int
    rows: list[dict[str, Any]]
    out: str
    err: str

    def results(self) -> dict[str, str]:
        return {row["host"]: row["result"] for row in self.rows}

    def steps(self) -> dict[str, list[str]]:
        return {row["host"]: row["steps"] for row in self.rows}


class SshHost:
    """One host: started, killed by process id."""

    def __init__(self, lab: "SshLab", number: int) -> None:
        self.name = f"host-{number}"
        self.address = f"{lab.network}.{10 + number}"
        self.dir = lab.work / self.name
        self._lab = lab
        self.number = number
        self._process: subprocess.Popen[bytes] | None = None
        self._phone: subprocess.Popen[bytes] | None = None
        self._prepare()

    def _prepare(self) -> None:
        for own in OWN:
            (self.dir / own).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.dir / "etc")
        # Sockets and broken links in /etc are of no use to a host.
        run("cp", "-a", "/etc", str(self.dir / "etc"))
        (self.dir / "run/sshd").mkdir()
        (self.dir / "etc/udev/rules.d").mkdir(parents=True, exist_ok=True)
        self.new_key()
        shutil.copy(self._lab.work / "key.pub", self.dir / "etc/ssh/lab_authorized_keys")
        (self.dir / "etc/ssh/sshd_lab_config").write_text(
            f"Port {PORT}\nListenAddress {self.address}\nHostKey /etc/ssh/lab_host_key\nPidFile none\nUsePAM no\n"
            "AuthorizedKeysFile /etc/ssh/lab_authorized_keys\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\nMaxStartups 50\n"
        )

    def new_key(self) -> None:
        """Another host key, as after a machine was set up again."""
        key = self.dir / "etc/ssh/lab_host_key"
        key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key), input="y\n")

    @property
    def known(self) -> str:
        """Its line of a known-hosts file."""
        kind, key, *_ = (self.dir / "etc/ssh/lab_host_key.pub").read_text().split()
        return f"[{self.address}]:{PORT} {kind} {key}\n"

    @property
    def _link(self) -> str:
        """Its end on the bridge."""
        return f"{self._lab.bridge}-{self.number}"

    def start(self) -> None:
        """Start its sshd and wait until that listens."""
        link, inner = self._link, f"p{self._link}"
        with (self.dir / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(self._script(inner)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        pid = self._process.pid
        ours = Path("/proc/self/ns/net").readlink()
        until(f"{self.name} has a network of its own", lambda: Path(f"/proc/{pid}/ns/net").readlink() != ours)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", inner, "netns", str(pid))
        run("ip", "link", "set", link, "master", self._lab.bridge, "up")
        until(f"the sshd of {self.name} listens", self._listens)

    def command(self, script: str) -> list[str]:
        """What makes the namespaces and runs a script in them as PID 1."""
        return ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-ec", script]

    def first_process(self) -> list[str]:
        """Shell lines that become PID 1."""
        return [f"exec {shutil.which('sshd')} -D -e -f /etc/ssh/sshd_lab_config"]

    def _script(self, inner: str) -> str:
        lines = [f"mount --bind {self.dir / own} /{own}" for own in OWN]
        lines += self._lab.python_mounts()
        lines += [
            f"until ip link show {inner} >/dev/null 2>&1; do sleep 0.02; done",
            "ip link set lo up",
            f"ip addr add {self.address}/24 dev {inner}",
            f"ip link set {inner} up",
            *self.first_process(),
        ]
        return "\n".join(lines)

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self.address, PORT), timeout=1):
                return True
        except OSError:
            assert self._process is not None
            assert self._process.poll() is None, (self.dir / "sshd.log").read_text()[-2000:]
            return False

    def inside(self, *command: str) -> str:
        """Run a command on the host, past sshd."""
        return run(*self._enter(), *command)

    def _enter(self) -> list[str]:
        assert self._process is not None
        (child,) = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return ["nsenter", "-t", child, "-n", "-m", "-p", "--wd=/"]

    def start_phone(self) -> None:
        """A real phone in its slot, where none is yet."""
        if self._phone is not None:
            return
        arguments = ["--lab", str(self.dir / "phones.yaml"), "--phones", str(self._lab.work / "phones")]
        arguments += ["--work", str(self.dir / "phone")]
        with (self.dir / "phone.log").open("ab") as log:
            self._phone = subprocess.Popen(
                [*self._enter()[:4], sys.executable, "-m", "agents.simulated.bench_phones", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
            )  # fmt: skip

    def tree(self) -> dict[str, str]:
        """Every file below the directories that a rollout may touch, with its kind, size and time."""
        found = {}
        for top in ("opt", "var/lib", "etc"):
            for path in sorted((self.dir / top).rglob("*")):
                stat = path.lstat()
                found[str(path)] = f"{stat.st_mode} {stat.st_size} {stat.st_mtime_ns}"
        return found

    def agent_pid(self) -> int | None:
        """The process id of its agent as the host counts, or None."""
        try:
            return int((self.dir / "opt/assay-agent/agent.pid").read_text())
        except FileNotFoundError:
            return None

    def link(self, name: str) -> str | None:
        """The release that a link names."""
        path = self.dir / "opt/assay-agent" / name
        return path.readlink().name if path.is_symlink() else None

    def stop(self) -> None:
        """End everything that runs there."""
        for process in (self._phone, self._process):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM if process is self._phone else signal.SIGKILL)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._phone = self._process = None
        # The kernel takes a dead network namespace apart when it has time; the next host may need the name before.
        subprocess.run(["ip", "link", "del", self._link], check=False, capture_output=True)


class SshLab:
    """Hosts on a bridge, and a server that they reach."""

    def __init__(self, work: Path, hosts: int, network: str = "10.213.77", kind: type[SshHost] = SshHost,
        *, tls: bool = False,
    ) -> None:  # fmt: skip
        self.work = work
        self.tls = make(work / "tls", [f"{network}.1"], SystemClock().now()) if tls else None
        self.network = network
        self.bridge = f"as{os.getpid() % 100000}"
        self.server_url = f"http{'s' if tls else ''}://{network}.1:{SERVER_PORT}"
        self._server: subprocess.Popen[bytes] | None = None
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / "key"))
        self._make_phones()
        self.hosts = [kind(self, number) for number in range(1, hosts + 1)]
        self.http = httpx.Client(
            base_url=self.server_url, timeout=30, verify=trust(self.tls.ca if self.tls else None), trust_env=False
        )
        self.lab = {"lab": "test", "site": "a test", "hosts": [_host(host.name) for host in self.hosts]}
        self._write()

    def _make_phones(self) -> None:
        """The demonstration's phone, but one that registers again every few seconds."""
        shutil.copytree(PHONE, self.work / "phones/phone-1")
        accounts = self.work / "phones/phone-1/accounts"
        accounts.write_text(accounts.read_text().replace("regint=60", "regint=4"))

    def _write(self) -> None:
        (self.work / "lab.yaml").write_text(yaml.safe_dump(self.lab))
        for host, content in zip(self.hosts, self.lab["hosts"], strict=True):
            (host.dir / "phones.yaml").write_text(yaml.safe_dump({**self.lab, "hosts": [content]}))
        self.pin()
        self.write_rollout()

    def pin(self) -> None:
        """Pin the keys that the hosts have now."""
        (self.work / "known_hosts").write_text("".join(host.known for host in self.hosts))

    def write_rollout(self, build: str = "none", agent: Mapping[str, Any] = {}, **limits: Any) -> None:
        """The rollout file."""
        self.rollout = {
            "server": self.server_url,
            "build": build,
            "ssh": {"port": PORT, "key_file": "key", "known_hosts": "known_hosts"},
            "agent": {
                "python": "/opt/python/bin/python3",
                "supervisor": "process",
                "trusted_network": self.tls is None,
                **agent,
            },
            **({"ca": "tls/lab-ca.pem"} if self.tls else {}),
            "limits": {"parallel": 5, "out_of_service": 5, "verify_s": 60, "free_bytes_min": 100_000_000, **limits},
            "hosts": [{"name": host.name, "address": host.address} for host in self.hosts],
        }
        (self.work / "rollout.yaml").write_text(yaml.safe_dump(self.rollout))

    def python_mounts(self) -> list[str]:
        """Shell lines that give a host a Python in /opt/python with what Assay depends on, for every user there."""
        base, site = Path(sys.base_prefix), sysconfig.get_paths()["purelib"]
        at = "/opt/python"
        lines = [
            f"mkdir -p {at} /run/site /run/base",
            f"mount --bind {base} /run/base",
            f"mount --bind {site} /run/site",
            f"mount --bind {base} {at}",
        ]
        closed = next((p for p in reversed(base.parents) if not p.stat().st_mode & 0o001), None)
        if closed is not None:
            # The library stands by its path in the interpreter, and the agent's user may not go there.
            lines += [
                f"mount -t tmpfs -o mode=0755 tmpfs {closed}",
                f"mkdir -p {base}",
                f"mount --bind /run/base {base}",
            ]
        find = "import site; print(site.getsitepackages()[0])"
        return [*lines, f"mount --bind /run/site $({at}/bin/python3 -c '{find}')"]

    def start(self) -> None:
        """The bridge, the server with its lab file, the hosts, and no phones yet."""
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.network}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        self.start_server()
        self.call("PUT", "/v1/lab", self.lab)
        for host in self.hosts:
            host.start()

    def start_server(self) -> None:
        command = [str(Path(__file__).with_name("rollout_server.py")), str(self.work)]
        certificate = [str(self.tls.certificate), str(self.tls.key)] if self.tls else []
        with (self.work / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, *command, f"{self.network}.1", str(SERVER_PORT), *certificate],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        until("the server answers", lambda: self.http.get("/healthz").is_success)
        self.token = let_in(self.work / "data")
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        answer = self.http.request(method, path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def seen(self) -> dict[str, dict[str, Any]]:
        """The hosts as the orchestrator lists them."""
        return {row["host"]: row for row in self.call("GET", "/v1/hosts")}

    def until_phones_are_there(self) -> None:
        until(
            "every host has its phone",
            lambda: all(row["devices_present"] == 1 for row in self.seen().values()),
            90,
        )

    def command(self, verb: str, *options: str) -> subprocess.Popen[str]:
        """Start assay-deploy as a person does."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ASSAY_")}
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", verb, str(self.work / "lab.yaml"), "-o", "json", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**environment, "ASSAY_TOKEN": self.token, "COLUMNS": "200"},
        )  # fmt: skip

    def deploy(self, verb: str, *options: str) -> Applied:
        """Run assay-deploy to its end."""
        process = self.command(verb, *options)
        out, err = process.communicate(timeout=400)
        rows = json.loads(out) if out.startswith("[") else []
        return Applied(process.returncode, rows, out, err)

    def deploy_cut_at(self, step: str, *options: str) -> Sequence[str]:
        """Run apply and kill -9 it as soon as it says that a step begins; gives what it had said."""
        process = self.command("apply", *options)
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            event = json.loads(line)
            if event["slug"] == "step-begins" and event["words"] == step:
                break
        process.kill()
        process.communicate()
        return said

    def stop(self) -> None:
        for host in self.hosts:
            host.stop()
        if self._server is not None:
            self._server.terminate()
            self._server.wait(20)
        self.http.close()
        subprocess.run(["ip", "link", "del", self.bridge], check=False, capture_output=True)


def _host(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "benches": [
            {
                "name": f"bench-of-{name}",
                "instruments": [
                    {
                        "name": "sip-endpoint",
                        "kind": "sip-rtp",
                        "calibration": {"method": "checks itself in a loop before each run"},
                        "uncertainty": {"ms": 0.5, "%": 0.1, "ratio": 0.001},
                    }
                ],
                "slots": [
                    {
                        "name": f"slot-of-{name}",
                        "category": "ip-phone",
                        "registrar": "127.0.0.1:5171",
                        "account": {"user": "1001", "password": "bench-one"},
                        "control": "127.0.0.1:5181",
                        "unit": {"hardware_revision": "A", "mode": "wideband"},
                    }
                ],
            }
        ],
    }
