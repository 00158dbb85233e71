"""From the fields of the page on which people answer a prompt to what they measured, or every mistake. Pure.

The fields of quantity number n are ``value.n``, ``uncertainty.n``, ``instrument.n``, ``method.n``, ``due_on.n`` and
``note.n``. The unit is the one that is asked for: the page says it beside the field.
"""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError

from lab_inventory.errors import BadInput, Problem
from lab_inventory.measurement import Unit, Value
from lab_inventory.programme import Check, Requirement
from lab_inventory.reading import problems_of
from orchestrator.lifecycle.prompt import MeasuredByHand

FIELDS = ("value", "uncertainty", "instrument", "method", "due_on", "note")


def read_answer(typed: Mapping[str, str], requirement: Requirement) -> tuple[MeasuredByHand, ...]:
    """What was typed in, one for each quantity; raises BadInput with every mistake and the quantity it is of."""
    problems: list[Problem] = []
    measured: list[MeasuredByHand] = []
    for number, check in enumerate(requirement.checks):
        given = {name: typed.get(f"{name}.{number}", "").strip() for name in FIELDS}
        try:
            measured.append(_measured(check, given))
        except ValidationError as error:
            found = problems_of(error.errors(include_url=False))
            problems += [
                Problem(path=f"{check.quantity} {one.path}".strip(), wrong=one.wrong, expected=one.expected)
                for one in found
            ]
        except ValueError as error:
            wrong, _, expected = str(error).partition("; expected ")
            problems.append(Problem(path=check.quantity, wrong=wrong, expected=expected))
    if problems:
        raise BadInput("not everything that was typed in can be read", problems=tuple(problems))
    return tuple(measured)


def _measured(check: Check, given: Mapping[str, str]) -> MeasuredByHand:
    fields: dict[str, Any] = {"quantity": check.quantity, "unit": check.unit}
    fields["value"] = read_value(given["value"], check.unit)
    fields["uncertainty"] = _number(given["uncertainty"]) if given["uncertainty"] else None
    fields["instrument"] = given["instrument"] or None
    fields["note"] = given["note"] or None
    if given["method"] or given["due_on"]:
        due_on = _day(given["due_on"]) if given["due_on"] else None
        fields["calibration"] = {"method": given["method"], "due_on": due_on}
    return MeasuredByHand.model_validate(fields)


def read_value(text: str, unit: Unit) -> Value:
    """A value in ``unit`` as people write it; raises ValueError that says what was expected."""
    if unit is Unit.BOOL:
        if text not in ("yes", "no"):
            raise ValueError(f"is {text[:40]!r}; expected yes or no")
        return text == "yes"
    if unit is Unit.COUNT:
        if not text.isdecimal() or len(text) > 15:
            raise ValueError(f"is {text[:40]!r}; expected how many")
        return int(text)
    return _number(text)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"is {text[:40]!r}; expected a number")
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is due on {text[:40]!r}; expected a day as 2027-05-31") from error
