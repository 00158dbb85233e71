"""What the routes are handed: the parts that the composition root put together, and who is asking."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lab_inventory.errors import Forbidden, Unauthorised
from orchestrator import logs
from orchestrator.agent_keys import AgentKeys
from orchestrator.api.admission import Admission
from orchestrator.api.readiness import Health
from orchestrator.api.watchers import Watchers
from orchestrator.certificates import Certificates
from orchestrator.desk import Desk
from orchestrator.dispatch.port import Dispatcher
from orchestrator.issuing import Issuing
from orchestrator.lifecycle.person import TokenKind
from orchestrator.lifecycle.rights import Principal, Role, Scope, scopes_of
from orchestrator.logs import Log
from orchestrator.loop import Loop
from orchestrator.metrics import Metrics
from orchestrator.notifiers import Notifiers
from orchestrator.offering import Offering
from orchestrator.people import People
from orchestrator.prompts import Prompts
from orchestrator.reviewing import Reviewing
from orchestrator.samples import Samples
from orchestrator.scoring import Scoring
from orchestrator.security import Security
from orchestrator.settings import Settings
from orchestrator.store.leadership import Leadership
from orchestrator.store.store import Store
from orchestrator.waiving import Waiving


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything a route may need."""

    settings: Settings
    store: Store
    desk: Desk
    reviewing: Reviewing
    loop: Loop
    dispatcher: Dispatcher
    scoring: Scoring
    security: Security
    agent_keys: AgentKeys
    people: People
    samples: Samples
    waiving: Waiving
    prompts: Prompts
    admission: Admission
    notifiers: Notifiers
    issuing: Issuing
    offering: Offering
    certificates: Certificates
    metrics: Metrics
    watchers: Watchers
    health: Health
    leadership: Leadership
    log: Log


def parts(request: Request) -> Parts:
    """The parts of the running application."""
    found: Parts = request.app.state.parts
    return found


bearer = HTTPBearer(auto_error=False, description="A person's API token, or an agent's credential.")
_READS = frozenset({"GET", "HEAD"})
ADDRESS_UNKNOWN = "unknown"
COOKIES = {"https": "__Host-assay", "http": "assay-of-this-machine"}
"""The cookie of a browser that is signed in, by scheme. Without TLS there is one on loopback only."""


def address_of(request: Request) -> str:
    """Where a request comes from; behind a proxy that is trusted, what that says."""
    return request.client.host if request.client else ADDRESS_UNKNOWN


def whence(request: Request) -> str:
    """The key under which what comes from an address is counted; whoever has an IPv6 address has its whole network."""
    address = address_of(request)
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"address {address}"
    return f"address {parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), strict=False)}"


def cookie_of(request: Request) -> str:
    """The token of a browser that is signed in, or nothing."""
    return request.cookies.get(COOKIES.get(request.url.scheme, ""), "")


def by_cookie(request: Request) -> Principal | None:
    """Who is signed in with this browser, or None."""
    secret = cookie_of(request)
    return parts(request).people.by_token(secret, TokenKind.PAGE) if secret else None


def who_asks(request: Request, sent: HTTPAuthorizationCredentials | None, *, cookies: bool) -> Principal | None:
    """Who is asking, by the bearer token or, where ``cookies`` count, a browser's; None where there is neither.

    Raises Unauthorised for a token that is nobody's, TooMany.
    """
    here = parts(request)
    if sent is not None:
        with here.admission.counting_failures(whence(request)):
            found = here.security.principal(sent.credentials.strip())
    else:
        signed_in = by_cookie(request) if cookies else None
        if signed_in is None:
            return None
        found = signed_in
    logs.note(by=found.subject)
    if Role.AGENT not in found.roles:
        here.admission.admit(found.subject)
    return found


def principal(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Principal:
    """Who is asking; a browser's cookie is enough to read. Raises Unauthorised, TooMany."""
    found = who_asks(request, sent, cookies=request.method in _READS)
    if found is None:
        raise Unauthorised("a token is needed: send it as 'Authorization: Bearer TOKEN'")
    return found


def require(asking: Principal, scope: Scope) -> Principal:
    """Raise Forbidden where the roles or the token of who asks do not have a scope."""
    if scope not in asking.scopes:
        has = " ".join(sorted(asking.roles)) or "none"
        limited = " and a token that is limited" if scope in scopes_of(asking.roles) else ""
        raise Forbidden(f"this needs the scope {scope.value}; {asking.subject} has the roles: {has}{limited}")
    return asking


class Needs:
    """Lets a request through only with a scope. Every route has one of these, or says ``open_to_all``."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, asking: Annotated[Principal, Depends(principal)]) -> Principal:
        """Who is asking; raises Forbidden."""
        return require(asking, self.scope)


def open_to_all() -> None:
    """Marks a route that answers everybody: it must show nothing that is not public, and change nothing by itself."""


Public = Depends(open_to_all)
PartsOf = Annotated[Parts, Depends(parts)]
Somebody = Annotated[Principal, Depends(Needs(Scope.OWN))]
LabRead = Annotated[Principal, Depends(Needs(Scope.LAB_READ))]
LabWrite = Annotated[Principal, Depends(Needs(Scope.LAB_WRITE))]
BatchesRead = Annotated[Principal, Depends(Needs(Scope.BATCHES_READ))]
BatchesSubmit = Annotated[Principal, Depends(Needs(Scope.BATCHES_SUBMIT))]
BatchesWrite = Annotated[Principal, Depends(Needs(Scope.BATCHES_WRITE))]
CertificatesWrite = Annotated[Principal, Depends(Needs(Scope.CERTIFICATES_WRITE))]
ReportsWrite = Annotated[Principal, Depends(Needs(Scope.REPORTS_WRITE))]
SamplesWrite = Annotated[Principal, Depends(Needs(Scope.SAMPLES_WRITE))]
PromptsWrite = Annotated[Principal, Depends(Needs(Scope.PROMPTS_WRITE))]
ReviewWrite = Annotated[Principal, Depends(Needs(Scope.REVIEW_WRITE))]
ProgrammesWrite = Annotated[Principal, Depends(Needs(Scope.PROGRAMMES_WRITE))]
DecisionsWrite = Annotated[Principal, Depends(Needs(Scope.DECISIONS_WRITE))]
WaiversPropose = Annotated[Principal, Depends(Needs(Scope.WAIVERS_PROPOSE))]
WaiversDecide = Annotated[Principal, Depends(Needs(Scope.WAIVERS_DECIDE))]
EvidenceRead = Annotated[Principal, Depends(Needs(Scope.EVIDENCE_READ))]
MetricsRead = Annotated[Principal, Depends(Needs(Scope.METRICS_READ))]
PeopleWrite = Annotated[Principal, Depends(Needs(Scope.PEOPLE_WRITE))]
OfAgent = Annotated[Principal, Depends(Needs(Scope.AGENT))]


def agent_host(asking: OfAgent) -> str:
    """The host whose agent is asking."""
    return asking.subject


AgentHost = Annotated[str, Depends(agent_host)]
