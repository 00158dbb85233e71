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
    ray_doors_of: Annotated[
        list[str] | None, typer.Option(help="A host without a Ray node that is reached through the embedded Ray.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Speak TLS with this certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of the certificate (PEM, mode 0600).")] = None,
) -> None:
    """Run the server: API, pages and the loop."""
    import uvicorn  # noqa: PLC0415  (only this command needs the server's libraries)
    from starlette.types import ASGIApp  # noqa: PLC0415

    from orchestrator.api.proxies import BehindProxies  # noqa: PLC0415
    from orchestrator.app import create_app  # noqa: PLC0415
    from orchestrator.settings import read_settings  # noqa: PLC0415
    from orchestrator.tls import follow, pair_of, require_safe_to_listen, server_context  # noqa: PLC0415

    settings = read_settings(
        data=data,
        database_url=database,
        host=host,
        port=port,
        ray_address=ray_address,
        ray_local_host=ray_local_host,
        ray_doors_of=tuple(ray_doors_of) if ray_doors_of else None,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
    )
    clock = SystemClock()
    log = JsonLog(clock)
    require_safe_to_listen(settings)
    pair = pair_of(settings, clock.now())
    context = server_context(pair) if pair else None
    listening = _listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    handle_libraries(log)
    app: ASGIApp = create_app(settings, clock=clock, log=log)
    if settings.proxies:
        app = BehindProxies(app, settings.proxies)
    address = f"{settings.scheme}://{settings.host}:{settings.port}"
    typer.echo(json.dumps({"slug": "serving", "address": address, "data": str(settings.data)}))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        lifespan="on",
        limit_concurrency=CONNECTIONS_MAX,
        # Forwarded headers are believed by BehindProxies, from proxies that the settings list, and else by nobody.
        proxy_headers=False,
        ssl_context_factory=(lambda *_: context) if context else None,
    )

    async def serve_until_told() -> None:
        following = asyncio.create_task(follow(context, pair, clock, log)) if context and pair else None
        await uvicorn.Server(config).serve(sockets=[listening])
        if following is not None:
            following.cancel()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_until_told())


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
