"""Asking the orchestrator as an operator: hosts, units, join tokens, draining. The token is never printed."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import BaseModel, ValidationError

from deploy.decide import MARK, Seen
from lab_inventory.errors import BadInput, Conflict, NotFound, Unauthorised, Unavailable
from lab_inventory.trust import connection_trouble, require_safe, trust

TIMEOUT_S = 15.0


class _Host(BaseModel):
    host: str
    intent: str
    reason: str
    agent_version: str | None
    boot: str | None
    heard_s_ago: float | None
    runs: int


class _Unit(BaseModel):
    device: str
    host: str
    presence: str


def operator_token() -> str:
    """The token from ASSAY_TOKEN, or from the file operator-token in ASSAY_DATA; raises Unauthorised."""
    token = os.environ.get("ASSAY_TOKEN", "")
    data = os.environ.get("ASSAY_DATA")
    if not token and data:
        path = Path(data) / "operator-token"
        try:
            token = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unauthorised(f"{path}: cannot be read: {error.strerror}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise Unauthorised("no token: set ASSAY_TOKEN, or ASSAY_DATA to the server's data directory")
    return token


class Orchestrator:
    """Its API, as far as a rollout needs it. Every call raises Unavailable where it cannot be reached."""

    def __init__(self, address: str, token: str, *, ca: Path | None = None, trusted_network: bool = False) -> None:
        self._address = address
        require_safe(
            address, trusted_network=trusted_network, setting="agent.trusted_network: true in the rollout file"
        )
        headers = {"Authorization": f"Bearer {token}"}
        verify = trust(ca)
        try:
            self._http = httpx.AsyncClient(base_url=address, headers=headers, timeout=TIMEOUT_S, verify=verify)
        except httpx.InvalidURL as error:
            raise BadInput(f"{address} is no address of a server") from error

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection."""
        await self._http.aclose()

    async def seen(self, host: str) -> Seen:
        """How a host is seen; raises NotFound where the applied lab file does not have it."""
        try:
            hosts = [_Host.model_validate(row) for row in await self._call("GET", "/v1/hosts")]
            units = [_Unit.model_validate(row) for row in await self._call("GET", "/v1/devices")]
        except (ValidationError, TypeError) as error:
            raise Unavailable(f"{self._address} does not answer as an orchestrator of this version does") from error
        found = next((row for row in hosts if row.host == host), None)
        if found is None:
            raise NotFound(f"the orchestrator does not have host {host}; apply the lab file first: assay lab apply")
        return Seen(
            host=host,
            drained=found.intent == "drained",
            reason=found.reason,
            agent_version=found.agent_version,
            boot=found.boot,
            heard_s_ago=found.heard_s_ago,
            runs=found.runs,
            units=frozenset(unit.device for unit in units if unit.host == host and unit.presence == "present"),
        )

    async def join_token(self, host: str) -> str:
        """A single-use join token."""
        return str((await self._call("POST", f"/v1/hosts/{host}/join-token"))["token"])

    async def drain(self, host: str, reason: str) -> None:
        """Drain for a rollout; one that is drained already stays as it is."""
        await self._intent(host, "drain", {"reason": MARK + reason})

    async def undrain(self, host: str) -> None:
        """Put it back in service; one that is already stays as it is."""
        await self._intent(host, "undrain", None)

    async def _intent(self, host: str, verb: str, body: object) -> None:
        try:
            await self._call("POST", f"/v1/hosts/{host}/{verb}", body)
        except Conflict:
            if (await self.seen(host)).drained is not (verb == "drain"):
                raise

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            said = connection_trouble(error, self._address)
            raise Unavailable(f"no orchestrator answers as it should: {said}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        kinds = {401: Unauthorised, 403: Unauthorised, 404: NotFound, 409: Conflict, 422: BadInput}
        raise kinds.get(answer.status_code, Unavailable)(_said(answer))


def _said(answer: httpx.Response) -> str:
    try:
        return f"the orchestrator refuses: {str(answer.json()['detail'])[:400]}"
    except (ValueError, KeyError, TypeError):
        return f"the orchestrator answered {answer.status_code} without saying why"
