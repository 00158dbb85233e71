"""The agent's own key: made here when it joins, kept in the work directory for its owner alone, and never sent.

Only its public half goes to the orchestrator. Whoever has the file is the agent: so it has mode 0600.
"""

import base64
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, SecretStr, field_serializer

from agents.durable import write_whole
from agents.version import VERSION
from agents.wire import Wire
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, Unauthorised
from lab_inventory.messages import JoinReply, JoinRequest, proof_text
from lab_inventory.noun import Label, Name, Noun
from lab_inventory.reading import parse_message

FILE = "agent-key.json"
OLD_FILE = "credential.json"
"""What an agent of before there were keys kept."""


class AgentKey(Noun):
    """The key and what it is good for. ``private_key``: 32 bytes in base64url (RFC 8032)."""

    version: Literal[1] = 1
    agent: Name
    host: Name
    audience: Name
    private_key: Annotated[SecretStr, Field(min_length=43, max_length=43)]

    @field_serializer("private_key", when_used="json")
    def _told(self, value: SecretStr) -> str:
        return value.get_secret_value()

    def sign(self, challenge: str) -> str:
        """The signature over a challenge, for this host at this lab and nothing else."""
        signed = _private(self.private_key).sign(proof_text(self.audience, self.host, challenge))
        return _text(signed)


class _OldCredential(Noun):
    version: Literal[1] = 1
    agent: Name
    host: Name
    credential: Label


def kept_key(work: Path, host: str) -> AgentKey | None:
    """The key that is kept, or None. Raises BadInput where its file is broken, Conflict where it belongs to another
    host.
    """
    path = work / FILE
    try:
        kept = parse_message(path.read_bytes(), AgentKey, source=str(path))
    except FileNotFoundError:
        return None
    try:
        _private(kept.private_key)
    except ValueError as error:
        raise BadInput(f"{path}: private_key is no Ed25519 key; join again with a new join token") from error
    _require_host(kept.host, path, host)
    return kept


def old_credential(work: Path, host: str) -> str | None:
    """The credential of an agent of before there were keys, with which a key may be brought once; or None."""
    path = work / OLD_FILE
    try:
        kept = parse_message(path.read_bytes(), _OldCredential, source=str(path))
    except FileNotFoundError:
        return None
    _require_host(kept.host, path, host)
    return kept.credential


def _require_host(kept: str, path: Path, host: str) -> None:
    if kept != host:
        raise Conflict(f"what is kept in {path} is of host {kept}, and this agent is set to be {host}")


async def join(wire: Wire, work: Path, *, host: str, token: str | None, clock: Clock) -> AgentKey:
    """Make a key, have its public half taken for the join token, and keep it (mode 0600).

    Without a token, the credential of an agent of before there were keys is taken for one. Raises Unauthorised where
    there is neither, WireTrouble where the orchestrator does not take it, OSError where the key cannot be kept: the
    token is used up then, and the operator makes another.
    """
    old = old_credential(work, host) if token is None else None
    if token is None and old is None:
        raise Unauthorised("this agent has no key yet: set ASSAY_AGENT_JOIN_TOKEN to a join token of its host")
    private = Ed25519PrivateKey.generate()
    if old is not None:
        # Told once and for all: where the answer is lost, the same key is brought again.
        private = _brought_before(work, private, clock)
    request = JoinRequest(
        token=token or old or "",
        host=host,
        agent_version=VERSION,
        public_key=_text(private.public_key().public_bytes_raw()),
    )
    reply: JoinReply = await wire.join(request)
    key = AgentKey(
        agent=reply.agent,
        host=reply.host,
        audience=reply.audience,
        private_key=SecretStr(_text(private.private_bytes_raw())),
    )
    write_whole(work / FILE, key.model_dump_json().encode(), clock, mode=0o600)
    (work / f"{FILE}.new").unlink(missing_ok=True)
    if old is None:
        (work / OLD_FILE).unlink(missing_ok=True)
    return key


def _brought_before(work: Path, fresh: Ed25519PrivateKey, clock: Clock) -> Ed25519PrivateKey:
    path = work / f"{FILE}.new"
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except (FileNotFoundError, ValueError):
        write_whole(path, fresh.private_bytes_raw(), clock, mode=0o600)
        return fresh


def _private(text: SecretStr) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text.get_secret_value() + "="))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
