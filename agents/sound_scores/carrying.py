"""The agent's side of scoring: carries each question of its runs to the orchestrator until it is answered.

Nothing is kept but the files: after a crash the next agent finds the questions that have no answer, and asks them.
"""

import asyncio
from collections.abc import Iterable

from agents.durable import write_whole
from agents.logs import Log
from agents.measure import evidence_path
from agents.run_directory import RunDirectory
from agents.sound_scores.places import answer_path, ask_path, unanswered
from agents.uplink_events import Trouble
from agents.wire import Wire, WireTrouble
from agents.words import as_text, describe
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.messages import ScoreReply, ScoreRequest, ScoreStanding
from lab_inventory.reading import parse_message

AGAIN_S = 0.5
AT_ONCE_MAX = 4
_ENDS = frozenset({ScoreStanding.SCORED, ScoreStanding.NEEDS_QUIET, ScoreStanding.REFUSED})

Place = tuple[str, int]


class ScoreCarrier:
    """One agent's questions on their way; ``look`` is called again and again, on a running event loop."""

    def __init__(self, wire: Wire, clock: Clock, log: Log) -> None:
        self._wire = wire
        self._clock = clock
        self._log = log
        self._carried: dict[Place, asyncio.Task[None]] = {}

    def look(self, directories: Iterable[RunDirectory]) -> None:
        """Begin with the questions of these runs that nobody carries yet; give up those of other runs."""
        wanted = {(one.run, place): one for one in directories for place in unanswered(one.scores)}
        for place in [place for place, task in self._carried.items() if place not in wanted or task.done()]:
            self._carried.pop(place).cancel()
        for place, directory in wanted.items():
            if place not in self._carried and len(self._carried) < AT_ONCE_MAX:
                self._carried[place] = asyncio.create_task(self._carry(directory, place[1]))

    async def close(self) -> None:
        """Carry nothing any more; what has no answer is asked again by the next agent."""
        tasks = list(self._carried.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, directory: RunDirectory, place: int) -> None:
        try:
            while True:
                # Read again each time: the run asks otherwise once it does not send any more.
                path = ask_path(directory.scores, place)
                request = parse_message(path.read_bytes(), ScoreRequest, source=str(path))
                reply = await self._ask(directory, request)
                if reply.standing in _ENDS:
                    break
                await asyncio.sleep(AGAIN_S)
            data = reply.model_dump_json().encode()
            write_whole(answer_path(directory.scores, place), data, self._clock)
            self._log.info("recording-answered", run=directory.run, standing=reply.standing, ray_node=reply.ray_node)
        except (OSError, AssayError) as error:  # looked at again, as long as the run is held
            self._log.warning("recording-not-carried", run=directory.run, error=describe(error))
            await asyncio.sleep(AGAIN_S)

    async def _ask(self, directory: RunDirectory, request: ScoreRequest) -> ScoreReply:
        try:
            reply = await self._wire.score(request)
            for digest in set(reply.missing_evidence) & set(request.sound.files):
                await self._wire.upload(digest, evidence_path(directory.evidence_folder, digest))
        except WireTrouble as error:
            if error.trouble is Trouble.REJECTED:
                return ScoreReply(standing=ScoreStanding.REFUSED, reason=as_text(error.detail))
            return ScoreReply(standing=ScoreStanding.WAITING, reason=as_text(error.detail))
        return reply
