"""Decisions and the certificates that rest on them."""

from dataclasses import replace

import pytest
import small_programme as small

from lab_inventory.canonical import digest
from lab_inventory.clock import ManualClock
from lab_inventory.errors import InvariantBroken
from lab_inventory.measurement import Evidence
from lab_inventory.programme import Programme
from orchestrator.lifecycle.certificate import Certificate, DecisionMade
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.pipeline.certify import NeedsDecision, decide, draft
from orchestrator.pipeline.judge import judge

CLOCK = ManualClock()
GRANTED = small.programme(demonstration=False)


def address(character: str) -> str:
    return "sha256:" + character * 64


def well_measured(against: Programme = small.SMALL) -> SubmissionView:
    """Everything well, with a file that a measurement names and one that a case names."""
    ringing = small.measured("ringing_ms", 100.0).model_copy(update={"evidence": (address("b"),)})
    trace = Evidence(digest=address("a"), name="trace", media_type="text/plain", size_bytes=1)
    case = small.ended("TC-1", 1, ringing_ms=ringing).model_copy(update={"evidence": (trace,)})
    return small.view(small.attempt(1, *small.all_well(case)), against=against)


def decided(view: SubmissionView, programme: Programme = small.SMALL) -> tuple[Judgement, DecisionMade]:
    judgement = judge(view, programme)
    decision = decide(judgement, programme, small.NOW, CLOCK.new_id)
    assert isinstance(decision, DecisionMade)
    return judgement, decision


def drafted(
    decision: DecisionMade, judgement: Judgement, view: SubmissionView, programme: Programme = small.SMALL
) -> Certificate | None:
    return draft(
        decision,
        judgement,
        view,
        programme,
        issuer="Test lab",
        lab="test",
        journal_head=address("e"),
        journal_length=7,
        new_id=CLOCK.new_id,
    )


def test_a_demonstration_is_decided_automatically_and_says_that_it_grants_nothing() -> None:
    _, decision = decided(well_measured())
    assert (decision.level, decision.automatic) == ("certified", True)
    assert decision.words == "DEMONSTRATION, grants nothing: Certified is met"


def test_a_demonstration_that_earned_nothing_is_decided_too_and_gets_no_certificate() -> None:
    view = small.view(small.attempt(1))
    judgement, decision = decided(view)
    assert decision.level is None
    assert decision.words == "DEMONSTRATION, grants nothing: no level of Small is met"
    assert drafted(decision, judgement, view) is None


def test_any_other_programme_waits_for_a_person_who_took_no_part() -> None:
    judgement = judge(well_measured(GRANTED), GRANTED)
    answer = decide(judgement, GRANTED, small.NOW, CLOCK.new_id)
    assert isinstance(answer, NeedsDecision)
    assert "took no part" in answer.words


def test_a_certificate_names_everything_it_rests_on() -> None:
    view = well_measured()
    judgement, decision = decided(view)
    certificate = drafted(decision, judgement, view)
    assert certificate is not None
    assert certificate.notice.startswith("DEMONSTRATION, grants nothing")
    assert (certificate.level, certificate.level_title) == ("certified", "Certified")
    assert (certificate.product, certificate.hardware_revision, certificate.mode) == (
        view.content.product,
        view.content.hardware_revision,
        view.content.mode,
    )
    assert certificate.programme_digest == small.SMALL.digest
    assert certificate.judgement_digest == digest(judgement)
    assert certificate.evidence_digest == judgement.evidence_digest
    assert certificate.evidence == (address("a"), address("b"))
    assert certificate.runs == ("run-1",)
    assert (certificate.decision, certificate.decided_by) == (decision.decision, decision.by)
    assert (certificate.journal_head, certificate.journal_length) == (address("e"), 7)
    assert (certificate.profile_covers, certificate.profile_does_not_cover) == ("all", "nothing")


def test_a_certificate_of_a_programme_that_grants_carries_no_notice_of_a_demonstration() -> None:
    view = well_measured(GRANTED)
    judgement = judge(view, GRANTED)
    decision = DecisionMade(
        decision="dec-1",
        submission=view.submission,
        level="certified",
        automatic=False,
        by="reviewer",
        words="granted",
        at=small.NOW,
    )
    certificate = drafted(decision, judgement, view, GRANTED)
    assert certificate is not None
    assert (certificate.demonstration, certificate.notice, certificate.decided_by) == (False, "", "reviewer")


def test_a_level_that_was_not_earned_is_never_certified() -> None:
    view = small.view(small.attempt(1, *small.all_well(small.ended("TC-2", lost=1))))
    judgement, decision = decided(view)
    assert decision.level == "works-with"
    with pytest.raises(InvariantBroken, match="not earned"):
        drafted(decision.model_copy(update={"level": "certified"}), judgement, view)


def test_a_decision_about_another_submission_certifies_nothing() -> None:
    view = well_measured()
    judgement, decision = decided(view)
    with pytest.raises(InvariantBroken):
        drafted(decision.model_copy(update={"submission": "sub-2"}), judgement, view)


def test_other_reports_than_were_judged_are_never_certified() -> None:
    view = well_measured()
    judgement, decision = decided(view)
    with pytest.raises(InvariantBroken, match="other reports"):
        drafted(decision, judgement, replace(view, reports=view.reports[:-1]))


def test_another_programme_than_it_was_judged_against_is_never_certified() -> None:
    view = well_measured()
    judgement, decision = decided(view)
    with pytest.raises(InvariantBroken, match="another programme"):
        drafted(decision, judgement, view, small.programme(title="Other"))


def test_what_is_certified_is_the_set_that_was_submitted() -> None:
    part = {"name": "dongle", "version": "7", "digest": address("c")}
    host = {"kind": "host", "product": "Acme Two", "version": "3.1"}
    content = small.content(region="EMEA", components=[part], companions=[host])
    view = small.view(small.attempt(1, *small.all_well()), of=content)
    judgement, decision = decided(view)
    certificate = drafted(decision, judgement, view)
    assert certificate is not None
    assert certificate.region == "EMEA"
    assert certificate.components == content.components
    assert certificate.companions == content.companions
    plain = well_measured()
    judgement, decision = decided(plain)
    without = drafted(decision, judgement, plain)
    assert without is not None
    assert not {"region", "components", "companions"} & set(without.model_dump(mode="json"))
