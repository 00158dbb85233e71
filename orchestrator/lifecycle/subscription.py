"""Subscriptions: who is told of which events, where. Pure.

What was delivered is no fact: it is counted beside the subscription and changes nothing of it.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.noun import Label, Name
from orchestrator.lifecycle.machine import Fact, Machine


class Way(StrEnum):
    """How notices go out."""

    WEBHOOK = "webhook"
    EMAIL = "email"


class SubscriptionState(StrEnum):
    """``paused``: nothing is sent and nothing is lost; a person resumes it."""

    LIVE = "live"
    PAUSED = "paused"
    REMOVED = "removed"


class _OfSubscription(Fact):
    machine: ClassVar[str] = "subscription"
    subscription: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """Its name."""
        return self.subscription

    def journal_entry(self) -> dict[str, str | int]:
        """Who."""
        return {"by": self.by}


class SubscriptionAdded(_OfSubscription):
    """Somebody is told from now on. ``secret`` signs webhooks; it is kept because signing needs it."""

    way: Way
    target: str = Field(max_length=500)
    events: tuple[str, ...] = Field(min_length=1)
    secret: str = Field(default="", repr=False)

    def journal_entry(self) -> dict[str, str | int]:
        """Who, how and of what; where to is kept out of the journal, which is never shortened."""
        return {"by": self.by, "way": self.way.value, "events": " ".join(self.events)}


class SubscriptionPaused(_OfSubscription):
    """Nothing is sent for now."""

    reason: Label


class SubscriptionResumed(_OfSubscription):
    """What waited is sent."""


class SubscriptionRemoved(_OfSubscription):
    """Nobody is told any more; the name may be used again."""


MACHINE = Machine(
    name="subscription",
    transitions={
        (None, "SubscriptionAdded"): SubscriptionState.LIVE,
        (SubscriptionState.REMOVED, "SubscriptionAdded"): SubscriptionState.LIVE,
        (SubscriptionState.LIVE, "SubscriptionPaused"): SubscriptionState.PAUSED,
        (SubscriptionState.PAUSED, "SubscriptionResumed"): SubscriptionState.LIVE,
        (SubscriptionState.LIVE, "SubscriptionRemoved"): SubscriptionState.REMOVED,
        (SubscriptionState.PAUSED, "SubscriptionRemoved"): SubscriptionState.REMOVED,
    },
    terminal=frozenset(),
)
