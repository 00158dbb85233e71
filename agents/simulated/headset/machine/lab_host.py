"""A lab host that is a virtual machine with virtual headsets at its USB ports: what stands in for a bench computer.

It runs an agent and no Ray node; the orchestrator and the agent's inbox are reached over QEMU's user network, which
never leaves this machine's loopback.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agents.simulated.headset.machine.lab_machine import HOST_SEEN_FROM_INSIDE, LabMachine, MachineFailed, built_image
from agents.simulated.headset.program import VirtualHeadset
from agents.simulated.parent import die_with_parent
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError

GUEST = "agents.simulated.headset.machine.guest.lab_host"
GUEST_INBOX = "10.0.2.15:8471"
"""The machine's address in QEMU's user network; ``init`` in build.sh sets it."""

WORK = "/var/lib/assay-agent"
INBOX_CERT, INBOX_KEY = "/etc/assay/inbox.crt", "/etc/assay/inbox.key"
FREE_BYTES_MIN = 20_000_000
"""The machine's files are in its memory: the agent's own default would take no run there."""
LAB_HOST_MIB = 512
ANY_PORT = ("127.0.0.1", 0)


@dataclass(frozen=True, kw_only=True)
class LabHost:
    """Which host it is: ``server_port`` and ``inbox_port`` are ports of this machine's loopback."""

    name: str
    server_port: int
    inbox_port: int
    join_token: str

    def environment(self) -> dict[str, str]:
        """The settings of its agent."""
        return {
            "ASSAY_AGENT_SERVER_URL": f"http://{HOST_SEEN_FROM_INSIDE}:{self.server_port}",
            "ASSAY_AGENT_TRUSTED_NETWORK": "true",
            "ASSAY_AGENT_HOST": self.name,
            "ASSAY_AGENT_WORK_DIR": WORK,
            "ASSAY_AGENT_JOIN_TOKEN": self.join_token,
            "ASSAY_AGENT_INBOX_LISTEN": GUEST_INBOX,
            "ASSAY_AGENT_INBOX_ADDRESS": f"127.0.0.1:{self.inbox_port}",
            "ASSAY_AGENT_INBOX_CERT": INBOX_CERT,
            "ASSAY_AGENT_INBOX_KEY": INBOX_KEY,
            "ASSAY_AGENT_FREE_BYTES_MIN": str(FREE_BYTES_MIN),
            "ASSAY_AGENT_KEEP_DELIVERED_RUNS": "2",
        }

    def machine(self, image: Path, console: Path) -> LabMachine:
        """The machine, not started yet."""
        guest_port = int(GUEST_INBOX.rpartition(":")[2])
        return LabMachine(image, console, forwards={self.inbox_port: guest_port}, memory_mib=LAB_HOST_MIB)

    def program(self, usbip_ports: Sequence[int]) -> tuple[str, ...]:
        """What runs in the machine, with a headset offered to each of its USB ports."""
        order = {"environment": self.environment(), "files": _inbox_files(self.name), "ports": list(usbip_ports)}
        return "python3", "-u", "-m", GUEST, json.dumps(order)


def _inbox_files(name: str) -> Mapping[str, str]:
    """A certificate of its own with its key, for the inbox: the door is told its pin."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {INBOX_CERT: certificate.public_bytes(serialization.Encoding.PEM).decode(), INBOX_KEY: private.decode()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A lab host with USB headsets, as a virtual machine.")
    parser.add_argument("--image", type=Path, default=Path("var/lab-vm"), help="where the machine is built")
    parser.add_argument("--work", type=Path, required=True, help="a folder for consoles and sockets")
    parser.add_argument("--host", required=True, help="its name in the lab file")
    parser.add_argument("--server-port", type=int, required=True)
    parser.add_argument("--inbox-port", type=int, required=True)
    parser.add_argument("--bench-port", type=int, action="append", default=[], help="a headset; may be given again")
    return parser.parse_args()


async def _serve(options: argparse.Namespace, token: str) -> int:
    """Until the machine's agent ends, or this program is told to; the agent's status."""
    headsets = [VirtualHeadset(f"VH{number:04d}") for number, _ in enumerate(options.bench_port, 1)]
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        ports = []
        for number, (headset, bench_port) in enumerate(zip(headsets, options.bench_port, strict=True), 1):
            control = options.work / f"headset-{number}.sock"
            control.unlink(missing_ok=True)
            ports.append((await headset.open(ANY_PORT, ("127.0.0.1", bench_port), control)).usbip[1])
        host = LabHost(
            name=options.host, server_port=options.server_port, inbox_port=options.inbox_port, join_token=token
        )
        image = await built_image(options.image)
        async with host.machine(image, options.work / "console") as machine:
            _say(json.dumps({"machine": options.host, "boot_s": round(machine.boot_s, 1)}))
            status, _ = await machine.run(*host.program(ports), on_line=_say, timeout_s=None)
            return status
    finally:
        for headset in headsets:
            await headset.close()


async def _until_told(options: argparse.Namespace, token: str) -> int:
    serving = asyncio.create_task(_serve(options, token))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        return await serving
    except asyncio.CancelledError:
        return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """The join token stands on standard input, where no list of processes shows it."""
    die_with_parent()
    options, token = _options(), sys.stdin.readline().strip()
    try:
        return asyncio.run(_until_told(options, token))
    except (MachineFailed, AssayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
