"""The whole server in a process of its own, without Ray: placed runs are answered by nobody. DATA ADDRESS PORT."""

import sys
from pathlib import Path

import uvicorn

from orchestrator.app import create_app
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.loop import DispatchAnswered
from orchestrator.settings import Settings


def main() -> None:
    data, host, port = sys.argv[1:]
    hosts = frozenset(f"host-{number}" for number in range(1, 10))
    dispatcher = InProcessDispatcher(lambda dispatch: DispatchAnswered(run=dispatch.run, answer=None), hosts=hosts)
    app = create_app(Settings(data=Path(data), host=host, port=int(port), free_bytes_min=0), dispatcher)
    uvicorn.run(app, host=host, port=int(port), log_level="warning", timeout_graceful_shutdown=1)


main()
