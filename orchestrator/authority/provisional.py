"""Granting provisionally: a level was earned by measurement, and something else is still open until a day. Pure."""

from datetime import date

from lab_inventory.errors import Problem
from lab_inventory.noun import says_nothing
from lab_inventory.programme import Programme
from orchestrator.lifecycle.certificate import Provisional


def against_provisional(wanted: Provisional, programme: Programme, level: str | None, today: date) -> list[Problem]:
    """Everything that is wrong with granting ``level`` provisionally."""
    problems = []
    if not programme.provisional:
        wrong = f"is given, and {programme.id} {programme.version} grants nothing provisionally"
        expected = "a programme with 'provisional: true', or a whole grant"
        problems.append(Problem(path="provisional", wrong=wrong, expected=expected))
    if level is None:
        problems.append(Problem(path="provisional", wrong="is given with a refusal", expected="a level to grant"))
    if says_nothing(wanted.conditions):
        wrong = f"says {wanted.conditions!r}"
        expected = "what is open, in sentences: everybody sees it"
        problems.append(Problem(path="provisional.conditions", wrong=wrong, expected=expected))
    if wanted.ends_on < today:
        wrong = f"is {wanted.ends_on}, which is over"
        problems.append(Problem(path="provisional.ends_on", wrong=wrong, expected="the last day, today or later"))
    return problems
