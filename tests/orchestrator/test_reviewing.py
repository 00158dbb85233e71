"""What prevents a decision, on recorded evaluations: who took part, late runs, evidence, the programme."""

import json
from pathlib import Path
from typing import Any

import pytest
from lab_world import TTL_S, World, basic, registration, submission
from sqlalchemy import text

from lab_inventory.canonical import sha256
from lab_inventory.errors import Conflict, NotFound
from lab_inventory.measurement import Evidence
from lab_inventory.messages import Assignment, CaseEnded, RunReport
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes
from orchestrator.authority.impediments import Prevented
from orchestrator.lifecycle.rights import Role
from orchestrator.people import People
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.reviewing import Reviewing
from orchestrator.store import views
from orchestrator.store.audit import audit

FILE = b"a capture"


class Authority:
    """A world in which a programme grants, and what the people of it do."""

    def __init__(self, world: World) -> None:
        self.world = world
        fields = json.loads(basic().model_dump_json())
        granting = Programme.model_validate(fields | {"id": "granting", "demonstration": False})
        self.offer(granting)
        self.reviewing = Reviewing(world.desk, world.loop._granting._signer)

    def offer(self, *more: Programme) -> None:
        self.world.desk.keep_programmes([*shipped_programmes(), *more])

    def queue(self, by: str = "opal", key: str = "key-1") -> str:
        request = BatchRequest(title="a batch", programme="granting", submissions=(submission(),))
        reply = self.world.desk.submit(by, request, key)
        self.batch = reply.batch
        return reply.submissions[0]

    def run(self) -> Assignment:
        self.world.heartbeat(registration(1))
        (dispatch,) = self.world.tick()
        return self.world.take(dispatch)

    def measure(self, assignment: Assignment, file: bytes = FILE) -> None:
        """Every report of a run that went well, one with a file of evidence."""
        self.world.deliver(assignment, *self.reports(assignment, file))
        self.world.tick()

    def reports(self, assignment: Assignment, file: bytes = FILE) -> tuple[RunReport, ...]:
        artifacts = self.world.desk.artifacts
        with artifacts.draft(sha256(file)) as draft:
            draft.add(file)
            draft.keep()
        named = Evidence(digest=sha256(file), name="capture", media_type="text/plain", size_bytes=len(file))
        reports = list(self.world.whole_run(assignment))
        first = next(n for n, report in enumerate(reports) if isinstance(report.body, CaseEnded))
        body = reports[first].body.model_copy(update={"evidence": (named,)})
        reports[first] = reports[first].model_copy(update={"body": body})
        return tuple(reports)

    def judged(self, by: str = "opal", key: str = "key-1") -> str:
        queued = self.queue(by, key)
        self.measure(self.run())
        return queued

    def recommended(self, **who: str) -> str:
        queued = self.judged(**who)
        self.reviewing.recommend(queued, "rita", "certified", "because")
        return queued

    def refused_by(self, submission: str, by: str = "dora", level: str | None = "certified") -> list[tuple[str, str]]:
        """The rules and words with which a decision is refused; none where it is made."""
        try:
            self.reviewing.decide(submission, by, level, "because")
        except Prevented as prevented:
            return [(problem.path, problem.wrong) for problem in prevented.problems]
        return []

    def findings(self) -> tuple[str, ...]:
        with self.world.store.reading() as connection:
            return audit(connection).findings


@pytest.fixture
def authority(world: World) -> Authority:
    return Authority(world)


def test_a_submission_that_nothing_prevents_is_granted_once(authority: Authority) -> None:
    queued = authority.recommended()
    made = authority.reviewing.decide(queued, "dora", "certified", "because")
    with authority.world.store.reading() as connection:
        (document,) = views.documents(connection, queued)
    assert json.loads(document)["certificate"]["certificate"] == made.certificate
    assert authority.refused_by(queued)[0] == ("review-ended", f"it was decided already: {made.decision}")
    assert authority.findings() == ()


def test_a_demonstration_is_not_reviewed(authority: Authority) -> None:
    world = authority.world
    world.submit()
    authority.measure(authority.run())
    with world.store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM reviews")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM certificates")).scalar_one() == 1


