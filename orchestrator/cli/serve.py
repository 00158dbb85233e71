"""``assay serve``."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.database import Database
from orchestrator.logs import JsonLog, handle_libraries

Data = Annotated[Path | None, typer.Option(help="Where everything is kept.", envvar="ASSAY_DATA")]


CONNECTIONS_MAX = 512
"""Over it the answer is 503; what watches the event stream has a bound of its own below it."""


def serve(
    data: Data = None,
    database: Database = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    ray_address: Annotated[str | None, typer.Option(help="An existing Ray cluster, HOST:PORT.")] = None,
    ray_local_host: Annotated[str | None, typer.Option(help="The lab host that the embedded Ray stands for.")] = None,
) -> None:
    """Run the server: API, pages and the loop."""
    import uvicorn  # noqa: PLC0415  (only this command needs the server's libraries)

    from orchestrator.app import create_app  # noqa: PLC0415
    from orchestrator.settings import read_settings  # noqa: PLC0415

    settings = read_settings(
        data=data, database_url=database, host=host, port=port, ray_address=ray_address, ray_local_host=ray_local_host
    )
    listening = _listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    clock = SystemClock()
    log = JsonLog(clock)
    handle_libraries(log)
    app = create_app(settings, clock=clock, log=log)
    address = f"http://{settings.host}:{settings.port}"
    typer.echo(json.dumps({"slug": "serving", "address": address, "data": str(settings.data)}))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        lifespan="on",
        limit_concurrency=CONNECTIONS_MAX,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, taken before anything else is started; raises BadInput where the port is taken."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise BadInput(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port, or end what uses it"
        ) from error
    return listening
