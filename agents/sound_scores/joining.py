"""Joins the scores of a case's recordings with what the case measured. Pure.

Where a score is missing the lab is at fault: the case is an error then, with its evidence and without measurements.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.measure import Recorder, ToScore
from agents.words import as_text
from lab_inventory.errors import InvariantBroken
from lab_inventory.measurement import Value
from lab_inventory.messages import CaseEnded, CaseStatus, SoundToScore


@dataclass(frozen=True, kw_only=True)
class Unscored:
    """A case that ended, but for the scores of its recordings."""

    ended: CaseEnded
    recorder: Recorder | None

    @property
    def wanted(self) -> tuple[ToScore, ...]:
        """What it waits for; nothing where it was not measured."""
        if self.recorder is None or self.ended.status is not CaseStatus.MEASURED:
            return ()
        return self.recorder.to_score()


def scored(case: Unscored, answers: Mapping[SoundToScore, str]) -> CaseEnded:
    """The end of the case. ``answers``: JSON text of ``score_files`` for each sound.

    Raises InvariantBroken where a procedure asks for something that no score has.
    """
    recorder = case.recorder
    if recorder is None or not case.wanted:
        return case.ended
    for wanted in case.wanted:
        told: dict[str, Any] = json.loads(answers.get(wanted.sound, '{"refused": "no score came in time"}'))
        score = told.get("score")
        if score is None:
            return _error(case.ended, f"a recording could not be scored: {told.get('refused', 'no reason was told')}")
        for quantity, place in wanted.into.items():
            value = _value(score, place)
            recorder.measure(quantity, value, note=_note(wanted, score, value), evidence=wanted.evidence)
    return case.ended.model_copy(update={"measurements": recorder.measurements()})


def _value(score: Mapping[str, Any], place: str) -> Value | None:
    """What stands at a place; None where the score has none there, as of speech that was not found."""
    found: Any = score
    for name in place.split("."):
        if found is None:
            return None
        if not isinstance(found, dict) or name not in found:
            raise InvariantBroken(f"a score has nothing at {place}")
        found = found[name]
    if found is not None and not isinstance(found, bool | int | float):
        raise InvariantBroken(f"what a score has at {place} is no value")
    return found


def _note(wanted: ToScore, score: Mapping[str, Any], value: Value | None) -> str:
    refused = score.get("refused") or "the recording does not tell it"
    method = f"by {score.get('method', 'an unnamed method')}"
    said = [wanted.note, method, f"no value: {refused}" if value is None else ""]
    return "; ".join(part for part in said if part)


def _error(ended: CaseEnded, reason: str) -> CaseEnded:
    update = {"status": CaseStatus.ERROR, "reason": as_text(reason), "measurements": ()}
    return ended.model_copy(update=update)