@pytest.mark.parametrize(
    ("order", "did"),
    [
        (lambda desk, batch: desk.hold_batch(batch, "dora", ""), "dora held the batch bat-"),
        (lambda desk, batch: desk.release_batch(batch, "dora"), "dora released the batch bat-"),
        (lambda desk, batch: desk.drain_host("host-1", "dora", ""), "dora drained the host host-1"),
        (lambda desk, batch: desk.undrain_host("host-1", "dora"), "dora put back the host host-1"),
    ],
)
def test_who_ordered_about_the_batch_or_the_lab_meanwhile_took_part(authority: Authority, order: Any, did: str) -> None:
    queued = authority.queue()
    assignment = authority.run()
    desk = authority.world.desk
    if "released" in did:
        desk.hold_batch(authority.batch, "opal", "")
    if "put back" in did:
        desk.drain_host("host-1", "opal", "")
    order(desk, authority.batch)
    authority.measure(assignment)
    authority.reviewing.recommend(queued, "rita", "certified", "because")
    ((rule, words),) = authority.refused_by(queued)
    assert rule == "decider-took-part"
    assert did in words
    assert authority.refused_by(queued, "dan") == []


def test_who_held_the_unit_meanwhile_took_part_and_who_held_it_before_or_after_did_not(authority: Authority) -> None:
    world = authority.world
    world.heartbeat(registration(1))
    with world.store.reading() as connection:
        device = views.devices(connection)[0].device
    world.desk.hold_device(device, "before", "")
    world.desk.release_device(device, "before")
    queued = authority.queue()
    assignment = authority.run()
    world.desk.hold_device(device, "meanwhile", "")
    authority.measure(assignment)
    world.desk.release_device(device, "after")
    authority.reviewing.recommend(queued, "rita", "certified", "because")
    ((rule, words),) = authority.refused_by(queued, "meanwhile")
    assert (rule, words) == ("decider-took-part", f"meanwhile held the unit {device}")
    for name in ("before", "after"):
        dossier = authority.reviewing.dossier(queued, name)
        assert name not in {part.person for part in dossier.parts}
    assert authority.refused_by(queued, "after") == []


def test_a_reviewer_who_took_part_later_prevents_what_they_recommended(authority: Authority) -> None:
    queued = authority.judged()
    authority.reviewing.ask(queued, "rita", "Which handset?")
    authority.reviewing.answer(queued, "rita", "It is mine to answer, too.", None)
    with pytest.raises(Prevented, match="reviewer-took-part"):
        authority.reviewing.recommend(queued, "rita", "certified", "because")
    authority.reviewing.recommend(queued, "ruth", "certified", "because")
    assert [rule for rule, _ in authority.refused_by(queued, level=None)] == ["reviewer-took-part"]


def test_a_vendor_that_a_decider_stood_for_is_remembered(authority: Authority) -> None:
    people = People(authority.world.store, authority.world.clock)
    people.add("dora", (Role.VENDOR,), "acme", "anna")
    people.change("dora", (Role.DECIDER,), None, "anna")
    queued = authority.recommended()
    assert authority.refused_by(queued) == [("decider-took-part", "dora is or was of the vendor Acme")]


def test_evidence_that_is_missing_or_damaged_prevents_a_grant_and_no_refusal(authority: Authority) -> None:
    queued = authority.recommended()
    path: Path = authority.world.desk.artifacts.path(sha256(FILE))
    path.chmod(0o600)
    path.write_bytes(b"another capture")
    ((rule, words),) = authority.refused_by(queued)
    assert (rule, words) == ("evidence-damaged", f"{sha256(FILE)} has another content than it had")
    path.unlink()
    assert authority.refused_by(queued) == [("evidence-missing", f"{sha256(FILE)} is not in the artifact store")]
    assert authority.refused_by(queued, level=None) == []


def test_everything_that_prevents_a_grant_is_said_at_once(authority: Authority) -> None:
    queued = authority.judged(by="dora")
    authority.reviewing.ask(queued, "rita", "Which handset?")
    authority.world.desk.artifacts.path(sha256(FILE)).unlink()
    authority.offer()
    assert [rule for rule, _ in authority.refused_by(queued, level="gold")] == [
        "no-recommendation",
        "open-questions",
        "decider-took-part",
        "evidence-missing",
        "level-not-earned",
        "programme-withdrawn",
    ]


