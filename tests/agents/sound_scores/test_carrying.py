"""The agent carries a question until it is answered, with the recordings that the orchestrator misses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_nouns import RememberingLog, assignment, directory_for, until

from agents.measure import keep
from agents.run_directory import RunDirectory
from agents.sound_scores.carrying import ScoreCarrier
from agents.sound_scores.places import answer_path, ask_path
from agents.uplink_events import Trouble
from agents.wire import WireTrouble
from lab_inventory.clock import SystemClock
from lab_inventory.messages import ScoreReply, ScoreRequest, ScoreStanding
from tests.agents.sound_scores.sounds import files, sound_of

CONTENTS = files(0.5)
SOUND = sound_of(CONTENTS)


class FakeWire:
    """Gives its replies one after another, the last again and again."""

    def __init__(self, *replies: ScoreReply | WireTrouble) -> None:
        self.replies = list(replies)
        self.asked: list[ScoreRequest] = []
        self.uploaded: list[str] = []

    async def score(self, request: ScoreRequest) -> ScoreReply:
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, WireTrouble):
            raise reply
        return reply

    async def upload(self, digest: str, path: Path) -> None:
        assert path.read_bytes() in CONTENTS
        self.uploaded.append(digest)


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[RunDirectory]:
    made = directory_for(tmp_path, assignment())
    made.scores.mkdir()
    for address, data in zip(SOUND.files, CONTENTS, strict=True):
        keep(made.evidence_folder, address, data)
    ask_path(made.scores, 1).write_text(ScoreRequest(sound=SOUND, sending=True).model_dump_json())
    yield made


async def carried(directory: RunDirectory, wire: FakeWire) -> ScoreReply:
    carrier = ScoreCarrier(wire, SystemClock(), RememberingLog())  # type: ignore[arg-type]
    try:
        carrier.look([directory])
        await until(answer_path(directory.scores, 1).exists)
        carrier.look([directory])
    finally:
        await carrier.close()
    return ScoreReply.model_validate_json(answer_path(directory.scores, 1).read_bytes())


async def test_missing_recordings_go_up_and_an_orchestrator_that_is_away_is_asked_again(
    directory: RunDirectory,
) -> None:
    scored = ScoreReply(standing=ScoreStanding.SCORED, score="{}")
    away = WireTrouble(Trouble.UNREACHABLE, "nobody answers")
    missing = ScoreReply(standing=ScoreStanding.MISSING_EVIDENCE, missing_evidence=SOUND.files)
    wire = FakeWire(away, missing, scored)

    assert await carried(directory, wire) == scored
    assert set(wire.uploaded) == set(SOUND.files)
    assert len(wire.asked) == 3


async def test_an_orchestrator_that_knows_of_no_scores_refuses_for_good(directory: RunDirectory) -> None:
    wire = FakeWire(WireTrouble(Trouble.REJECTED, "POST /v1/agents/scores: Not Found (status 404)", status=404))

    assert (await carried(directory, wire)).standing is ScoreStanding.REFUSED
    assert len(wire.asked) == 1
