"""The Ray node of a lab host, where there is a cluster to join: ``ray start --block``, kept running.

It carries the host's door (``agents.worker``) and nothing else: no run is its child, so that it may come and go. With
an embedded Ray there is nothing to start here. Imports nothing of Ray: it is another program.
"""

import asyncio
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
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.reading import parse_message

OBJECT_STORE_BYTES = 80 * 1024 * 1024
STOP_TIMEOUT_S = 15.0
LEFT_OVER = "ray-node.json"


def ray_command(settings: AgentSettings, address: str) -> list[str]:
    """How to join the cluster at ``address`` as this host. The door needs no processor of its own."""
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--block",
        f"--address={address}",
        f"--labels=lab-host={settings.host}",
        "--num-cpus=1",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={settings.ray_temp_dir}",
        "--include-log-monitor=false",
        "--disable-usage-stats",
    ]
    if settings.ray_node_ip is not None:
        command.append(f"--node-ip-address={settings.ray_node_ip}")
    return command


def ray_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the Ray node: nothing of the agent's own secrets, and the authentication never left open.

    Unset, Ray turns it on at a head and off at a joining node, which then fails after 21 s. Ray's memory monitor would
    judge the whole host and kill the door for what a suite uses.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("ASSAY_")}
    return {"RAY_AUTH_MODE": "disabled", "RAY_memory_monitor_refresh_ms": "0", **kept}


class RayNode:
    """The Ray node of this host."""

    def __init__(self, settings: AgentSettings, address: str, clock: Clock, log: Log) -> None:
        self._settings = settings
        self._address = address
        self._clock = clock
        self._log = log
        self._mark_path = settings.work_dir / LEFT_OVER

    async def carry_on(self) -> None:
        """Run the node until it ends or this is cancelled; to be begun again by whoever calls."""
        await self._stop_left_over()
        # The last node's logs stay until now, for whoever asks why it ended; kept for ever they would fill the disk.
        remove_folder(self._settings.ray_temp_dir)
        self._settings.ray_temp_dir.mkdir(mode=0o700, parents=True)
        with (self._settings.work_dir / "ray-node.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *ray_command(self._settings, self._address),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=ray_environment(os.environ),
                start_new_session=True,
            )
        mark = mark_of(process.pid)
        try:
            if mark is not None:
                write_whole(self._mark_path, mark.model_dump_json().encode(), self._clock)
            self._log.info("ray-node-started", address=self._address, pid=process.pid)
            status = await process.wait()
            self._log.warning("ray-node-ended", status=status)
        finally:
            if process.returncode is None and mark is not None:
                await _stop(mark)
                await process.wait()
            self._mark_path.unlink(missing_ok=True)

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
