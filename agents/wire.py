"""The thin shell over HTTP: posts messages of the wire, puts evidence, and tells apart why something did not go.

Takes and gives nouns; decides nothing, and repeats nothing but a request whose credential was no longer good.
"""

import asyncio
from pathlib import Path
from typing import Protocol, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from agents.uplink_events import Trouble
from agents.words import as_text
from lab_inventory.errors import AssayError, BadInput
from lab_inventory.messages import (
    ChallengeReply,
    ChallengeRequest,
    CredentialReply,
    CredentialRequest,
    Heartbeat,
    HeartbeatReply,
    JoinReply,
    JoinRequest,
    Message,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    ScoreReply,
    ScoreRequest,
)
from lab_inventory.noun import Sha256
from lab_inventory.reading import parse_message
from lab_inventory.trust import connection_trouble, trust

REPLY_BYTES_MAX = 4_000_000
UPLOAD_TIMEOUT_S = 60.0
UNAUTHORISED = 401

M = TypeVar("M", bound=Message)


class WireTrouble(AssayError):
    """The orchestrator did not take a request"""

    slug = "wire-trouble"

    def __init__(self, trouble: Trouble, detail: str, *, status: int = 0) -> None:
        super().__init__(as_text(detail))
        self.trouble = trouble
        self.status_answered = status


class Credentials(Protocol):
    """Where the credential of this agent comes from."""

    async def credential(self, wire: "Wire", refused: str = "") -> str:
        """The credential that is good now, and not the one that was refused. Raises WireTrouble."""
        ...


class _ProblemDetails(BaseModel):
    """What is read of an application/problem+json answer (RFC 9457)."""

    title: str = ""
    detail: str = ""


class Wire:
    """One agent's connections to the orchestrator. Every method raises WireTrouble."""

    def __init__(self, server_url: str, *, timeout_s: float, ca_file: Path | None = None) -> None:
        self._credentials: Credentials | None = None
        # Proxies and netrc of the environment are not the agent's: what it says goes where its settings say.
        self._client = httpx.AsyncClient(base_url=server_url, timeout=timeout_s, verify=trust(ca_file), trust_env=False)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def use_credentials(self, credentials: Credentials) -> None:
        """Speak as this agent from now on."""
        self._credentials = credentials

    async def join(self, request: JoinRequest) -> JoinReply:
        """Have the public half of a key taken for a join token."""
        return await self._post("/v1/agents/join", request, JoinReply, open_to_all=True)

    async def challenge(self, request: ChallengeRequest) -> ChallengeReply:
        """Ask for something to sign."""
        return await self._post("/v1/agents/challenge", request, ChallengeReply, open_to_all=True)

    async def prove(self, request: CredentialRequest) -> CredentialReply:
        """Exchange a signature for a credential."""
        return await self._post("/v1/agents/credential", request, CredentialReply, open_to_all=True)

    async def send(self, message: Heartbeat | RenewRequest | ReportBatch) -> HeartbeatReply | RenewReply | ReportReply:
        """Post one message to its place."""
        match message:
            case Heartbeat():
                return await self._post("/v1/agents/heartbeat", message, HeartbeatReply)
            case RenewRequest():
                return await self._post("/v1/agents/renewals", message, RenewReply)
            case ReportBatch():
                return await self._post("/v1/agents/reports", message, ReportReply)

    async def score(self, request: ScoreRequest) -> ScoreReply:
        """Ask for the score of recordings."""
        return await self._post("/v1/agents/scores", request, ScoreReply)

    async def upload(self, digest: Sha256, path: Path) -> None:
        """Put one file of evidence under its content address."""
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise WireTrouble(Trouble.LOCAL, f"evidence {digest} cannot be read: {error.strerror}") from error
        await self._as_agent("PUT", f"/v1/artifacts/{digest}", data, "application/octet-stream", UPLOAD_TIMEOUT_S)

    async def reach(self) -> str:
        """Ask whether an orchestrator is there; gives the Date header of its answer (RFC 9110, 6.6.1), or nothing."""
        response = await self._request("GET", "/healthz")
        return str(response.headers.get("Date", ""))

    async def _post(self, path: str, message: Message, reply: type[M], *, open_to_all: bool = False) -> M:
        ask = self._request if open_to_all else self._as_agent
        response = await ask("POST", path, message.model_dump_json().encode(), "application/json")
        try:
            return parse_message(response.content, reply, source=f"the answer to {path}", bytes_max=REPLY_BYTES_MAX)
        except BadInput as error:
            raise WireTrouble(Trouble.REJECTED, str(error)) from error

    async def _as_agent(
        self, method: str, path: str, content: bytes, media_type: str, timeout_s: float | None = None
    ) -> httpx.Response:
        """A request with this agent's credential; where it is no longer good, once more with a new one."""
        if self._credentials is None:
            raise WireTrouble(Trouble.LOCAL, "this agent has not joined")
        credential = await self._credentials.credential(self)
        try:
            return await self._request(method, path, content, media_type, timeout_s, credential)
        except WireTrouble as error:
            if error.status_answered != UNAUTHORISED:
                raise
        credential = await self._credentials.credential(self, refused=credential)
        return await self._request(method, path, content, media_type, timeout_s, credential)

    async def _request(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        media_type: str = "",
        timeout_s: float | None = None,
        credential: str = "",
    ) -> httpx.Response:
        headers = {"Content-Type": media_type} if media_type else {}
        if credential:
            headers["Authorization"] = f"Bearer {credential}"
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(timeout_s)
        try:
            response = await self._client.request(method, path, content=content, headers=headers, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = connection_trouble(error, str(self._client.base_url))
            raise WireTrouble(Trouble.UNREACHABLE, said) from error
        if response.is_success:
            return response
        status = response.status_code
        raise WireTrouble(_trouble(status), f"{method} {path}: {_said(response)}", status=status)


def _trouble(status: int) -> Trouble:
    if status in (401, 403):
        return Trouble.REFUSED
    if status >= 500 or status in (408, 429):
        return Trouble.UNREACHABLE
    return Trouble.REJECTED


def _said(response: httpx.Response) -> str:
    try:
        problem = _ProblemDetails.model_validate_json(response.content)
    except ValidationError:
        return f"status {response.status_code}"
    said = ": ".join(part for part in (problem.title, problem.detail) if part)
    return f"{said} (status {response.status_code})"
