"""Scoring of recordings in × real time: through a Ray of one processor on this host, and in this process beside it.

``python -m tests.benchmarks.bench_scoring`` prints it alone. The recordings are made anew, so that none is remembered;
Ray's start and the first score, which loads what scores, do not count.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents.sound_scores.compute import score_files
from lab_inventory.clock import SystemClock
from lab_inventory.evidence.wav import write_wav
from orchestrator.dispatch.lines import Scored
from orchestrator.dispatch.port import ScoreWanted
from orchestrator.dispatch.supervisor import RayDispatcher, driver_command
from orchestrator.loop import Event
from tests.agents.sound_scores.sounds import RATE_HZ, received, reference, sound_of

HOST = "host-1"
RECORDINGS, SECONDS = 8, 8.0
X_REAL_TIME_MIN = 3.0
"""One processor then keeps up with three calls, each scored in one direction."""
WITHIN_S = 60.0

Counted = Callable[[], float]


def figures() -> Iterator[dict[str, Any]]:
    """× real time of both, with the share that is left of it through Ray."""
    sounds = [_sound(seed) for seed in range(RECORDINGS + 1)]
    clock = SystemClock().boottime_s
    score_files(*sounds[0])
    began_s = clock()
    here = [score_files(*sound) for sound in sounds[1:]]
    here_x = RECORDINGS * SECONDS / (clock() - began_s)
    with tempfile.TemporaryDirectory(prefix="bs") as folder:
        there, taken_s = asyncio.run(_by_ray(sounds, Path(folder), clock))
    if [one.score for one in there] != here:
        raise AssertionError(f"Ray gave other scores than this process: {[one.reason for one in there]}")
    ray_x = RECORDINGS * SECONDS / taken_s
    yield {
        "name": "scoring_by_ray",
        "value": round(ray_x, 1),
        "unit": "x real time",
        "target": X_REAL_TIME_MIN,
        "baseline": round(here_x, 1),
        "ratio": round(ray_x / here_x, 2),
        "ok": ray_x >= X_REAL_TIME_MIN,
    }


def _sound(seed: int) -> tuple[str, list[bytes]]:
    sent = reference(SECONDS, seed)
    contents = [write_wav(RATE_HZ, sent), write_wav(RATE_HZ, received(sent))]
    return sound_of(contents).model_dump_json(), contents


async def _by_ray(sounds: list[tuple[str, list[bytes]]], folder: Path, clock: Counted) -> tuple[list[Scored], float]:
    """The scores of all but the first sound, and how long they took together."""
    wanted = []
    for number, (sound, contents) in enumerate(sounds):
        paths = [folder / f"{number}-{part}.wav" for part in range(len(contents))]
        for path, data in zip(paths, contents, strict=True):
            path.write_bytes(data)
        files = tuple(map(str, paths))
        wanted.append(ScoreWanted(host=HOST, sending=False, benches=(HOST,), sound_json=sound, files=files))
    dispatcher = RayDispatcher(driver_command(address=None, local_host=HOST))
    events: list[Event] = []
    await dispatcher.start(events.append)
    try:
        async with asyncio.timeout(WITHIN_S):
            while (await dispatcher.score(wanted[0])).score is None:
                await asyncio.sleep(0.2)
        began_s = clock()
        found = await asyncio.gather(*(dispatcher.score(one) for one in wanted[1:]))
        return list(found), clock() - began_s
    finally:
        await dispatcher.stop()


if __name__ == "__main__":
    for figure in figures():
        print(json.dumps(figure))
