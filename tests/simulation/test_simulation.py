"""The production core under seeded faults, and again without what makes a failing seed worth anything: its replay."""

import subprocess
import sys
from pathlib import Path

from tests.simulation.world import World

ROOT = Path(__file__).parents[2]
SEEDS, STEPS = 50, 500


def test_no_invariant_breaks_in_fifty_worlds() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS), "--steps", str(STEPS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{SEEDS} seeds of {STEPS} steps" in done.stdout


def test_a_seed_replays(tmp_path: Path) -> None:
    last = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(7, folder)
        world.run(STEPS)
        last.append((list(world.events.last), len(world.history.touches), world.true.now_s))
    assert last[0] == last[1]
