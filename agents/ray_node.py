"""The Ray node of a lab host, where there is a cluster to join: ``ray start --block``, kept running.

It carries the host's door (``agents.worker``) and nothing else: no run is its child, so that it may come and go. With
an embedded Ray there is nothing to start here. Imports nothing of Ray: it is another program.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from agents.durable import write_whole
from agents.logs import Log
from agents.processes import ProcessMark, mark_of
from agents.run_directory import remove_folder
from agents.settings import AgentSettings
from agents.words import describe
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.noun import host_and_port
from lab_inventory.ray_access import DOOR_STANDS, HOST_LABEL, NODE_PORTS, SCORING, RayAccess, door_label, what_ray_means
from lab_inventory.reading import parse_message

OBJECT_STORE_BYTES = 80 * 1024 * 1024
STOP_TIMEOUT_S = 15.0
REACH_S = 5.0
ASK_RAY_S = 60.0
LOG_LOOK_CHARS = 20_000
LEFT_OVER = "ray-node.json"


def ray_command(settings: AgentSettings, address: str) -> list[str]:
    """How to join the cluster at ``address`` as this host. The door needs no processor of its own."""
    labels = [f"{HOST_LABEL}={settings.host}"]
    labels += [f"{door_label(host)}={DOOR_STANDS}" for host in (settings.host, *settings.ray_doors_of)]
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--block",
        f"--address={address}",
        f"--labels={','.join(labels)}",
        "--num-cpus=1",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={settings.ray_temp_dir}",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        *NODE_PORTS,
    ]
    if settings.ray_scoring:
        command.append(f"--resources={json.dumps({SCORING: settings.ray_scoring})}")
    if settings.ray_node_ip is not None:
        command.append(f"--node-ip-address={settings.ray_node_ip}")
    return command


def ray_environment(access: RayAccess, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the Ray node. Ray's memory monitor would judge the whole host and kill the door for what a
    suite uses.
    """
    return {"RAY_memory_monitor_refresh_ms": "0", **access.environment(environment)}


async def why_not_joined(settings: AgentSettings, address: str) -> str:
    """Why this host could not join the cluster at ``address`` now, for people; empty where it could.

    Within a second, but where Ray waits for an answer (TLS on one side only): then within ``ASK_RAY_S``.
    """
    if wrong := settings.ray_access.unusable():
        return wrong
    host, port = host_and_port(address)
    try:
        async with asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError) as error:
        return f"no Ray cluster answers at {address}: {describe(error)}"
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("ray")),
        "health-check",
        f"--address={address}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=ray_environment(settings.ray_access, os.environ),
    )
    try:
        async with asyncio.timeout(ASK_RAY_S):
            _, said = await process.communicate()
    except TimeoutError:
        return f"the Ray cluster at {address} does not answer within {ASK_RAY_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    text = said.decode(errors="replace")
    meaning = what_ray_means(text, address=address, access=settings.ray_access)
    return meaning or f"the Ray cluster at {address} is not well: {_last_line(text)}"


def _last_line(text: str) -> str:
    return next((line.strip()[:300] for line in reversed(text.splitlines()) if line.strip()), "without a word")


class RayNode:
    """The Ray node of this host."""

    def __init__(self, settings: AgentSettings, address: str, clock: Clock, log: Log) -> None:
        self._settings = settings
        self._address = address
        self._clock = clock
        self._log = log
        self._mark_path = settings.work_dir / LEFT_OVER
        self._log_path = settings.work_dir / "ray-node.log"
        self.trouble = ""
        """Why this host is not in the cluster, for people; empty while it joins and where it is in it."""

    async def carry_on(self) -> None:
        """Run the node until it ends or this is cancelled; to be begun again by whoever calls."""
        await self._stop_left_over()
        self.trouble = await why_not_joined(self._settings, self._address)
        if self.trouble:
            self._log.warning("ray-node-cannot-join", address=self._address, reason=self.trouble)
            return
        # The last node's logs stay until now, for whoever asks why it ended; kept for ever they would fill the disk.
        remove_folder(self._settings.ray_temp_dir)
        self._settings.ray_temp_dir.mkdir(mode=0o700, parents=True)
        with self._log_path.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *ray_command(self._settings, self._address),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=ray_environment(self._settings.ray_access, os.environ),
                start_new_session=True,
            )
        mark = mark_of(process.pid)
        try:
            if mark is not None:
                write_whole(self._mark_path, mark.model_dump_json().encode(), self._clock)
            self._log.info("ray-node-started", address=self._address, pid=process.pid)
            status = await process.wait()
            self.trouble = self._why_ended(status)
            self._log.warning("ray-node-ended", status=status, reason=self.trouble)
        finally:
            if process.returncode is None:
                if mark is not None:
                    await _stop(mark)
                await process.wait()
            self._mark_path.unlink(missing_ok=True)

    def _why_ended(self, status: int) -> str:
        text = self._log_path.read_text(errors="replace")[-LOG_LOOK_CHARS:]
        meaning = what_ray_means(text, address=self._address, access=self._settings.ray_access)
        return meaning or f"its Ray node ended with status {status} and is started again; see {self._log_path}"

    async def _stop_left_over(self) -> None:
        """Stop the node that an agent which was killed has left: two on one host would be one door too many."""
        try:
            mark = parse_message(self._mark_path.read_bytes(), ProcessMark, source=str(self._mark_path))
        except (FileNotFoundError, AssayError):
            return
        await _stop(mark)


async def _stop(mark: ProcessMark) -> None:
    """Ask the node to end, which ends its own processes; end its session with it where it does not."""
    if not mark.signal(signal.SIGTERM):
        return
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await mark.ended()
    except TimeoutError:
        if mark.is_alive():
            os.killpg(mark.pid, signal.SIGKILL)
