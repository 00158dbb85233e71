"""Prompts through desk and loop on a manual clock: answered, confirmed, aborted, lapsed, and what is judged of them."""

from pathlib import Path

import pytest
from lab_world import World, registration, submission
from prompt_world import measured, mixed, throughout

from lab_inventory.errors import BadInput, Conflict, NotFound
from lab_inventory.measurement import Evidence
from lab_inventory.messages import Assignment, CaseEnded, CaseStatus
from lab_inventory.programme import Programme
from orchestrator.lifecycle.prompt import PromptState, PromptView
from orchestrator.lifecycle.verdict import Judgement, RequirementVerdict, Verdict
from orchestrator.pipeline.attempts import Distrust
from orchestrator.pipeline.rejudge import Impact, rejudge
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.prompts import NoSecondPerson, Prompts
from orchestrator.store import past, prompt_views, views
from orchestrator.store.audit import audit

DAY_S = 86_400.0


class Asked:
    """A world in which one submission of a programme was taken, and the prompt that it opened."""

    def __init__(self, folder: Path, programme: Programme, url: str | None = None) -> None:
        self.world = World(folder, url=url)
        self.world.programme = programme
        self.world.desk.keep_programmes([programme])
        self.prompts = Prompts(self.world.desk)
        request = BatchRequest(title="a batch", programme=programme.id, submissions=(submission(),))
        reply = self.world.desk.submit("operator", request, "key-1")
        self.batch, (self.submission,) = reply.batch, reply.submissions
        (self.prompt,) = self._prompts()

    def _prompts(self) -> tuple[str, ...]:
        with self.world.store.reading() as connection:
            return tuple(one.prompt for one in prompt_views.of_submission(connection, self.submission))

    def view(self) -> PromptView:
        with self.world.store.reading() as connection:
            found = prompt_views.prompt(connection, self.prompt)
        assert found is not None
        return found

    def judgement(self) -> Judgement | None:
        with self.world.store.reading() as connection:
            return views.judgement(connection, self.submission)

    def verdict(self, level: str = "certified") -> RequirementVerdict:
        judgement = self.judgement()
        assert judgement is not None
        (at,) = (one for one in judgement.levels if one.level == level)
        (found,) = (one for one in at.requirements if one.requirement == "M-1")
        return found

    def answer(self, by: str = "opal") -> str:
        return self.prompts.answer(self.prompt, by, "SN 12", measured())

    def run(self) -> Assignment:
        self.world.heartbeat(registration(1))
        (dispatch,) = self.world.tick()
        assignment = self.world.take(dispatch)
        self.world.deliver(assignment, *self.world.whole_run(assignment))
        self.world.tick()
        return assignment

    def findings(self) -> tuple[str, ...]:
        with self.world.store.reading() as connection:
            return audit(connection).findings


@pytest.fixture
def by_hand(tmp_path: Path) -> Asked:
    return Asked(tmp_path, throughout())


def test_a_submission_waits_for_its_people_after_its_runs_and_is_judged_by_both(tmp_path: Path) -> None:
    asked = Asked(tmp_path, mixed())
    asked.run()
    assert asked.judgement() is None
    asked.answer()
    asked.world.tick()
    judgement = asked.judgement()
    assert judgement is not None
    assert (judgement.earned, asked.verdict().verdict) == ("certified", Verdict.PASS)
    assert asked.findings() == ()


def test_a_submission_waits_for_its_runs_after_its_people(tmp_path: Path) -> None:
    asked = Asked(tmp_path, mixed())
    asked.answer()
    asked.world.tick()
    assert asked.judgement() is None
    asked.run()
    assert asked.judgement() is not None


def test_what_the_lab_failed_to_measure_is_tried_again_while_people_are_still_asked(tmp_path: Path) -> None:
    asked = Asked(tmp_path, mixed())
    asked.world.heartbeat(registration(1))
    (dispatch,) = asked.world.tick()
    assignment = asked.world.take(dispatch)
    reports = list(asked.world.whole_run(assignment))
    spoilt = next(n for n, report in enumerate(reports) if isinstance(report.body, CaseEnded))
    case = reports[spoilt].body
    assert isinstance(case, CaseEnded)
    error = CaseEnded(case=case.case, repeat=case.repeat, status=CaseStatus.ERROR, reason="tired", duration_s=1)
    reports[spoilt] = asked.world.report(reports[spoilt].seq, error)
    asked.world.deliver(assignment, *reports)
    again = asked.world.tick() or asked.world.tick()
    assert len(again) == 1
    second = asked.world.take(again[0])
    assert (second.attempt, [one.id for one in second.cases]) == (2, [case.case])
    asked.world.deliver(second, *asked.world.whole_run(second))
    asked.world.tick()
    assert asked.judgement() is None
    asked.answer()
    asked.world.tick()
    assert asked.verdict().verdict is Verdict.PASS


