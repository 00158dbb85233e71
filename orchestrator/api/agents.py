"""What agents ask: joining, heartbeats, renewals, reports, evidence."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse

from lab_inventory.messages import (
    ChallengeReply,
    ChallengeRequest,
    CredentialReply,
    CredentialRequest,
    Heartbeat,
    HeartbeatReply,
    JoinReply,
    JoinRequest,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    ScoreReply,
    ScoreRequest,
)
from lab_inventory.noun import Noun
from orchestrator import logs
from orchestrator.api.operators import OrderBody, require_host
from orchestrator.api.parts import AgentHost, EvidenceRead, LabWrite, PartsOf, Public, whence

router = APIRouter(prefix="/v1", tags=["agents"])
Address = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "0" * 64])]


class JoinToken(Noun):
    """A join token, told once."""

    host: str
    token: str


@router.post("/hosts/{host}/join-token", status_code=201)
def make_join_token(host: str, parts: PartsOf, asking: LabWrite) -> JoinToken:
    """A token with which the agent of a host may join once, within 15 minutes."""
    return JoinToken(host=host, token=parts.security.join_token(host))


@router.post("/hosts/{host}/revoke", status_code=204)
def revoke(host: str, order: OrderBody, parts: PartsOf, asking: LabWrite) -> Response:
    """End the key of a host's agent with everything it got: dead on the next request. Runs go on until their lease."""
    require_host(parts, host)
    parts.agent_keys.revoke(host, asking.subject, order.reason)
    return Response(status_code=204)


@router.post("/agents/join", dependencies=[Public])
def join(message: JoinRequest, request: Request, parts: PartsOf) -> JoinReply:
    """Take the public half of an agent's own key, for a join token of its host."""
    logs.note(host=message.host)
    with parts.admission.counting_failures(whence(request)):
        return parts.agent_keys.join(message)


@router.post("/agents/challenge", dependencies=[Public])
def challenge(message: ChallengeRequest, request: Request, parts: PartsOf) -> ChallengeReply:
    """Something for an agent to sign with its key, good once and for 60 s."""
    parts.admission.admit(whence(request))
    return parts.agent_keys.challenge(message)


@router.post("/agents/credential", dependencies=[Public])
def credential(message: CredentialRequest, request: Request, parts: PartsOf) -> CredentialReply:
    """A bearer credential of an hour, for a signature over a challenge."""
    logs.note(host=message.host)
    with parts.admission.counting_failures(whence(request)):
        return parts.agent_keys.credential(message)


@router.post("/agents/heartbeat")
def heartbeat(message: Heartbeat, parts: PartsOf, host: AgentHost) -> HeartbeatReply:
    """What a host is and has now."""
    return parts.desk.heartbeat(host, message)


@router.post("/agents/renewals")
def renew(request: RenewRequest, parts: PartsOf, host: AgentHost) -> RenewReply:
    """Keep leases; the answer may be an order to stop."""
    return parts.desk.renew(host, request)


@router.post("/agents/reports")
def receive(batch: ReportBatch, parts: PartsOf, host: AgentHost) -> ReportReply:
    """Reports of a run; answered after the commit."""
    logs.note(run=batch.run)
    return parts.desk.receive(host, batch)


@router.post("/agents/scores")
async def score(request: ScoreRequest, parts: PartsOf, host: AgentHost) -> ScoreReply:
    """The score of recordings, once there is one: scored by Ray, away from the bench where another node can."""
    return await parts.scoring.ask(host, request)


@router.put("/artifacts/{address}", status_code=201)
async def put_artifact(address: Address, request: Request, parts: PartsOf, host: AgentHost) -> Response:
    """Keep evidence under its content address."""
    if parts.desk.artifacts.has(address):
        return Response(status_code=200)
    declared = request.headers.get("content-length", "")
    with parts.desk.artifacts.draft(address, declared_bytes=int(declared) if declared.isdigit() else 0) as draft:
        async for chunk in request.stream():
            draft.add(chunk)
        await asyncio.to_thread(draft.keep)
    return Response(status_code=201)


@router.get("/artifacts/{address}")
def get_artifact(address: Address, parts: PartsOf, asking: EvidenceRead) -> Response:
    """Evidence as it was kept; never shown in place, always as a download."""
    path = parts.desk.artifacts.open_path(address)
    headers = {
        "Content-Disposition": f'attachment; filename="{address.removeprefix("sha256:")[:16]}.bin"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    return FileResponse(path, media_type="application/octet-stream", headers=headers)
