"""Notices of facts."""

import inspect

import small_lab

from lab_inventory.device import Presence
from orchestrator.lifecycle import batch, certificate, device, lease, quarantine, report, run, sample, verdict
from orchestrator.lifecycle.batch import BatchHeld
from orchestrator.lifecycle.device import PresenceObserved
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import RunStarted
from orchestrator.pipeline.publish import Notice, notices

TOPICS = {"devices", "batches", "runs", "quarantine", "certificates", "samples"}


def test_a_notice_says_what_changed_and_nothing_of_its_content() -> None:
    held = BatchHeld(batch="bat-1", by="somebody", reason="a secret")
    assert notices([held]) == (Notice(topic="batches", entity="bat-1", slug="BatchHeld"),)


def test_what_is_said_twice_of_a_thing_is_told_once_and_in_order() -> None:
    started = RunStarted(run="run-1", at=small_lab.NOW)
    seen = PresenceObserved(device="dev-1", presence=Presence.PRESENT, reason="", at=small_lab.NOW)
    assert [notice.entity for notice in notices([started, seen, started])] == ["run-1", "dev-1"]


def test_every_kind_of_fact_belongs_to_a_topic() -> None:
    kinds = {
        kind
        for module in (batch, certificate, device, lease, quarantine, report, run, sample, verdict)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Fact) and kind is not Fact and not name.startswith("_")
    }
    facts = [kind.model_construct(**dict.fromkeys(kind.model_fields, "it-1")) for kind in kinds]
    assert {notice.topic for notice in notices(facts)} <= TOPICS
    assert len(notices(facts)) == len(kinds)
