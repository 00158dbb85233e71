"""A run whose recordings are scored: by itself, through its agent, quietly, and what happens where no score comes."""

import asyncio
import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_nouns import RememberingLog, assignment, case, directory_for, until
from fake_suite import FakeSuite

from agents import cases
from agents.measure import Procedure, Recorder
from agents.run import Run
from agents.run_directory import RunDirectory
from agents.sound_scores.mode import ASKED, VARIABLE
from agents.sound_scores.places import answer_path, ask_path, unanswered
from agents.sound_scores.quiet import SENDING
from agents.spool import Spool
from agents.suites import OpenSuite
from agents.suites.ip_phone.to_score import SoundWanted, have_scored
from lab_inventory.clock import Clock, SystemClock
from lab_inventory.measurement import Unit
from lab_inventory.messages import (
    Assignment,
    CaseEnded,
    CaseStatus,
    ScoreReply,
    ScoreRequest,
    ScoreStanding,
)
from lab_inventory.programme import TestCase
from tests.agents.sound_scores.sounds import RATE_HZ, received, reference

CASES = (case("sounds", procedure="sounds"), case("plain"))
MEASURES = {"delay_ms": Unit.MILLISECOND, "loss_db": Unit.DECIBEL, "echo_db": Unit.DECIBEL}
INTO = {"loss_db": "heard.gain_db", "echo_db": "returned.level_db"}


class SoundSuite(FakeSuite):
    """Records a sound in one case, and measures something beside it."""

    def __init__(self, assigned: Assignment) -> None:
        super().__init__(assigned)
        sounds = Procedure(id="sounds", measures=MEASURES, carry_out=self._by_name)
        self.procedures = {**self.procedures, "sounds": sounds}

    async def carry_out(self, wanted: TestCase, recorder: Recorder) -> None:
        if wanted.procedure == "sounds":
            sent = reference()
            sound = SoundWanted(reference=sent, received=received(sent), rate_hz=RATE_HZ, codec="PCMU", into=INTO)
            have_scored(recorder, wanted.id, sound)
            recorder.measure("delay_ms", 5.0)
        else:
            await super().carry_out(wanted, recorder)


async def opened(assigned: Assignment, clock: Clock) -> OpenSuite:
    return SoundSuite(assigned)


def case_ends(directory: RunDirectory) -> dict[str, CaseEnded]:
    spool = Spool(directory.spool_path, directory.clock)
    try:
        bodies = [report.body for report in spool.unacknowledged(100)]
    finally:
        spool.close()
    return {body.case: body for body in bodies if isinstance(body, CaseEnded)}


def run_in(directory: RunDirectory) -> Run:
    return Run(directory, SystemClock(), RememberingLog(), find_suite=lambda category: opened)


def nobody_may_send(work: Path) -> bool:
    with (work / SENDING).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def answering(directory: RunDirectory, answer: Callable[[ScoreRequest], ScoreReply]) -> list[ScoreRequest]:
    """What the run asked until it was answered otherwise than that it has to be quiet."""
    asked: list[ScoreRequest] = []
    while True:
        await until(lambda: any(unanswered(directory.scores)))
        (place,) = unanswered(directory.scores)
        asked.append(ScoreRequest.model_validate_json(ask_path(directory.scores, place).read_bytes()))
        reply = answer(asked[-1])
        draft = directory.scores / "draft"
        draft.write_text(reply.model_dump_json())
        draft.rename(answer_path(directory.scores, place))
        if reply.standing is not ScoreStanding.NEEDS_QUIET:
            return asked


SCORED = ScoreReply(
    standing=ScoreStanding.SCORED,
    score=json.dumps({"score": {"method": "sound 1", "heard": {"gain_db": -6.0}, "returned": None}}),
)


async def test_alone_a_run_scores_its_recordings_after_its_cases_and_joins_them(tmp_path: Path) -> None:
    directory = directory_for(tmp_path, assignment(cases=CASES))
    await run_in(directory).carry_out()

    ends = case_ends(directory)
    assert list(ends) == ["plain", "sounds"]
    delay, loss, echo = ends["sounds"].measurements
    assert (delay.value, echo.value) == (5.0, None)
    assert loss.value == pytest.approx(-6.0, abs=0.1)
    assert "sound 1" in loss.note
    assert set(loss.evidence) == {one.digest for one in ends["sounds"].evidence}


async def test_through_its_agent_a_run_asks_at_once_and_again_once_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, ASKED)
    directory = directory_for(tmp_path, assignment(cases=CASES))
    quiet_when_asked: list[bool] = []

    def answer(request: ScoreRequest) -> ScoreReply:
        quiet_when_asked.append(nobody_may_send(directory.work))
        return ScoreReply(standing=ScoreStanding.NEEDS_QUIET) if request.sending else SCORED

    running = asyncio.create_task(run_in(directory).carry_out())
    asked = await answering(directory, answer)
    await running

    assert [one.sending for one in asked] == [True, False]
    assert [one.value for one in case_ends(directory)["sounds"].measurements] == [5.0, -6.0, None]
    assert quiet_when_asked[-1]


@pytest.mark.parametrize("standing", [ScoreStanding.REFUSED, ScoreStanding.WAITING])
async def test_without_a_score_the_case_is_an_error_with_its_evidence_and_the_others_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: ScoreStanding
) -> None:
    monkeypatch.setenv(VARIABLE, ASKED)
    monkeypatch.setattr(cases, "SCORES_WITHIN_S", 0.3)
    directory = directory_for(tmp_path, assignment(cases=CASES))
    running = asyncio.create_task(run_in(directory).carry_out())
    if standing is ScoreStanding.REFUSED:
        await answering(directory, lambda request: ScoreReply(standing=standing, reason="no node can"))
    await running

    ends = case_ends(directory)
    assert ends["plain"].status is CaseStatus.MEASURED
    assert (ends["sounds"].status, ends["sounds"].measurements) == (CaseStatus.ERROR, ())
    assert "could not be scored" in ends["sounds"].reason
    assert len(ends["sounds"].evidence) == 2
