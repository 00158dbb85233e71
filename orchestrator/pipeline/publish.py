"""From facts to notices for those who watch: which thing changed, and nothing of its content. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.lifecycle.certificate import DecisionMade
from orchestrator.lifecycle.device import PresenceObserved
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import EvidenceRecorded, ReportQuarantined

_OF_MACHINE = {
    "device": "devices",
    "host": "devices",
    "batch": "batches",
    "submission": "batches",
    "run": "runs",
    "lease": "runs",
    "quarantine": "quarantine",
    "control": "devices",
    "drift": "drifts",
    "certificate": "certificates",
    "report": "batches",
    "review": "reviews",
    "programme": "batches",
    "prompt": "prompts",
    "person": "people",
    "token": "people",
    "subscription": "subscriptions",
    "sample": "samples",
    "waiver": "waivers",
    "signing-key": "certificates",
}
_WITHOUT_A_MACHINE: dict[type[Fact], str] = {
    PresenceObserved: "devices",
    EvidenceRecorded: "runs",
    ReportQuarantined: "runs",
    DecisionMade: "certificates",
}


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something changed: ``topic`` is from a closed set, ``slug`` is the fact's name."""

    topic: str
    entity: str
    slug: str


def notices(facts: Iterable[Fact]) -> tuple[Notice, ...]:
    """One notice for each thing that somebody may be looking at, however often the same was said of it.

    Raises KeyError for a fact that belongs to no topic: a new kind of fact is given one here.
    """
    told = (Notice(topic=_topic(fact), entity=fact.entity, slug=type(fact).__name__) for fact in facts)
    return tuple(dict.fromkeys(told))


def _topic(fact: Fact) -> str:
    return _OF_MACHINE[fact.machine] if fact.machine else _WITHOUT_A_MACHINE[type(fact)]
