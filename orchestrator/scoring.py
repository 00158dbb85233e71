"""Scores of recordings that agents ask for: handed to Ray, and remembered for a while.

Holds nothing that matters: what is forgotten in a restart is asked for again, and comes out the same. Used on the
server's event loop only.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from lab_inventory.messages import SCORE_BYTES_MAX, ScoreReply, ScoreRequest, ScoreStanding, SoundToScore
from orchestrator.dispatch.lines import Scored
from orchestrator.dispatch.port import Dispatcher, ScoreWanted
from orchestrator.store.artifacts import Artifacts

WAIT_S = 5.0
"""How long a request is held open for its score: shorter than an agent waits for an answer."""
KEPT_MAX = 500
GOING_MAX = 64

Key = tuple[str, SoundToScore, bool]


class Scoring:
    """What is being scored, and what came of it lately. ``benches``: the hosts that have a bench."""

    def __init__(self, artifacts: Artifacts, dispatcher: Dispatcher, benches: Callable[[], frozenset[str]]) -> None:
        self._artifacts = artifacts
        self._dispatcher = dispatcher
        self._benches = benches
        self._going: dict[Key, asyncio.Task[Scored]] = {}
        self._kept: OrderedDict[SoundToScore, Scored] = OrderedDict()

    async def ask(self, host: str, request: ScoreRequest) -> ScoreReply:
        """How the score that a host asks for stands, after a while at most."""
        sound = request.sound
        if sound in self._kept:
            return _reply(self._kept[sound], request)
        missing = tuple(dict.fromkeys(one for one in sound.files if not self._artifacts.has(one)))
        if missing:
            return ScoreReply(standing=ScoreStanding.MISSING_EVIDENCE, missing_evidence=missing)
        key = (host, sound, request.sending)
        task = self._going.get(key)
        if task is None:
            if len(self._going) >= GOING_MAX:
                return ScoreReply(standing=ScoreStanding.WAITING, reason="many recordings are being scored")
            task = self._going[key] = asyncio.create_task(self._score(key))
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        return _reply(task.result(), request) if done else ScoreReply(standing=ScoreStanding.WAITING)

    async def _score(self, key: Key) -> Scored:
        host, sound, sending = key
        try:
            benches = await asyncio.to_thread(self._benches)
            wanted = ScoreWanted(
                host=host,
                sending=sending,
                benches=tuple(sorted(benches)),
                sound_json=sound.model_dump_json(),
                files=tuple(str(self._artifacts.path(one)) for one in sound.files),
            )
            told = await self._dispatcher.score(wanted)
        finally:
            del self._going[key]
        if told.score is not None and len(told.score.encode()) <= SCORE_BYTES_MAX:
            self._kept[sound] = told
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return told


def _reply(told: Scored, request: ScoreRequest) -> ScoreReply:
    """What is not known is asked for again; what no node may do now needs quiet, or another node."""
    if told.score is not None and len(told.score.encode()) <= SCORE_BYTES_MAX:
        return ScoreReply(standing=ScoreStanding.SCORED, score=told.score, ray_node=told.ray_node[:120])
    if told.score is not None:
        return ScoreReply(standing=ScoreStanding.REFUSED, reason="the score is longer than what is told of one")
    if told.nowhere:
        standing = ScoreStanding.NEEDS_QUIET if request.sending else ScoreStanding.REFUSED
        return ScoreReply(standing=standing, reason=told.reason[:2000])
    return ScoreReply(standing=ScoreStanding.WAITING, reason=told.reason[:2000])
