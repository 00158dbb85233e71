"""When the holder of a lease must stop, by its own clock alone. Pure.

Takes the last renewal that was answered and the clock; gives the reason to stop, or None. The holder stops at two
thirds of the ttl after *sending* that renewal, which leaves a third for teardown, and touches nothing at all once the
whole ttl has passed: from then on another may hold the device (DESIGN.md 4.2).
"""

from enum import StrEnum

from pydantic import Field

from lab_inventory.messages import Standing
from lab_inventory.noun import Noun, Text

STOP_FRACTION = 2 / 3


class HeldLease(Noun):
    """What is known of a run's lease; times are seconds on CLOCK_BOOTTIME of this machine."""

    renewed_at_s: float
    ttl_s: float = Field(gt=0)
    deadline_at_s: float
    standing: Standing = Standing.RENEWED
    reason: Text = ""

    @property
    def stop_at_s(self) -> float:
        """When to stop, unless a renewal comes in between."""
        return min(self.renewed_at_s + self.ttl_s * STOP_FRACTION, self.deadline_at_s)

    @property
    def lost_at_s(self) -> float:
        """From when on nothing of the lease may be touched, not even to tear down."""
        return self.renewed_at_s + self.ttl_s

    def renewed(self, *, sent_at_s: float, ttl_s: float) -> "HeldLease":
        """The lease after an answered renewal; an answer to an earlier request than the last changes nothing."""
        if sent_at_s < self.renewed_at_s:
            return self
        return self.model_copy(update={"renewed_at_s": sent_at_s, "ttl_s": ttl_s})


class StopKind(StrEnum):
    """Why a run must stop."""

    ORDERED = "ordered"
    LEASE_LOST = "lease-lost"
    DEADLINE = "deadline"


class StopOrder(Noun):
    """That a run must stop, and why, in words."""

    kind: StopKind
    reason: Text


def must_stop(lease: HeldLease, now_s: float) -> StopOrder | None:
    """Whether the holder must stop now."""
    if lease.standing is not Standing.RENEWED:
        words = f"the orchestrator says that the lease is {lease.standing}"
        reason = f"{words}: {lease.reason}" if lease.reason else words
        return StopOrder(kind=StopKind.ORDERED, reason=reason[:2000])
    if now_s >= lease.deadline_at_s:
        return StopOrder(kind=StopKind.DEADLINE, reason="the run did not end within its deadline")
    if now_s >= lease.stop_at_s:
        since = now_s - lease.renewed_at_s
        reason = f"no renewal of the lease was answered for {since:.0f} s, two thirds of its ttl of {lease.ttl_s:g} s"
        return StopOrder(kind=StopKind.LEASE_LOST, reason=reason)
    return None


def is_lost(lease: HeldLease, now_s: float) -> bool:
    """Whether the whole ttl has passed, so that nothing may be touched any more."""
    return now_s >= lease.lost_at_s
