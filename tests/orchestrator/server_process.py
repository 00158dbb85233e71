"""A server in a process of its own, without Ray: its one worker takes everything. Arguments: data directory, database.

Prints a JSON line with its address, and one for each assignment that it dispatched. Its log goes to standard error.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn

from lab_inventory.messages import Acceptance
from orchestrator.app import create_app
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.loop import Dispatch, DispatchAnswered
from orchestrator.settings import Settings


def tell(**line: str) -> None:
    print(json.dumps(line), flush=True)


def answer(dispatch: Dispatch) -> DispatchAnswered:
    tell(taken=dispatch.run)
    return DispatchAnswered(run=dispatch.run, answer=Acceptance.ACCEPTED, ray_node="node", ray_actor="actor")


def main() -> None:
    data, url = sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        settings = Settings(data=Path(data), database_url=url, port=port, free_bytes_min=0)
        app = create_app(settings, InProcessDispatcher(answer, hosts=frozenset({"host-1"})))
        tell(address=f"http://127.0.0.1:{port}")
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        asyncio.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main()
