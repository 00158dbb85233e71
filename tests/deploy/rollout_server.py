"""The whole server in a process of its own, without Ray: what it places is posted to the inboxes of the agents.

The inbox of a host is reached through the host's own directory: WORK HOST-ADDRESS PORT [CERTIFICATE KEY].
"""

import socket
import sys
from pathlib import Path

import uvicorn

from lab_inventory.messages import AssignmentAnswer
from orchestrator.app import create_app
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.loop import Dispatch, DispatchAnswered
from orchestrator.settings import Settings


def post(inbox: str, assignment_json: str) -> AssignmentAnswer:
    """What a Ray worker does: one line there, one back."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.settimeout(10)
        wire.connect(inbox)
        wire.sendall(assignment_json.encode() + b"\n")
        return AssignmentAnswer.model_validate_json(wire.makefile("rb").readline())


def main() -> None:
    work, host, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def answer(dispatch: Dispatch) -> DispatchAnswered:
        inbox = str(work / dispatch.host) + dispatch.inbox
        try:
            said = post(inbox, dispatch.assignment_json)
        except (OSError, ValueError):
            return DispatchAnswered(run=dispatch.run, answer=None)
        return DispatchAnswered(
            run=dispatch.run, answer=said.answer, reason=said.reason, ray_node="none", ray_actor="none"
        )

    hosts = frozenset(f"host-{number}" for number in range(1, 10))
    settings = Settings(data=work / "data", host=host, port=port, free_bytes_min=0)
    app = create_app(settings, InProcessDispatcher(answer, hosts=hosts))
    certificate, key = sys.argv[4:] if len(sys.argv) > 4 else (None, None)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


main()
