"""Every test runs, and runs once, however the suite is spread over lanes."""

from pathlib import Path

from tests.conftest import ALONE, ALONE_TOO
from tests.lanes import PHASES, Lane

HERE = Path(__file__).parent
LANES = [lane for phase in PHASES for lane in phase if lane.where]


def runs(lane: Lane, path: Path) -> bool:
    """Whether a lane takes a file of tests."""
    return any(path.is_relative_to(HERE / place) for place in lane.where)


def test_each_file_that_must_be_alone_is_in_one_lane() -> None:
    alone = [path for place in (*ALONE, *ALONE_TOO) for path in (HERE / place).rglob("test_*.py")]
    alone += [HERE / place for place in ALONE_TOO if place.endswith(".py")]
    assert len(alone) > 100
    assert {str(path): 1 for path in alone} == {str(path): sum(runs(lane, path) for lane in LANES) for path in alone}


def test_whatever_is_not_alone_is_in_the_first_lane() -> None:
    first, *others = (lane for phase in PHASES for lane in phase)
    assert (first.where, first.options[:2]) == ((), ("-m", "not alone"))
    assert {lane.options[:2] for lane in others} == {("-m", "alone")}
