"""A run's side of scoring: what it asks, in files that its agent carries on, and what became of that.

Asker and carrier each write one kind of file and look at the other.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from agents.durable import write_whole
from agents.measure import evidence_path
from agents.run_directory import RunDirectory
from agents.sound_scores.mode import ASKED, VARIABLE
from agents.sound_scores.places import answer_path, ask_path
from agents.sound_scores.quiet import quiet
from lab_inventory.clock import Clock
from lab_inventory.messages import ScoreReply, ScoreRequest, ScoreStanding, SoundToScore
from lab_inventory.reading import parse_message

LOOK_S = 0.2


class Scorer(Protocol):
    """Gets scores of sounds whose files are kept as evidence of a run."""

    def ask(self, sound: SoundToScore) -> None:
        """Want a score; may be begun with at once where nothing that sends is disturbed. Raises OSError."""
        ...

    async def answers(self, until_s: float) -> dict[SoundToScore, str]:
        """Once nothing of this run sends: the answer to all that was asked, as ``score_files`` gives it.

        One that has not come until then (CLOCK_BOOTTIME) is left out. Raises OSError.
        """
        ...


class ScoresHere:
    """Scores in this process, once its calls are over: for whoever has no agent and no lab beside it."""

    def __init__(self, evidence: Path, clock: Clock) -> None:
        self._evidence = evidence
        self._clock = clock
        self._wanted: dict[SoundToScore, None] = {}

    def ask(self, sound: SoundToScore) -> None:
        """Keep it for later."""
        self._wanted[sound] = None

    async def answers(self, until_s: float) -> dict[SoundToScore, str]:
        """One after another, beside the loop."""
        from agents.sound_scores.compute import score_files  # noqa: PLC0415  (loads numpy only where it scores)

        wanted, self._wanted = self._wanted, {}
        found = {}
        for sound in wanted:
            if self._clock.boottime_s() > until_s:
                break
            files = [evidence_path(self._evidence, address).read_bytes() for address in sound.files]
            found[sound] = await asyncio.to_thread(score_files, sound.model_dump_json(), files)
        return found


class ScoresAsked:
    """Asks through the agent; where only this host could score, quietly, after its own calls and between those of
    other runs.
    """

    def __init__(self, directory: RunDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._places: dict[SoundToScore, int] = {}

    def ask(self, sound: SoundToScore) -> None:
        """Put the question down; the agent begins with it now, away from this host."""
        if sound not in self._places:
            self._places[sound] = len(self._places) + 1
            self._directory.scores.mkdir(mode=0o700, exist_ok=True)
            self._put(sound, sending=True)

    async def answers(self, until_s: float) -> dict[SoundToScore, str]:
        """Look until all have an answer, or the time is over."""
        found: dict[SoundToScore, str] = {}
        left = await self._look(self._places, found, until_s)
        if left:
            try:
                async with asyncio.timeout(max(0.0, until_s - self._clock.boottime_s())), quiet(self._directory.work):
                    for sound in left:
                        self._put(sound, sending=False)
                    await self._look(left, found, until_s)
            except TimeoutError:
                pass
        self._places = {}
        return found

    async def _look(
        self, wanted: Iterable[SoundToScore], found: dict[SoundToScore, str], until_s: float
    ) -> tuple[SoundToScore, ...]:
        """Those that need quiet, once every other has an answer or the time is over."""
        left = dict.fromkeys(wanted)
        need_quiet = []
        while left:
            for sound in tuple(left):
                reply = self._answer(sound)
                if reply is None:
                    continue
                del left[sound]
                if reply.standing is ScoreStanding.NEEDS_QUIET:
                    need_quiet.append(sound)
                else:
                    found[sound] = reply.score or json.dumps({"refused": reply.reason})
            if not left or self._clock.boottime_s() > until_s:
                break
            await asyncio.sleep(LOOK_S)
        return tuple(need_quiet)

    def _put(self, sound: SoundToScore, *, sending: bool) -> None:
        place = self._places[sound]
        request = ScoreRequest(sound=sound, sending=sending)
        answer_path(self._directory.scores, place).unlink(missing_ok=True)
        write_whole(ask_path(self._directory.scores, place), request.model_dump_json().encode(), self._clock)

    def _answer(self, sound: SoundToScore) -> ScoreReply | None:
        path = answer_path(self._directory.scores, self._places[sound])
        try:
            return parse_message(path.read_bytes(), ScoreReply, source=str(path))
        except FileNotFoundError:
            return None


def scorer_for(directory: RunDirectory, clock: Clock, environment: Mapping[str, str]) -> Scorer:
    """Through the agent where there is one that carries questions, else by itself."""
    if environment.get(VARIABLE) == ASKED:
        return ScoresAsked(directory, clock)
    return ScoresHere(directory.evidence_folder, clock)
