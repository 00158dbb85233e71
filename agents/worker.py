"""The Ray worker of a lab host: the door through which assignments come in. It holds nothing and runs nothing.

One detached named actor per host. ``start`` posts an assignment to the inbox of the host's agent and gives its answer
as JSON text; it raises nothing of its own over Ray, and whatever goes wrong on the way is told as ``unreachable``.
"""

import asyncio
import json
import ssl
from typing import Any

from pydantic import ValidationError

from agents.far_inbox import SCHEME, pin_of
from lab_inventory.messages import Assignment, AssignmentAnswer
from lab_inventory.noun import host_and_port

INBOX_TIMEOUT_S = 8.0
ASSIGNMENT_BYTES_MAX = 1_000_000


class LabHost:
    """The actor's class; the orchestrator's driver makes the actor from it (entry point ``assay.ray_worker``)."""

    async def ping(self) -> str:
        """The node this worker stands on."""
        return self._where()["ray_node"]

    async def start(self, inbox: str, assignment_json: str) -> str:
        """Post one assignment to the inbox at the local socket ``inbox``, or at ``tls://…`` of a host without Ray.

        Gives JSON text: ``answer`` (an ``Acceptance``, or ``unreachable``), ``reason``, ``ray_node``, ``ray_actor``.
        """
        try:
            assignment = Assignment.model_validate_json(assignment_json)
            said = await asyncio.wait_for(_post(inbox, assignment), INBOX_TIMEOUT_S)
            answer, reason = said.answer.value, said.reason
        except ValidationError as error:
            answer, reason = "refused", f"the assignment cannot be read: {error.error_count()} mistakes"
        except (OSError, TimeoutError, ValueError) as error:
            answer, reason = "unreachable", f"the agent's inbox does not answer: {type(error).__name__}"
        return json.dumps({"answer": answer, "reason": reason, **self._where()})

    @staticmethod
    def _where() -> dict[str, str]:
        import ray  # noqa: PLC0415  (only where it runs as an actor)

        context: Any = ray.get_runtime_context()
        return {"ray_node": context.get_node_id(), "ray_actor": context.get_actor_id() or ""}


async def _post(inbox: str, assignment: Assignment) -> AssignmentAnswer:
    """One JSON line there, one back. Raises OSError, ValueError where the agent does not answer in kind."""
    if inbox.startswith(SCHEME):
        reader, writer = await _open_far(inbox)
    else:
        reader, writer = await asyncio.open_unix_connection(inbox, limit=ASSIGNMENT_BYTES_MAX)
    try:
        writer.write(assignment.model_dump_json().encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
        answer = AssignmentAnswer.model_validate_json(line)
    finally:
        writer.close()
    if answer.run != assignment.run:
        raise ValueError("the answer is for another run")
    return answer


async def _open_far(inbox: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the inbox of another host, on which the secret was said to whoever holds the pinned certificate.

    Raises ValueError where another certificate is shown: the secret is not said then.
    """
    address, _, rest = inbox.removeprefix(SCHEME).partition("/")
    secret, _, pin = rest.partition("#")
    host, port = host_and_port(address)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    # Who it is, the pin says: the certificate need not be of any authority, nor name the host.
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=ASSIGNMENT_BYTES_MAX)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    if not shown or pin_of(shown) != pin:
        writer.close()
        raise ValueError("another certificate is shown at the inbox")
    writer.write(secret.encode() + b"\n")
    return reader, writer
