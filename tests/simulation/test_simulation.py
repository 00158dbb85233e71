"""The production core under seeded faults, and again without what makes a failing seed worth anything: its replay."""

from pathlib import Path

from tests.simulation.__main__ import main
from tests.simulation.world import World

SEEDS, STEPS = 50, 500


def test_no_invariant_breaks_in_fifty_worlds() -> None:
    assert main(["--seeds", str(SEEDS), "--steps", str(STEPS)]) == 0


def test_a_seed_replays(tmp_path: Path) -> None:
    last = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(7, folder)
        world.run(STEPS)
        last.append((list(world.events.last), len(world.history.touches), world.true.now_s))
    assert last[0] == last[1]
