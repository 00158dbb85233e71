"""A whole scoring: healthy phones and phones with one defect each, shuffled, several at once; gives the table.

Which subject is which is known to this process alone: phones and runs are numbered in the order they are drawn.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from agents.bench_ca import make_ca
from agents.measure import LabError
from agents.score.one_run import BENCH_CA, HOST, Asked, Wanted, run_once
from agents.score.seeded import PROFILE, FoundBy, Subject
from agents.score.table import (
    UNDECIDED,
    Golden,
    HealthyRun,
    Row,
    Scope,
    ScoreTable,
    healthy_run_of,
    read_golden,
    row_of,
)
from agents.score.verdicts import Verdicts, requirements_in, verdicts_of
from agents.suites.ip_phone.bench import LOOKS_BACK
from agents.version import VERSION
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput
from lab_inventory.ics import Answers
from lab_inventory.messages import CaseEnded
from lab_inventory.programme import TestCase
from lab_inventory.verdict import Verdict

LONG_S = 60.0
LOOK_BACK_S = 60.0
ATTEMPTS_MAX = 3
AGAIN = 500
"""Added to the number of a subject for each further attempt."""

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A kind of phone that is scored with: its directory (none for the reference phone), ICS and defects.

    ``goldens``: by profile, the verdicts of the healthy device, for those in which it is run healthy. ``wrong``: what
    is wrong with each defect, in words. ``carry_out``: how a run comes about, where the device is no phone program; it
    raises LabError where the run could not be carried out. ``tier``: on what it runs, for the row.
    """

    name: str
    directory: Path
    ics: Answers
    found_by: Mapping[str, FoundBy]
    wrong: Mapping[str, str]
    goldens: Mapping[str, Golden]
    carry_out: "CarryOut | None" = None
    tier: str = ""


CarryOut = Callable[[int, Subject, Asked], Awaitable[tuple[CaseEnded, ...]]]


def goldens_of(category: str, phone: str, *profiles: str) -> dict[str, Golden]:
    """The golden verdicts that come with the product, by profile. Raises BadInput where this phone has none."""
    return {profile: _golden(category, phone, profile) for profile in (PROFILE, *profiles)}


def _golden(category: str, phone: str, profile: str) -> Golden:
    name = phone if profile == PROFILE else f"{phone}.{profile}"
    file = resources.files("agents.score") / "golden" / f"{category}.{name}.txt"
    try:
        return read_golden(file.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError as error:
        raise BadInput(f"there is no golden profile of {name} for the suite {category}") from error


async def score(
    phones: Mapping[str, Phone],
    drawn: Sequence[Subject],
    asked: Mapping[str, Asked],
    *,
    scope: Scope,
    seed: int,
    at_once: int,
    work: Path,
    clock: Clock,
    tell: Tell,
    category: str = "ip-phone",
) -> ScoreTable:
    """Run every subject and put the table together. Raises LabError where a run could not be carried out at all."""
    if any(phone.carry_out is None for phone in phones.values()):
        make_ca(work / BENCH_CA, HOST, clock.now())
    order = [subject for _, subject in sorted(enumerate(drawn), key=lambda item: _lot(seed, item[0]))]
    free = asyncio.Semaphore(at_once)
    rows: list[Row] = []
    healthy: list[HealthyRun] = []

    async def one(number: int, subject: Subject) -> None:
        phone = phones[subject.phone]
        async with free:
            began_s = clock.boottime_s()
            of_it = in_scope(subject, phone, asked[subject.profile], scope)
            found = await _verdicts(number, subject, phone, of_it, work, clock)
            took_s = clock.boottime_s() - began_s
        if subject.defect is None:
            run = healthy_run_of(phone.name, subject.profile, found, phone.goldens[subject.profile], took_s)
            healthy.append(run)
            tell(f"{number}: ended after {took_s:.0f} s")
            return
        by = phone.found_by[subject.defect]
        rows.append(
            row_of(
                replace(subject, phone=phone.name),
                by,
                phone.wrong[subject.defect],
                found,
                phone.goldens.get(subject.profile, {}),
                took_s,
                tier=phone.tier,
            )
        )
        tell(f"{number}: ended after {took_s:.0f} s")

    async with asyncio.TaskGroup() as group:
        for number, subject in enumerate(order, 1):
            group.create_task(one(number, subject))
    return ScoreTable(
        category=category,
        suite_version=VERSION,
        programme=f"{asked[PROFILE].programme.id} {asked[PROFILE].programme.version}",
        profile=PROFILE,
        made_at=clock.now(),
        seed=seed,
        scope=scope,
        rows=tuple(sorted(rows, key=lambda row: (row.phone, row.defect, row.share or 0))),
        healthy=tuple(sorted(healthy, key=lambda run: (run.phone, run.profile))),
    )


def _lot(seed: int, place: int) -> str:
    """By what the order is drawn: one that nobody guesses, and that can be had again."""
    return hashlib.sha256(f"{seed}:{place}".encode()).hexdigest()


def in_scope(subject: Subject, phone: Phone, asked: Asked, scope: Scope) -> Asked:
    """The cases that are carried out on this subject."""
    if subject.defect is None or scope is Scope.ALL:
        return asked
    wanted = phone.found_by[subject.defect].requirement
    case_of_it = next(r.case for r in asked.programme.requirements if r.id == wanted)
    cases = tuple(
        _alone(case) if scope is Scope.REQUIREMENT else case
        for case in asked.cases
        if case.id == case_of_it or (scope is Scope.SHORT and case.duration_s * case.repeats <= LONG_S)
    )
    return replace(asked, cases=cases)


def _alone(case: TestCase) -> TestCase:
    """A case that is carried out without those before it: one that looks back over a whole run gets the time for it."""
    return case.model_copy(update={"duration_s": LOOK_BACK_S}) if case.procedure in LOOKS_BACK else case


async def _verdicts(number: int, subject: Subject, phone: Phone, asked: Asked, work: Path, clock: Clock) -> Verdicts:
    """One subject's verdicts. What the lab could not decide is measured again, as in a further attempt; what
    was decided stays as it was.
    """
    found: Verdicts = {}
    left = asked
    for attempt in range(ATTEMPTS_MAX):
        seen = await _attempt(attempt * AGAIN + number, subject, phone, left, work, clock)
        found = {key: seen[key] if key not in found or found[key][0] in UNDECIDED else found[key] for key in seen}
        again = {
            requirement.case
            for requirement in requirements_in(asked.programme, asked.profile)
            if any(key[1] == requirement.id and verdict in UNDECIDED for key, (verdict, _) in found.items())
        }
        left = replace(asked, cases=tuple(case for case in asked.cases if case.id in again))
        if not left.cases:
            break
    return found


async def _attempt(number: int, subject: Subject, phone: Phone, asked: Asked, work: Path, clock: Clock) -> Verdicts:
    """What one run comes to; one that could not be carried out is an error in everything that is asked."""
    defects = (subject.line,) if subject.line else ()
    wanted = Wanted(number=number, phone=phone.directory, kind=phone.name, defects=defects)
    try:
        if phone.carry_out is not None:
            ended = await phone.carry_out(number, subject, asked)
        else:
            ended = await run_once(wanted, asked, phone.ics, work, clock)
    except LabError as error:
        return {key: (Verdict.ERROR, str(error)) for key in verdicts_of(asked.programme, asked.profile, phone.ics, ())}
    return verdicts_of(asked.programme, asked.profile, phone.ics, ended)
