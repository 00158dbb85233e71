"""What happened in a simulated world, as its own eyes saw it: what checkers hold the product's tables against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Touch:
    """A run's process drove a device. ``right_until_s``: when, in true time, its last word of a lease runs out."""

    at_s: float
    run: str
    epochs: Mapping[str, int]
    right_until_s: float


@dataclass(kw_only=True)
class Tables:
    """The server's tables that invariants speak of, as they are now."""

    leases: tuple[Row, ...] = ()
    runs: tuple[Row, ...] = ()
    batches: tuple[Row, ...] = ()
    submissions: tuple[Row, ...] = ()
    reports: tuple[Row, ...] = ()
    quarantined: tuple[Row, ...] = ()
    judgements: tuple[Row, ...] = ()
    idempotency: tuple[Row, ...] = ()
    quarantines: tuple[Row, ...] = ()


@dataclass(kw_only=True)
class History:
    """Everything that was seen. Reports by run are (seq, digest) as the run's process wrote them."""

    touches: list[Touch] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    """Idempotency key to the batch that its submitter was told, the first time."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Every (key, batch) that a submitter was told."""
    cancelled: set[str] = field(default_factory=set)
    """Batches whose cancelling was acknowledged."""
    placed_though: list[str] = field(default_factory=list)
    """Placements of what a person had taken out or held, in words."""
    placed_in_quarantine: list[str] = field(default_factory=list)
    """Placements, other than probations, on units that were in quarantine, in words."""
    renewed: list[tuple[str, str]] = field(default_factory=list)
    """Runs that were told their lease is renewed, with the state of the lease in the tables at that moment."""
    written: dict[str, dict[int, str]] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    rejudged: dict[str, str] = field(default_factory=dict)
    """Submission to the digest of its judgement, judged again from what the tables hold."""
    bad_products: frozenset[str] = frozenset()
    before: Tables = field(default_factory=Tables)
    """The tables at the step before."""
    audit: tuple[str, ...] = ()
    """What ``assay audit verify`` found."""
