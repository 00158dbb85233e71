"""What goes into the uplink and what comes out of it. Frozen data."""

from dataclasses import dataclass
from enum import StrEnum

from lab_inventory.lab import Host
from lab_inventory.messages import (
    Epochs,
    Heartbeat,
    HeartbeatReply,
    RenewedLease,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    RunReport,
)


class Trouble(StrEnum):
    """Why a request brought no answer that counts."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    REJECTED = "rejected"
    LOCAL = "local"


class Link(StrEnum):
    """How the talk with the orchestrator stands."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    REFUSED = "refused"


# Events: what was seen here, and what the orchestrator answered.


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What this host is and has now."""

    heartbeat: Heartbeat


@dataclass(frozen=True, kw_only=True)
class RunHeld:
    """A run lives here, and its lease is to be renewed."""

    run: str
    epochs: Epochs
    ttl_s: float


@dataclass(frozen=True, kw_only=True)
class RunOver:
    """A run's process has ended; nothing of its lease is needed any more."""

    run: str


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """The first reports of a run that are not acknowledged, in order and without gaps; replaces what was told."""

    run: str
    epochs: Epochs
    reports: tuple[RunReport, ...]


@dataclass(frozen=True, kw_only=True)
class RunDelivered:
    """Everything of a run is acknowledged, its end too."""

    run: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A request was answered; ``reply`` None: an upload was taken."""

    ticket: int
    reply: HeartbeatReply | RenewReply | ReportReply | None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A request was not answered, or refused; whether it had any effect is not known."""

    ticket: int
    trouble: Trouble
    detail: str


Event = Observed | RunHeld | RunOver | Spooled | RunDelivered | Answered | Failed


# Effects: what is to be done.


@dataclass(frozen=True, kw_only=True)
class Send:
    """Post a message; exactly one Answered or Failed with the ticket follows."""

    ticket: int
    message: Heartbeat | RenewRequest | ReportBatch


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Put a file of evidence; exactly one Answered or Failed with the ticket follows."""

    ticket: int
    run: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Acknowledge:
    """The orchestrator holds a run's reports up to this one."""

    run: str
    up_to: int


@dataclass(frozen=True, kw_only=True)
class LeaseAnswered:
    """What has become of a lease; its ttl counts from the sending of the request."""

    lease: RenewedLease
    sent_at_s: float


@dataclass(frozen=True, kw_only=True)
class BenchTold:
    """The bench that the lab file gives this host."""

    host: Host


@dataclass(frozen=True, kw_only=True)
class LinkChanged:
    """The talk with the orchestrator stands otherwise than before."""

    link: Link
    detail: str


Effect = Send | Upload | Acknowledge | LeaseAnswered | BenchTold | LinkChanged
