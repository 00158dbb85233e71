"""Where the questions and answers of a run lie in its directory, each whole or not at all.

scores/NNNN.ask.json      what is asked; written again once nothing sends
scores/NNNN.answer.json   what came of it
"""

from collections.abc import Iterator
from pathlib import Path

_ASK, _ANSWER = ".ask.json", ".answer.json"


def ask_path(scores: Path, place: int) -> Path:
    """Where the question of a place lies."""
    return scores / f"{place:04}{_ASK}"


def answer_path(scores: Path, place: int) -> Path:
    """Where its answer lies."""
    return scores / f"{place:04}{_ANSWER}"


def unanswered(scores: Path) -> Iterator[int]:
    """The places with a question and no answer, in their order; none where there is no such folder."""
    if scores.is_dir():
        names = {path.name for path in scores.iterdir()}
        for name in sorted(names):
            number = name.removesuffix(_ASK)
            if name != number and number.isdigit() and number + _ANSWER not in names:
                yield int(number)
