"""Joins the scores of a case's recordings with what the case measured. Pure.

Where a score is missing the lab is at fault: the case is an error then, with its evidence and without measurements.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.measure import LabError, Recorder, ToScore
from agents.words import as_text, describe
from lab_inventory.errors import AssayError, InvariantBroken
from lab_inventory.measurement import Value
from lab_inventory.messages import CaseEnded, CaseStatus, SoundToScore

ESTIMATE = "heard.estimate."


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

    A procedure that asks for something that no score has is an error of its case, as one that crashes is.
    """
    if case.recorder is None or not case.wanted:
        return case.ended
    try:
        for wanted in case.wanted:
            _join(case.recorder, wanted, answers.get(wanted.sound, '{"refused": "no score came in time"}'))
    except (AssayError, ValueError) as error:
        return _error(case.ended, str(error) if isinstance(error, LabError) else describe(error))
    return case.ended.model_copy(update={"measurements": case.recorder.measurements()})


def _join(recorder: Recorder, wanted: ToScore, answer: str) -> None:
    told: dict[str, Any] = json.loads(answer)
    score = told.get("score")
    if score is None:
        raise LabError(f"a recording could not be scored: {told.get('refused', 'no reason was told')}")
    for quantity, place in wanted.into.items():
        value = _value(score, place)
        recorder.measure(
            quantity,
            value,
            uncertainty=wanted.uncertainty,
            note=_note(wanted, place, score, value),
            evidence=wanted.evidence,
        )


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


def _note(wanted: ToScore, place: str, score: Mapping[str, Any], value: Value | None) -> str:
    """By which method it came; of an estimate its tool and scale, wherever the value is shown."""
    said = [wanted.note, f"by {score.get('method', 'an unnamed method')}"]
    if place.startswith(ESTIMATE):
        found = (score.get("heard") or {}).get("estimate") or {}
        tool = " ".join(str(found.get(name, "")) for name in ("tool", "version")).strip()
        said.append(f"an estimate, not the opinion of people: {tool or wanted.sound.perceptual}")
        said += [str(found[name]) for name in ("mode", "scale") if name in found]
    if value is None:
        said.append(f"no value: {score.get('refused') or 'the recording does not tell it'}")
    return "; ".join(part for part in said if part)


def _error(ended: CaseEnded, reason: str) -> CaseEnded:
    update = {"status": CaseStatus.ERROR, "reason": as_text(reason), "measurements": ()}
    return ended.model_copy(update=update)
