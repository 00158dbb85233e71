"""``assay ray-head``: the head of the lab's own Ray cluster, started as the lab needs it."""

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.errors import BadInput
from lab_inventory.noun import host_and_port
from lab_inventory.ray_access import HEALTH_CHECK, NODE_PORTS
from orchestrator.cli.serve import Data
from orchestrator.settings import Settings, read_settings

OBJECT_STORE_BYTES = 80 * 1024 * 1024


def ray_head(
    data: Data = None,
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT where the cluster is to be; HOST is an address of this machine.")
    ] = None,
    redis: Annotated[str | None, typer.Option(help="Keep what the head knows in this Redis, HOST:PORT.")] = None,
    temp_dir: Annotated[Path | None, typer.Option(help="For Ray's sockets and logs; a short path.")] = None,
) -> None:
    """Be the head of the lab's Ray cluster, until it ends. Settings as of 'assay serve', and beside it.

    What the head knows is kept, in Redis or else under the data directory: so its restart ends no run and no door.
    """
    settings = read_settings(data=data, ray_address=ray_address)
    folder = (temp_dir or _short_private_dir()).absolute()
    command = head_command(settings, folder)
    environment = head_environment(settings, redis)
    if redis is None:
        store_of(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    _leave_only_this(folder)
    os.execve(command[0], command, environment)  # noqa: S606  (it becomes the head: whoever supervises it, sees it)


def head_command(settings: Settings, folder: Path) -> list[str]:
    """What is run; raises BadInput where the settings do not say where, or leave the cluster open to everybody."""
    if settings.ray_address is None:
        raise BadInput("no address for the cluster: set ASSAY_RAY_ADDRESS or --ray-address to HOST:PORT")
    try:
        host, port = host_and_port(settings.ray_address)
    except ValueError as error:
        raise BadInput(f"the address {settings.ray_address!r} is none; expected HOST:PORT") from error
    if settings.ray_token_file is None:
        raise BadInput("a Ray cluster runs what anybody sends who has no token to show: set ASSAY_RAY_TOKEN_FILE")
    if wrong := settings.ray_access.unusable():
        raise BadInput(wrong)
    _refuse_taken(host, port)
    return [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--block",
        f"--node-ip-address={host}",
        f"--port={port}",
        "--num-cpus=0",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={folder}",
        "--include-dashboard=false",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        *NODE_PORTS,
    ]


def head_environment(settings: Settings, redis: str | None) -> dict[str, str]:
    """Its environment: how to get in, how soon a lost host is noticed, where what it knows is kept."""
    if redis is not None:
        kept = {"RAY_REDIS_ADDRESS": redis}
    else:
        kept = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(store_of(settings))}
    return {**HEALTH_CHECK, **settings.ray_access.environment(os.environ), **kept}


def store_of(settings: Settings) -> Path:
    """Where a head without Redis keeps what it knows."""
    return settings.data.absolute() / "ray-head"


def _refuse_taken(host: str, port: int) -> None:
    """Ray would say it after a while, and of a foreign address at length."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadInput(
                f"the head cannot listen on {host}:{port}: {error.strerror}; expected an address of this machine, "
                "and no other head there"
            ) from error


def _short_private_dir() -> Path:
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"assay-ray-{os.getuid()}"


def _leave_only_this(folder: Path) -> None:
    """Logs and sockets of earlier heads would fill the disk. Of what is in the folder only Ray's own is touched."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("session_*"):
        if old.is_symlink():
            old.unlink()
        else:
            shutil.rmtree(old, ignore_errors=True)
