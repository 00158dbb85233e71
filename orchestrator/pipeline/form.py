"""From what was typed into the form of a programme's questionnaire to a submission, or to every mistake at once. Pure.

Fields are named by the path of their question (``product.maker``, ``ics.hold``); rows of parts and companions by their
number as well (``components.0.version``). What was typed is never changed: it is shown again with the mistakes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lab_inventory.device import Companion, Component
from lab_inventory.errors import Problem
from lab_inventory.programme import Programme
from lab_inventory.reading import problems_of
from orchestrator.lifecycle.batch import Submission
from orchestrator.pipeline.questionnaire import Kind, questions
from orchestrator.pipeline.submit import problems_of_submission, set_problems

ROWS = 4
"""How many parts and companions can be typed in; a file takes more."""
PART_FIELDS = ("name", "version", "digest")
COMPANION_FIELDS = ("kind", "product", "version")
_FIELDS = {"components": PART_FIELDS, "companions": COMPANION_FIELDS}

N = TypeVar("N", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class FormRead:
    """``submission`` None: there are mistakes. ``mistakes``: by field; of a row as a whole by ``components.0``."""

    submission: Submission | None
    mistakes: Mapping[str, tuple[Problem, ...]]


def read_form(typed: Mapping[str, str], programme: Programme) -> FormRead:
    """The submission that was typed in, or everything that is wrong with it."""
    raw, blank = _answers(typed, programme)
    rows = {name: _rows(typed, name) for name in _FIELDS}
    raw |= {name: [row for _, row in given] for name, given in rows.items() if given}
    problems = [*blank]
    submission = None
    try:
        submission = Submission.model_validate(raw)
        problems += _without("submission.", problems_of_submission("submission", submission, programme))
    except ValidationError as error:
        found = problems_of(error.errors(include_url=False))
        told = {problem.path for problem in blank}
        problems += [problem for problem in found if problem.path not in told]
        problems += _of_the_rest(raw, programme)
    mistakes: dict[str, tuple[Problem, ...]] = {}
    for problem in problems:
        field = field_of(problem.path, {name: [number for number, _ in given] for name, given in rows.items()})
        mistakes[field] = tuple(dict.fromkeys((*mistakes.get(field, ()), problem)))
    return FormRead(submission=None if mistakes else submission, mistakes=mistakes)


def field_of(path: str, rows: Mapping[str, Sequence[int]]) -> str:
    """The field at which a mistake is shown. ``rows``: of each list the rows in which something was typed."""
    for name, numbers in rows.items():
        if path.startswith(f"{name}["):
            number, _, rest = path.removeprefix(f"{name}[").partition("]")
            return f"{name}.{numbers[int(number)]}{rest}"
    return path


def _answers(typed: Mapping[str, str], programme: Programme) -> tuple[dict[str, Any], list[Problem]]:
    """What was answered as a submission has it, and what must be answered and is not."""
    raw: dict[str, Any] = {"ics": {}, "ixit": {}, "product": {}}
    blank: list[Problem] = []
    for one in questions(programme):
        if one.kind in (Kind.PARTS, Kind.COMPANIONS):
            continue
        text = typed.get(one.path, "").strip()
        top, _, rest = one.path.partition(".")
        if not text:
            if one.needed and top not in ("ics", "ixit"):
                blank.append(Problem(path=one.path, wrong="is not answered", expected=one.words))
            continue
        value: Any = text
        if one.kind is Kind.YES_NO:
            value = {"true": True, "false": False}.get(text, text)
        elif one.kind is Kind.NUMBER:
            value = _number(text)
        if rest:
            raw[top][rest] = value
        else:
            raw[top] = value
    return raw, blank


def _number(text: str) -> int | float | str:
    """The number that was typed, or the text where it is none."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _rows(typed: Mapping[str, str], name: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a list in which something was typed, with their numbers."""
    found = []
    for number in range(ROWS):
        row = {field: typed.get(f"{name}.{number}.{field}", "").strip() for field in _FIELDS[name]}
        if any(text for field, text in row.items() if field != "kind"):
            found.append((number, {field: text for field, text in row.items() if text}))
    return found


def _of_the_rest(raw: Mapping[str, Any], programme: Programme) -> Iterator[Problem]:
    """What contradicts itself though other answers are missing or wrong."""
    profile = raw.get("profile")
    if profile is not None and programme.profile(profile) is None:
        expected = " or ".join(one.id for one in programme.profiles)
        yield Problem(path="profile", wrong=f"{profile} is no profile of it", expected=expected)
    yield from programme.proforma.contradictions(raw["ics"], raw["ixit"])
    components, companions = _good(Component, raw, "components"), _good(Companion, raw, "companions")
    found = set_problems(raw["product"].get("firmware"), tuple(components.values()), tuple(companions.values()))
    of = {"components": list(components), "companions": list(companions)}
    for problem in found:
        name, _, rest = problem.path.partition("[")
        number, _, rest = rest.partition("]")
        path = f"{name}[{of[name][int(number)]}]{rest}"
        yield Problem(path=path, wrong=problem.wrong, expected=problem.expected)


def _good(noun: type[N], raw: Mapping[str, Any], name: str) -> dict[int, N]:
    """Those entries of a list that have no mistake of their own, by number."""
    found = {}
    for number, row in enumerate(raw.get(name, ())):
        with suppress(ValidationError):
            found[number] = noun.model_validate(row)
    return found


def _without(prefix: str, problems: Sequence[Problem]) -> Iterator[Problem]:
    for one in problems:
        yield Problem(path=one.path.removeprefix(prefix), wrong=one.wrong, expected=one.expected)
