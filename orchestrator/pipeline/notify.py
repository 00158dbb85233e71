"""From rows of the journal to what subscribers are told, and when a notice that failed is tried again. Pure.

The journal is the outbox: it is committed with what it tells of, so nothing is told that did not happen, and nothing
that happened is forgotten by a crash. A subscription remembers the row up to which everything was delivered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

EVENTS: Mapping[str, str] = {
    "batch.accepted": "BatchAccepted",
    "batch.completed": "BatchCompleted",
    "batch.cancelled": "BatchCancelled",
    "batch.held": "BatchHeld",
    "submission.judged": "SubmissionJudged",
    "certificate.granted": "CertificateGranted",
    "certificate.provisionally-granted": "CertificateProvisionallyGranted",
    "certificate.confirmed": "CertificateConfirmed",
    "certificate.suspended": "CertificateSuspended",
    "certificate.reinstated": "CertificateReinstated",
    "certificate.reduced": "CertificateReduced",
    "certificate.extended": "CertificateExtended",
    "certificate.expired": "CertificateExpired",
    "certificate.withdrawn": "CertificateWithdrawn",
    "certificate.revoked": "CertificateRevoked",
    "review.opened": "ReviewOpened",
    "review.question-asked": "QuestionAsked",
    "review.question-answered": "QuestionAnswered",
    "review.recommended": "Recommended",
    "review.returned": "Returned",
    "review.decided": "ReviewDecided",
    "waiver.proposed": "WaiverProposed",
    "waiver.approved": "WaiverApproved",
    "waiver.refused": "WaiverRefused",
    "waiver.revoked": "WaiverRevoked",
    "waiver.lapsed": "WaiverLapsed",
    "prompt.opened": "PromptOpened",
    "prompt.answered": "PromptAnswered",
    "prompt.answered-by-one": "PromptAnsweredByOne",
    "prompt.confirmed": "PromptConfirmed",
    "prompt.differed": "PromptDiffered",
    "prompt.aborted": "PromptAborted",
    "prompt.lapsed": "PromptLapsed",
    "run.errored": "RunErrored",
    "run.lapsed": "RunLapsed",
    "device.registered": "DeviceRegistered",
    "device.changed": "DeviceChanged",
    "device.held": "DeviceHeld",
    "device.released": "DeviceReleased",
    "quarantine.begun": "Quarantined",
    "quarantine.needs-person": "RecoveryGivenUp",
    "quarantine.ended": "QuarantineEnded",
    "host.drained": "HostDrained",
    "host.undrained": "HostUndrained",
    "person.added": "PersonAdded",
    "person.roles-changed": "RolesChanged",
    "person.disabled": "PersonDisabled",
}
"""What can be subscribed to, and the fact of the journal that each is."""

OF_PEOPLE = frozenset(name for name in EVENTS if name.startswith("person."))
"""Events that only who may let people in is told."""

FIRST_AGAIN_S = 10.0
AGAIN_MAX_S = 3600.0
GIVE_UP_AFTER = timedelta(hours=24)
ROWS_BEHIND_MAX = 50_000
"""A subscription that is further behind begins again here; how many rows were passed over is counted and shown."""

_PAGES = {
    "batch": "batches",
    "submission": "submissions",
    "device": "devices",
    "certificate": "certificates",
    "review": "reviews",
    "waiver": "waivers",
    "prompt": "prompts",
}
_SHOWN = frozenset({"earned", "level", "by", "submission", "batch"})
_NAMES = {fact: event for event, fact in EVENTS.items()}


@dataclass(frozen=True, kw_only=True)
class JournaledEvent:
    """A row of the journal that can be told: the event's name, its time, and the ids that the journal has."""

    seq: int
    event: str
    at: str
    machine: str
    entity: str
    body: Mapping[str, Any]

    def notice(self, server: str) -> dict[str, Any]:
        """What is sent: ids and the page to look at; nothing that only some may see of a product."""
        shown = {name: value for name, value in self.body.items() if name in _SHOWN}
        page = _PAGES.get(self.machine)
        data = {self.machine: self.entity, **shown}
        if page:
            data["link"] = f"{server}/{page}/{self.entity}"
        return {"type": self.event, "timestamp": self.at, "data": data}

    def in_words(self) -> str:
        """A line for people."""
        what = f"{self.machine} {self.entity}"
        earned = self.body.get("earned")
        if self.event == "submission.judged":
            return f"{what} was judged: {'no level' if earned in (None, 'none') else earned}"
        return f"{what}: {self.event.partition('.')[2].replace('-', ' ')}"


def event_of(fact: str) -> str:
    """The event that a fact of the journal is; raises KeyError for one that can not be subscribed to."""
    return _NAMES[fact]


def again_after_s(tries: int) -> float:
    """How long to wait after so many failed tries of one notice, before chance spreads it: doubled up to an hour."""
    return float(min(AGAIN_MAX_S, FIRST_AGAIN_S * 2 ** min(tries - 1, 20)))


def gives_up(failing_since: datetime, now: datetime) -> bool:
    """Whether a notice failed for so long that a person must look."""
    return now - failing_since >= GIVE_UP_AFTER