def test_a_programme_that_is_manual_throughout_is_submitted_to_and_judged(by_hand: Asked) -> None:
    by_hand.answer()
    by_hand.world.tick()
    judgement = by_hand.judgement()
    assert judgement is not None
    assert (judgement.earned, judgement.runs) == ("certified", ())
    words = [grounds.words for grounds in by_hand.verdict().grounds]
    assert f"(by opal with meter-1, unit SN 12, prompt {by_hand.prompt})" in words[0]
    assert f"(observed by opal, unit SN 12, prompt {by_hand.prompt})" in words[1]
    assert by_hand.findings() == ()


def test_a_value_beyond_its_limit_fails_by_the_same_algebra(by_hand: Asked) -> None:
    by_hand.prompts.answer(by_hand.prompt, "opal", "SN 12", measured(40.0))
    by_hand.world.tick()
    assert by_hand.verdict().verdict is Verdict.FAIL
    assert "ringer was 40 dB(A) ± 1" in by_hand.verdict().words


def test_an_overdue_calibration_makes_it_inconclusive(by_hand: Asked) -> None:
    due = {"method": "certificate 17", "due_on": "2020-01-01"}
    by_hand.prompts.answer(by_hand.prompt, "opal", "SN 12", measured(calibration=due))
    by_hand.world.tick()
    assert by_hand.verdict().verdict is Verdict.INCONCLUSIVE
    assert "the calibration of meter-1 was due on 2020-01-01 (certificate 17)" in by_hand.verdict().words


def test_a_prompt_lapses_when_its_time_is_over_and_not_before(by_hand: Asked) -> None:
    by_hand.world.clock.advance(14 * DAY_S - 1)
    by_hand.world.tick()
    assert by_hand.view().state is PromptState.OPEN
    by_hand.world.clock.advance(1)
    with pytest.raises(Conflict, match="was over"):
        by_hand.answer()
    by_hand.world.tick()
    assert by_hand.view().state is PromptState.LAPSED
    assert by_hand.verdict().verdict is Verdict.NOT_RUN
    assert f"prompt {by_hand.prompt} was not answered before" in by_hand.verdict().words
    assert by_hand.findings() == ()


def test_an_answer_that_nobody_confirmed_in_time_never_passes(tmp_path: Path) -> None:
    asked = Asked(tmp_path, throughout(second_person=True, timeout_h=2))
    asked.answer()
    asked.world.clock.advance(7200)
    asked.world.tick()
    assert asked.verdict().verdict is Verdict.NOT_RUN
    assert "was not confirmed by a second person before" in asked.verdict().words


def test_another_person_confirms_and_the_one_who_answered_is_refused(tmp_path: Path) -> None:
    asked = Asked(tmp_path, throughout(second_person=True))
    answer = asked.answer()
    asked.world.tick()
    assert asked.judgement() is None
    with pytest.raises(NoSecondPerson) as refused:
        asked.prompts.confirm(asked.prompt, "opal", answer)
    assert refused.value.problems[0].path == "second-person"
    asked.prompts.confirm(asked.prompt, "otto", answer)
    asked.world.tick()
    assert asked.verdict().verdict is Verdict.PASS
    assert "by opal with meter-1, confirmed by otto" in asked.verdict().grounds[0].words
    assert asked.findings() == ()


def test_who_differs_has_it_asked_again_and_an_answer_that_was_differed_from_cannot_be_confirmed(
    tmp_path: Path,
) -> None:
    asked = Asked(tmp_path, throughout(second_person=True))
    first = asked.answer()
    asked.prompts.differ(asked.prompt, "otto", first, "I read 55.")
    assert (asked.view().state, asked.view().answer) == (PromptState.OPEN, None)
    second = asked.answer("otto")
    with pytest.raises(Conflict, match=f"{second} is"):
        asked.prompts.confirm(asked.prompt, "opal", first)
    asked.prompts.confirm(asked.prompt, "opal", second)
    asked.world.tick()
    assert asked.verdict().verdict is Verdict.PASS


def test_whoever_may_answer_aborts_and_the_reason_stands_in_the_verdict(by_hand: Asked) -> None:
    by_hand.prompts.abort(by_hand.prompt, "otto", "No room.")
    by_hand.world.tick()
    assert by_hand.verdict().verdict is Verdict.NOT_RUN
    assert f"prompt {by_hand.prompt} was aborted by otto: No room." in by_hand.verdict().words
    with pytest.raises(Conflict):
        by_hand.prompts.abort(by_hand.prompt, "otto", "Again.")
    with pytest.raises(Conflict):
        by_hand.answer()


