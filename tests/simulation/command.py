"""``make simulate SEEDS=50 STEPS=500``, or one failing seed again: ``make simulate SEED=7 STEPS=500``.

A module of its own, because the processes beside this one must be able to import what they are to do.
"""

import argparse
import os
import subprocess
import tempfile
import time  # noqa: TID251 - how long the whole took
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.world import Violated, World


def simulate(seed: int, steps: int) -> str:
    """What went wrong in one seed's world; nothing where nothing did."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        try:
            World(seed, Path(folder)).run(steps)
        except Violated as violated:
            return str(violated)
    return ""


def commit() -> str:
    """The commit that is simulated."""
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate seeds side by side; the first that fails is printed."""
    parser = argparse.ArgumentParser(description="The production core in a simulated world with faults.")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--steps", type=int, default=500, help="events with faults, for each seed")
    parser.add_argument("--seed", type=int, help="this one alone")
    options = parser.parse_args(arguments)
    seeds = [options.seed] if options.seed is not None else range(options.seeds)
    began_s = time.monotonic()
    failed = 0
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        asked = {pool.submit(simulate, seed, options.steps): seed for seed in seeds}
        for done in as_completed(asked):
            wrong = done.result()
            if wrong:
                failed += 1
                print(
                    f"seed {asked[done]} at commit {commit()} fails; again: "
                    f"make simulate SEED={asked[done]} STEPS={options.steps}\n{wrong}\n"
                )
    print(f"{len(asked)} seeds of {options.steps} steps in {time.monotonic() - began_s:.0f} s: {failed} failed")
    return 1 if failed else 0
