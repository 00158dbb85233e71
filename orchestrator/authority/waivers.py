"""What stands against asking for a waiver, and against approving one. Pure.

Whoever asks says everything that the waiver is for, so that mistakes are found before anybody approves it. Who approves
is another person, who took no part in the evaluation and did not make the submission: that is read from the journal.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from lab_inventory.errors import Problem
from lab_inventory.programme import Kind, Programme, Purpose, Requirement
from orchestrator.authority.impediments import Impediment, Part, Rule, same
from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.waiver import WaiverScope, WaiverView


def last_end(today: date) -> date:
    """The latest last day of a waiver that is asked for ``today``: a year ahead."""
    if (today.month, today.day) == (2, 29):
        return date(today.year + 1, 2, 28)
    return today.replace(year=today.year + 1)


def against_proposing(
    scope: WaiverScope, ends_on: date, programme: Programme, view: SubmissionView | None, today: date
) -> tuple[Problem, ...]:
    """Every mistake in what is asked for, each with its place. ``view``: of the submission that it is for, if one."""
    return (
        *_against_requirement(scope, programme),
        *_against_end(ends_on, today),
        *(_against_submission(view, programme) if view is not None else ()),
    )


def _against_requirement(scope: WaiverScope, programme: Programme) -> Iterator[Problem]:
    name = f"{programme.id} {programme.version}"
    if programme.purpose is not Purpose.CERTIFICATION:
        wrong = f"{name} grants nothing"
        yield Problem(path="programme", wrong=wrong, expected="a programme by which products are certified")
    levels = [level.id for level in programme.levels]
    found = next((one for one in programme.requirements if one.id == scope.requirement), None)
    if found is None:
        wrong = f"{scope.requirement} is no requirement of {name}"
        yield Problem(path="requirement", wrong=wrong, expected="the id of a requirement, as its verdict names it")
    elif found.kind is Kind.OPTIONAL:
        wrong = f"{scope.requirement} is optional, so it keeps nothing from a level"
        yield Problem(path="requirement", wrong=wrong, expected="a requirement that a level asks for")
    for place, level in enumerate(scope.levels):
        path = f"levels.{place}"
        if level not in levels:
            expected = f"one of {', '.join(levels)}, each by its name"
            yield Problem(path=path, wrong=f"{level} is no level of {name}", expected=expected)
        elif found is not None and not _is_asked(found, level):
            wrong = f"{scope.requirement} is not asked at the level {level}"
            yield Problem(path=path, wrong=wrong, expected="a level that asks for it")


def _is_asked(requirement: Requirement, level: str) -> bool:
    return any(level in check.limits for check in requirement.checks)


def _against_end(ends_on: date, today: date) -> Iterator[Problem]:
    latest = last_end(today)
    if not today <= ends_on <= latest:
        wrong = f"{ends_on} is {'over' if ends_on < today else 'more than a year ahead'}"
        yield Problem(path="ends_on", wrong=wrong, expected=f"a last day from {today} to {latest}")


def _against_submission(view: SubmissionView, programme: Programme) -> Iterator[Problem]:
    if view.state is not SubmissionState.OPEN:
        wrong = f"{view.submission} is {view.state} already, and a waiver counts when it is judged"
        expected = "a submission that is not judged yet; for another submission, name the product"
        yield Problem(path="submission", wrong=wrong, expected=expected)
    if view.programme_digest != programme.digest:
        wrong = f"{view.submission} is under another programme than {programme.id} {programme.version}"
        yield Problem(path="programme", wrong=wrong, expected="the programme version that the submission is under")


def against_approving(
    view: WaiverView,
    by: str,
    *,
    parts: Iterable[Part],
    vendors: Iterable[str],
    of: Iterable[str],
    now: datetime,
) -> tuple[Impediment, ...]:
    """Why ``by`` cannot approve a waiver, all at once.

    ``parts``: who took part in the evaluation of what it is for. ``vendors``: whose products those are. ``of``: the
    vendors that ``by`` ever stood for.
    """
    found = []
    if view.proposed.by == by:
        words = f"{by} asked for {view.waiver}"
        found.append(Impediment(rule=Rule.APPROVER_IS_AUTHOR, words=words, forbids_refusal=True))
    did = [part.did for part in parts if part.person == by]
    mine = {same(one) for one in of}
    did += [f"is or was of the vendor {one}" for one in sorted(set(vendors)) if same(one) in mine]
    if did:
        words = f"{by} {', '.join(dict.fromkeys(did))}"
        found.append(Impediment(rule=Rule.APPROVER_TOOK_PART, words=words))
    if view.over(now):
        words = f"the last day of {view.waiver} was {view.proposed.ends_on}"
        found.append(Impediment(rule=Rule.WAIVER_OVER, words=words))
    return tuple(found)