def test_an_unconfirmed_answer_can_be_aborted(tmp_path: Path) -> None:
    asked = Asked(tmp_path, throughout(second_person=True))
    asked.answer()
    assert asked.prompts.abort_all(asked.submission, "opal", "The phone broke.") == (asked.prompt,)
    assert asked.prompts.abort_all(asked.submission, "opal", "The phone broke.") == ()
    asked.world.tick()
    assert asked.verdict().verdict is Verdict.NOT_RUN


def test_with_its_batch_a_prompt_is_aborted(by_hand: Asked) -> None:
    by_hand.world.desk.cancel_batch(by_hand.batch, "otto", "withdrawn")
    assert by_hand.view().state is PromptState.ABORTED
    assert by_hand.findings() == ()


def test_what_there_is_not_is_not_found(by_hand: Asked) -> None:
    with pytest.raises(NotFound):
        by_hand.prompts.answer("prm-none", "opal", "SN 12", measured())
    with pytest.raises(NotFound):
        by_hand.prompts.abort("prm-none", "opal", "why")
    with pytest.raises(NotFound):
        by_hand.prompts.abort_all("sub-none", "opal", "why")


def test_a_file_that_was_not_sent_is_refused_and_one_that_was_is_evidence_of_the_certificate(by_hand: Asked) -> None:
    photo = Evidence(
        digest="sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        name="photo.png",
        media_type="image/png",
        size_bytes=3,
    )
    with pytest.raises(BadInput) as refused:
        by_hand.prompts.answer(by_hand.prompt, "opal", "SN 12", measured(), [photo])
    assert refused.value.problems[0].wrong == "photo.png is not here"
    with by_hand.world.desk.artifacts.draft(photo.digest) as draft:
        draft.add(b"foo")
        draft.keep()
    by_hand.prompts.answer(by_hand.prompt, "opal", "SN 12", measured(), [photo])
    by_hand.world.tick()
    assert by_hand.verdict().grounds[0].evidence == (photo.digest,)
    with by_hand.world.store.reading() as connection:
        (document,) = views.documents(connection, by_hand.submission)
    assert photo.digest in document


def test_what_was_answered_by_hand_is_judged_again_to_the_same(tmp_path: Path) -> None:
    asked = Asked(tmp_path, mixed(second_person=True))
    asked.prompts.confirm(asked.prompt, "otto", asked.answer())
    asked.run()
    with asked.world.store.reading() as connection:
        assert past.judged(connection, instrument="meter-1") == (asked.submission,)
        assert past.judged(connection, instrument="meter-2") == ()
        was = past.past(connection, asked.submission)
    again = rejudge(was.view, was.programme, was.judgement)
    assert (again.impact, again.differences) == (Impact.UNCHANGED, ())
    without = rejudge(was.view, was.programme, was.judgement, distrust=Distrust(instrument="meter-1"))
    assert (without.impact, without.measurements) == (Impact.NOT_JUDGEABLE, 1)
    assert without.again == ("M-1 (by hand)",)
    newer = was.programme.model_copy(update={"version": "9.9"})
    other = mixed(second_person=True, instructions="Stand two metres away.")
    assert rejudge(was.view, was.programme, was.judgement, newer).impact is Impact.UNCHANGED
    anew = rejudge(was.view, was.programme, was.judgement, other)
    assert anew.impact is Impact.NOT_JUDGEABLE
    assert "was measured by hand by other instructions" in anew.differences[0].words


def test_on_each_database_a_prompt_is_differed_from_and_lapses(tmp_path: Path, database_url: str) -> None:
    asked = Asked(tmp_path, throughout(second_person=True, timeout_h=1), database_url)
    asked.prompts.differ(asked.prompt, "otto", asked.answer(), "I read 55.")
    asked.world.clock.advance(3600)
    asked.world.tick()
    assert asked.view().state is PromptState.LAPSED
    assert asked.verdict().verdict is Verdict.NOT_RUN
    assert asked.findings() == ()
    asked.world.store.close()


def test_a_restart_forgets_no_prompt(by_hand: Asked) -> None:
    by_hand.world.tick()
    by_hand.world.reopen()
    by_hand.prompts = Prompts(by_hand.world.desk)
    by_hand.answer()
    by_hand.world.tick()
    assert by_hand.verdict().verdict is Verdict.PASS


def test_a_changed_answer_is_found_by_the_audit(by_hand: Asked) -> None:
    by_hand.answer()
    with by_hand.world.store.administering() as connection:
        connection.exec_driver_sql("UPDATE prompt_entries SET body = replace(body, '70.0', '80.0')")
    assert by_hand.findings() == (f"what became of prompt {by_hand.prompt} is not what was journaled",)
