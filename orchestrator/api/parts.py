"""What the routes are handed: the parts that the composition root put together, and who is asking."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lab_inventory.errors import Forbidden, Unauthorised
from orchestrator import logs
from orchestrator.agent_keys import AgentKeys
from orchestrator.api.readiness import Health
from orchestrator.api.watchers import Watchers
from orchestrator.desk import Desk
from orchestrator.dispatch.port import Dispatcher
from orchestrator.failure_limit import FailureLimit
from orchestrator.logs import Log
from orchestrator.loop import Loop
from orchestrator.metrics import Metrics
from orchestrator.security import Principal, Security
from orchestrator.settings import Settings
from orchestrator.store.keeping import TokenKind
from orchestrator.store.leadership import Leadership
from orchestrator.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything a route may need. ``proof_failures``: by address; ``challenges``: those that were asked for."""

    settings: Settings
    store: Store
    desk: Desk
    loop: Loop
    dispatcher: Dispatcher
    security: Security
    agent_keys: AgentKeys
    proof_failures: FailureLimit
    challenges: FailureLimit
    metrics: Metrics
    watchers: Watchers
    health: Health
    leadership: Leadership
    log: Log


def parts(request: Request) -> Parts:
    """The parts of the running application."""
    found: Parts = request.app.state.parts
    return found


_bearer = HTTPBearer(auto_error=False, description="The operator's token, or an agent's credential.")


def principal(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Principal:
    """Who is asking, by the bearer token; raises Unauthorised."""
    if sent is None:
        raise Unauthorised("a token is needed: send it as 'Authorization: Bearer TOKEN'")
    found = parts(request).security.principal(sent.credentials.strip())
    logs.note(by=found.subject)
    return found


def operator(asking: Annotated[Principal, Depends(principal)]) -> str:
    """The name of the operator who is asking; raises Forbidden for anybody else."""
    if asking.kind is not TokenKind.USER:
        raise Forbidden("this is for operators; the token is an agent's")
    return asking.subject


def agent_host(asking: Annotated[Principal, Depends(principal)]) -> str:
    """The host whose agent is asking; raises Forbidden for anybody else."""
    if asking.kind is not TokenKind.AGENT:
        raise Forbidden("this is for agents; the token is a person's")
    return asking.subject


PartsOf = Annotated[Parts, Depends(parts)]
Operator = Annotated[str, Depends(operator)]
AgentHost = Annotated[str, Depends(agent_host)]
"""Reading needs a token of some kind; who may read what comes with roles."""
Reader = Annotated[Principal, Depends(principal)]
