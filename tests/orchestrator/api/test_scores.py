"""Agents ask for the scores of recordings: missing files first, then Ray's answer, remembered and never made up."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab_server import LabServer

from agents.logs import JsonLog
from agents.measure import keep
from agents.run_directory import RunDirectory
from agents.sound_scores.carrying import ScoreCarrier
from agents.sound_scores.compute import score_files
from agents.sound_scores.places import answer_path, ask_path
from agents.wire import Wire
from lab_inventory.canonical import sha256
from lab_inventory.clock import SystemClock
from lab_inventory.messages import ScoreReply, ScoreRequest
from orchestrator.dispatch.lines import Scored
from orchestrator.dispatch.port import ScoreWanted
from tests.agents.sound_scores.sounds import files, sound_of

FILES = (b"what was sent", b"what came")
SOUND = {"reference": sha256(FILES[0]), "received": sha256(FILES[1]), "codec": "PCMU"}
SCORE = '{"score": {}}'


class Scorers:
    """Stands for Ray; gives its answers one after another."""

    def __init__(self, *answers: Scored) -> None:
        self.answers = list(answers)
        self.wanted: list[ScoreWanted] = []

    async def __call__(self, wanted: ScoreWanted) -> Scored:
        self.wanted.append(wanted)
        return self.answers.pop(0)


@pytest.fixture
def scorers(server: LabServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scorers]:
    def stand_in(*answers: Scored) -> Scorers:
        made = Scorers(*answers)
        monkeypatch.setattr(server.parts.dispatcher, "score", made)
        return made

    return stand_in


async def ask(server: LabServer, *, sending: bool = True) -> dict[str, Any]:
    answer = await server.agent.post("/v1/agents/scores", json={"sound": SOUND, "sending": sending})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def upload(server: LabServer) -> None:
    for data in FILES:
        assert (await server.agent.put(f"/v1/artifacts/{sha256(data)}", content=data)).status_code in (200, 201)


async def test_what_is_missing_is_asked_for_and_then_the_score_comes_and_is_remembered(
    server: LabServer, scorers: Callable[..., Scorers]
) -> None:
    await server.join()
    ray = scorers(Scored(call=1, score=SCORE, ray_node="node-9"))

    missing = await ask(server)
    await upload(server)
    told, again = await ask(server), await ask(server)

    assert missing["standing"] == "missing-evidence"
    assert set(missing["missing_evidence"]) == {SOUND["reference"], SOUND["received"]}
    assert (told["standing"], told["score"], told["ray_node"]) == ("scored", SCORE, "node-9")
    assert again == told
    (wanted,) = ray.wanted
    assert (wanted.host, wanted.sending, wanted.benches) == ("host-1", True, ("host-1",))
    assert [Path(path).read_bytes() for path in wanted.files] == list(FILES)


async def test_what_is_not_known_is_asked_of_ray_again(server: LabServer, scorers: Callable[..., Scorers]) -> None:
    await server.join()
    await upload(server)
    scorers(Scored(call=1, score=None, reason="the node died"), Scored(call=2, score=SCORE))

    first, second = await ask(server), await ask(server)

    assert (first["standing"], first["reason"]) == ("waiting", "the node died")
    assert second["standing"] == "scored"


async def test_where_only_the_bench_could_score_it_has_to_be_quiet_and_without_a_node_nothing_can(
    server: LabServer, scorers: Callable[..., Scorers]
) -> None:
    await server.join()
    await upload(server)
    nowhere = Scored(call=1, score=None, nowhere=True, reason="no node")
    scorers(nowhere, nowhere)

    assert (await ask(server, sending=True))["standing"] == "needs-quiet"
    assert (await ask(server, sending=False))["standing"] == "refused"


async def test_nobody_but_an_agent_may_ask(server: LabServer) -> None:
    answer = await server.operator.post("/v1/agents/scores", json={"sound": SOUND, "sending": True})

    assert answer.status_code in (401, 403)


class Credential:
    """The credential that the agent got when it joined."""

    def __init__(self, credential: str) -> None:
        self._credential = credential

    async def credential(self, wire: Wire, refused: str = "") -> str:
        return self._credential


async def test_an_agent_carries_a_question_to_the_server_and_brings_back_the_score(
    server: LabServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def ray(wanted: ScoreWanted) -> Scored:
        contents = [Path(file).read_bytes() for file in wanted.files]
        return Scored(call=1, score=score_files(wanted.sound_json, contents))

    monkeypatch.setattr(server.parts.dispatcher, "score", ray)
    await server.join()
    directory = RunDirectory(tmp_path / "run-1", SystemClock())
    contents = files()
    for folder in (directory.scores, directory.evidence_folder):
        folder.mkdir(parents=True)
    for data in contents:
        keep(directory.evidence_folder, sha256(data), data)
    request = ScoreRequest(sound=sound_of(contents), sending=True)
    ask_path(directory.scores, 1).write_text(request.model_dump_json())
    wire = Wire(server.address, timeout_s=30)
    wire.use_credentials(Credential(server.agent.headers["Authorization"].removeprefix("Bearer ")))
    carrier = ScoreCarrier(wire, SystemClock(), JsonLog(SystemClock()))

    async with asyncio.timeout(30):
        while not answer_path(directory.scores, 1).exists():
            carrier.look([directory])
            await asyncio.sleep(0.05)
    await carrier.close()
    await wire.close()

    reply = ScoreReply.model_validate_json(answer_path(directory.scores, 1).read_bytes())
    assert reply.score == score_files(request.sound.model_dump_json(), contents)
