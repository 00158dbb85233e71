"""Scoring one direction of a call: how many times faster than the sound lasts, without and with the estimate.

Prints one JSON line per figure, in processor time, so that what else a machine does counts little; the baseline is
``sox FILE -n stats``, the whole program, on the same recording.
"""

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agents.instruments.sound.channel import ideal
from agents.instruments.sound.score import score_recording
from agents.instruments.sound.speech import load_clip, make_material
from tests.benchmarks.bench_loop import RUNS_OF_A_FIGURE

TIMES_MIN = 10.0
TIMES_WITH_ESTIMATE_MIN = 0.5
CODECS = {"PCMU": 8_000, "G722": 16_000}


def figures() -> Iterator[dict[str, Any]]:
    """The figures, measured now; the estimate is of a recording that was not rated before, its ideal channel too."""
    with tempfile.TemporaryDirectory() as folder:
        material = Path(folder)
        make_material(material)
        for codec, rate_hz in CODECS.items():
            clip = load_clip(material, "long-a", rate_hz)
            received = ideal(clip.samples * 0.8, codec, rate_hz)
            length_s = clip.samples.size / rate_hz

            baseline = None
            if shutil.which("sox"):
                command = ["sox", str(material / f"long-a-{rate_hz}.wav"), "-n", "stats"]
                stats = partial(subprocess.run, command, capture_output=True, check=True)
                baseline = length_s / min(processor_s(stats) for _ in range(RUNS_OF_A_FIGURE))
            for name, perceptual, least in (
                (f"sound_scored_{codec}", None, TIMES_MIN),
                (f"sound_scored_with_estimate_{codec}", "visqol", TIMES_WITH_ESTIMATE_MIN),
            ):
                score = partial(score_recording, rate_hz=rate_hz, codec=codec, perceptual=perceptual)
                run = partial(score, clip.samples, received)
                value = length_s / min(processor_s(run) for _ in range(1 if perceptual else RUNS_OF_A_FIGURE))
                yield {
                    "name": name,
                    "value": round(value, 1),
                    "unit": "times real time, on one core",
                    "target": least,
                    "baseline": None if baseline is None else round(baseline, 1),
                    "ok": value >= least,
                }


def processor_s(action: Callable[[], object]) -> float:
    """Processor time of an action in this process and in those it started and waited for."""
    before = _used_s()
    action()
    return _used_s() - before


def _used_s() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


if __name__ == "__main__":
    for line in figures():
        print(json.dumps(line))
