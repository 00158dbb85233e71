"""The score that a run tells with its start: the lab's own, or the one that the suite came with. Reads files only."""

from importlib import resources
from pathlib import Path

from agents.score.table import ScoreTable
from agents.version import VERSION
from lab_inventory.errors import AssayError
from lab_inventory.reading import parse_message
from lab_inventory.suite_score import SuiteScore


def kept_at(work: Path, category: str) -> Path:
    """Where an agent with this work directory keeps a scoring of its own."""
    return work / "scores" / f"{category}.json"


def score_on_record(work: Path, category: str) -> SuiteScore | None:
    """The score of this very version of the suite; None where there is none, or none that can be read."""
    shipped = resources.files("agents.score") / "shipped" / f"{category}.json"
    for file in (kept_at(work, category), shipped):
        try:
            table = parse_message(file.read_bytes(), ScoreTable, source=str(file))
        except (OSError, AssayError):
            continue
        if table.suite_version == VERSION:
            return table.summary()
    return None
