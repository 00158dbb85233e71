"""What agents ask: joining, heartbeats, renewals, reports, evidence."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse

from lab_inventory.messages import (
    Heartbeat,
    HeartbeatReply,
    JoinReply,
    JoinRequest,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
)
from lab_inventory.noun import Noun
from orchestrator import logs
from orchestrator.api.parts import AgentHost, EvidenceRead, LabWrite, PartsOf, Public, address_of

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


@router.post("/agents/join", dependencies=[Public])
def join(request: JoinRequest, parts: PartsOf, asked: Request) -> JoinReply:
    """Exchange a join token for a credential of the host's own."""
    logs.note(host=request.host)
    with parts.admission.counting_failures(f"address {address_of(asked)}"):
        return parts.security.join(request)


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