def test_a_programme_of_which_no_version_is_offered_prevents_a_grant_and_a_newer_version_does_not(
    authority: Authority,
) -> None:
    queued = authority.recommended()
    authority.offer()
    assert [rule for rule, _ in authority.refused_by(queued)] == ["programme-withdrawn"]
    fields = json.loads(basic().model_dump_json())
    newer = Programme.model_validate(fields | {"id": "granting", "version": "9.0", "demonstration": False})
    authority.offer(newer)
    assert authority.refused_by(queued) == []


def test_a_run_that_was_judged_though_its_lease_had_lapsed_prevents_a_grant(authority: Authority) -> None:
    """Its reports came late and count: whether they may grant anything, another submission has to show."""
    queued = authority.queue()
    late = authority.run()
    authority.world.clock.advance(TTL_S + 1)
    authority.world.tick()
    assert authority.world.state(late.run) == "lapsed"
    authority.measure(late)
    authority.measure(authority.run())
    authority.reviewing.recommend(queued, "rita", "certified", "because")
    ((rule, words),) = authority.refused_by(queued)
    assert (rule, words) == ("run-late", f"{late.run} was judged, and its lease lapsed before it ended")


def test_a_report_that_is_kept_apart_prevents_a_grant(authority: Authority) -> None:
    queued = authority.queue()
    assignment = authority.run()
    reports = authority.reports(assignment)
    authority.measure(assignment)
    authority.reviewing.recommend(queued, "rita", "certified", "because")
    changed = reports[3].model_copy(update={"body": reports[4].body})
    authority.world.deliver(assignment, changed)
    ((rule, words),) = authority.refused_by(queued)
    assert (rule, words) == ("run-late", f"{assignment.run} was judged, and 1 of its reports are in quarantine")


def test_a_question_after_a_recommendation_takes_it_back(authority: Authority) -> None:
    queued = authority.recommended()
    authority.reviewing.ask(queued, "ruth", "And the base?")
    authority.reviewing.answer(queued, "acme", "B1.", "Acme")
    assert [rule for rule, _ in authority.refused_by(queued)] == ["no-recommendation"]
    authority.reviewing.recommend(queued, "rita", "works-with", "because")
    assert authority.refused_by(queued) == []


def test_only_a_question_that_waits_is_answered_and_one_waits_at_a_time(authority: Authority) -> None:
    queued = authority.judged()
    with pytest.raises(Conflict, match="no question that waits"):
        authority.reviewing.answer(queued, "acme", "What?", None)
    authority.reviewing.ask(queued, "rita", "Which handset?")
    with pytest.raises(Conflict, match="QuestionAsked does not follow"):
        authority.reviewing.ask(queued, "rita", "Which base?")
    with pytest.raises(NotFound):
        authority.reviewing.answer(queued, "eve", "Any.", "Eve Phones")


CHANGED_BY_HAND = [
    ("UPDATE reviews SET state='recommended'", "the journal says decided"),
    ("UPDATE reviews SET judgement_digest='sha256:0'", "judgement_digest is sha256:0"),
    ("UPDATE reviews SET decision=NULL", "decision is None"),
    ("UPDATE review_entries SET body=replace(body,'because','no reason')", "what was said in the review of sub-"),
    ("UPDATE review_entries SET body=replace(body,'rita','ruth')", "what was said in the review of sub-"),
    ("UPDATE review_entries SET body='['", "what was said in the review of sub-"),
    ("UPDATE review_entries SET kind='Returned'", "what was said in the review of sub-"),
    ("DELETE FROM review_entries", "what was said in the review of sub-"),
    ("UPDATE batches SET by='somebody'", "was queued by somebody else"),
    ("UPDATE decisions SET body=replace(body,'because','no reason')", "is not the one that was journaled"),
]


@pytest.mark.parametrize(("statement", "words"), CHANGED_BY_HAND)
def test_what_is_changed_by_hand_is_found(authority: Authority, statement: str, words: str) -> None:
    queued = authority.recommended()
    authority.reviewing.decide(queued, "dora", "certified", "because")
    assert authority.findings() == ()
    if authority.world.url.startswith("postgresql"):
        statement = statement.replace(" by=", ' "by"=')
    with authority.world.store.administering() as connection:
        assert connection.execute(text(statement)).rowcount > 0
    assert words in "\n".join(authority.findings())
