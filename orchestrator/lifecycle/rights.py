"""Roles, scopes, and which role has which. Whatever is not written here is denied. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is in the programme. ``agent`` is the role of a lab host's agent, never of a person."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    DECIDER = "decider"
    VENDOR = "vendor"
    ADMIN = "admin"
    AGENT = "agent"


class Scope(StrEnum):
    """What a route asks for."""

    OWN = "own"
    """One's own account, tokens and sign-ins."""
    LAB_READ = "lab:read"
    """Devices, hosts, quarantine, waivers, the lab file with its passwords masked, the journal's head, live events."""
    LAB_WRITE = "lab:write"
    """The lab file, holding and draining, quarantine, join tokens."""
    BATCHES_READ = "batches:read"
    """Batches, submissions, runs, verdicts, reviews, programmes, the list of certificates; a vendor's own ones only."""
    BATCHES_SUBMIT = "batches:submit"
    """Queue batches; a vendor only what is its own."""
    BATCHES_WRITE = "batches:write"
    """Hold, release and cancel batches."""
    REPORTS_WRITE = "reports:write"
    """Issue and amend test reports."""
    CERTIFICATES_WRITE = "certificates:write"
    """Suspend, reinstate, reduce, extend, withdraw and revoke certificates."""
    SAMPLES_WRITE = "samples:write"
    """Receive, move, link, give back and dispose of samples. Announcing one goes with submitting."""
    REVIEW_WRITE = "review:write"
    """Ask, recommend and return in the review of a judged submission."""
    PROMPTS_WRITE = "prompts:write"
    """Answer, confirm and abort prompts: what people measure."""
    DECISIONS_WRITE = "decisions:write"
    """Grant or refuse what was recommended."""
    PROGRAMMES_WRITE = "programmes:write"
    """Open programmes of the lab's own to submissions, and withdraw them."""
    WAIVERS_PROPOSE = "waivers:propose"
    """Ask for a waiver."""
    WAIVERS_DECIDE = "waivers:decide"
    """Approve, refuse and revoke waivers."""
    EVIDENCE_READ = "evidence:read"
    """What the instruments recorded."""
    METRICS_READ = "metrics:read"
    """What Prometheus scrapes."""
    PEOPLE_WRITE = "people:write"
    """People, their roles, their codes for signing in, everybody's tokens."""
    AGENT = "agent"
    """What the agent of a lab host says and fetches, of its own host alone."""


_READS = frozenset({Scope.OWN, Scope.LAB_READ, Scope.BATCHES_READ, Scope.EVIDENCE_READ})

SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: _READS | {Scope.METRICS_READ},
    Role.OPERATOR: _READS
    | {Scope.METRICS_READ, Scope.LAB_WRITE, Scope.BATCHES_SUBMIT, Scope.BATCHES_WRITE}
    | {Scope.REPORTS_WRITE, Scope.SAMPLES_WRITE, Scope.PROMPTS_WRITE, Scope.WAIVERS_PROPOSE},
    Role.REVIEWER: _READS | {Scope.REVIEW_WRITE},
    Role.DECIDER: _READS
    | {Scope.DECISIONS_WRITE, Scope.CERTIFICATES_WRITE, Scope.PROGRAMMES_WRITE, Scope.WAIVERS_DECIDE},
    Role.VENDOR: frozenset({Scope.OWN, Scope.BATCHES_READ, Scope.BATCHES_SUBMIT}),
    Role.ADMIN: frozenset({Scope.OWN, Scope.LAB_READ, Scope.BATCHES_READ, Scope.METRICS_READ, Scope.PEOPLE_WRITE}),
    Role.AGENT: frozenset({Scope.AGENT}),
}
"""The scopes of each role. An admin says who may do what, and for that does none of it."""

OF_PEOPLE = frozenset(Role) - {Role.AGENT}


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is asking: ``subject`` is a person's name, or the host of an agent.

    ``vendor``: the vendor whose things alone may be seen and submitted; None where there is no such bound.
    ``token``: the id of the token that was shown, for people.
    """

    subject: str
    roles: frozenset[Role]
    scopes: frozenset[Scope]
    vendor: str | None = None
    token: str = ""


def scopes_of(roles: Iterable[Role]) -> frozenset[Scope]:
    """Everything that these roles may do together."""
    return frozenset[Scope]().union(*(SCOPES[role] for role in roles))


def against_roles(roles: Iterable[Role], vendor: str | None) -> str:
    """Why a person cannot have these roles, or nothing."""
    wanted = frozenset(roles)
    if not wanted:
        return "a person needs a role"
    if Role.AGENT in wanted:
        return "the role agent belongs to lab hosts, which join with 'assay lab join HOST'"
    if Role.VENDOR in wanted and len(wanted) > 1:
        return "a vendor has no other role: who tests or decides takes no part in what is tested"
    if (Role.VENDOR in wanted) != (vendor is not None):
        return "the role vendor goes with the vendor's name, and no other role does"
    return ""
