"""The agent's own credential: got once for a join token, kept in the work directory for its owner alone."""

from pathlib import Path

from agents.durable import write_whole
from agents.version import VERSION
from agents.wire import Wire
from lab_inventory.clock import Clock
from lab_inventory.errors import Conflict, Unauthorised
from lab_inventory.messages import JoinReply, JoinRequest
from lab_inventory.reading import parse_message

FILE = "credential.json"


def kept_credential(work: Path, host: str) -> JoinReply | None:
    """The credential that is kept, or None. Raises BadInput where its file is broken, Conflict where it belongs to
    another host.
    """
    path = work / FILE
    try:
        kept = parse_message(path.read_bytes(), JoinReply, source=str(path))
    except FileNotFoundError:
        return None
    if kept.host != host:
        raise Conflict(f"the credential in {path} is of host {kept.host}, and this agent is set to be {host}")
    return kept


async def join(wire: Wire, work: Path, *, host: str, token: str | None, clock: Clock) -> JoinReply:
    """Exchange the join token for a credential and keep it (mode 0600).

    Raises Unauthorised without a token, WireTrouble where the orchestrator does not take it, OSError where the
    credential cannot be kept: the token is used up then, and the operator makes another.
    """
    if token is None:
        raise Unauthorised("this agent has no credential yet: set ASSAY_AGENT_JOIN_TOKEN to a join token of its host")
    reply = await wire.join(JoinRequest(token=token, host=host, agent_version=VERSION))
    write_whole(work / FILE, reply.model_dump_json().encode(), clock, mode=0o600)
    return reply
