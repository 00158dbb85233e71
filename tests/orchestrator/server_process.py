"""A server in a process of its own, without Ray: its one worker takes everything. Arguments: data directory, database,
and, to speak TLS, certificate and key.

Prints a JSON line with its address, and one for each assignment that it dispatched. Its log goes to standard error.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn

from lab_inventory.clock import SystemClock
from lab_inventory.messages import Acceptance
from orchestrator.app import create_app
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.logs import JsonLog
from orchestrator.loop import Dispatch, DispatchAnswered
from orchestrator.settings import Settings
from orchestrator.tls import follow, read_pair, server_context


def tell(**line: str) -> None:
    print(json.dumps(line), flush=True)


def answer(dispatch: Dispatch) -> DispatchAnswered:
    tell(taken=dispatch.run)
    return DispatchAnswered(run=dispatch.run, answer=Acceptance.ACCEPTED, ray_node="node", ray_actor="actor")


def main() -> None:
    data, url, *files = sys.argv[1:]
    clock = SystemClock()
    pair = read_pair(Path(files[0]), Path(files[1]), clock.now()) if files else None
    context = server_context(pair) if pair else None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        settings = Settings(data=Path(data), database_url=url, port=port, free_bytes_min=0)
        app = create_app(settings, InProcessDispatcher(answer, hosts=frozenset({"host-1"})))
        tell(address=f"http{'s' if context else ''}://127.0.0.1:{port}")
        factory = (lambda *_: context) if context else None
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, ssl_context_factory=factory)

        async def serve() -> None:
            following = asyncio.create_task(follow(context, pair, clock, JsonLog(clock))) if context and pair else None
            await uvicorn.Server(config).serve(sockets=[listening])
            if following:
                following.cancel()

        asyncio.run(serve())


if __name__ == "__main__":
    main()
