"""From what a vendor sends to an accepted batch, or to every reason against it at once. Pure.

A product of which no unit is registered is taken: units arrive later. So is one whose cases need a device beside it
for which the lab has no slot yet. The answer says so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import Field

from lab_inventory.canonical import digest
from lab_inventory.device import Companion, Component
from lab_inventory.errors import Problem
from lab_inventory.lab import Bench
from lab_inventory.noun import Label, Name, Noun
from lab_inventory.programme import Programme, Purpose, Version
from lab_inventory.programme_terms import LifecycleState
from orchestrator.lifecycle.batch import (
    SUBMISSIONS_PER_BATCH_MAX,
    AcceptedSubmission,
    BatchAccepted,
    OwnProgramme,
    Submission,
)
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import Need, RunQueued
from orchestrator.lifecycle.snapshot import UnitKey
from orchestrator.pipeline.plan import plan
from orchestrator.pipeline.prompting import asked_of_people, prompts

PRIORITY_DEFAULT = 50
MAIN = "main"
"""The part whose firmware a unit says on the wire."""


class BatchRequest(Noun):
    """A batch as it is submitted. ``programme_version`` None: the newest that is available."""

    title: Label
    programme: Name
    programme_version: Version | None = None
    priority: int = Field(default=PRIORITY_DEFAULT, ge=0, le=100)
    submissions: tuple[Submission, ...] = Field(min_length=1, max_length=SUBMISSIONS_PER_BATCH_MAX)


@dataclass(frozen=True, kw_only=True)
class VendorBound:
    """A vendor submits its own products only, in their turn, and no more than ``open_max`` that are not judged yet."""

    vendor: str
    open_max: int


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The batch with its first runs, and the prompts for people; ``warnings`` for the submitter."""

    batch: str
    submissions: tuple[str, ...]
    facts: tuple[Fact, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Every reason against it."""

    problems: tuple[Problem, ...]


def against_vendor(request: BatchRequest, bound: VendorBound, open_now: int) -> tuple[Problem, ...]:
    """Every reason why a vendor may not submit this; ``open_now``: its submissions that are not judged yet."""
    problems = [
        Problem(path=f"submissions[{number}].vendor", wrong=f"is {submission.vendor!r}", expected=repr(bound.vendor))
        for number, submission in enumerate(request.submissions)
        if submission.vendor != bound.vendor
    ]
    if request.priority > PRIORITY_DEFAULT:
        wrong = f"is {request.priority}"
        problems.append(Problem(path="priority", wrong=wrong, expected=f"at most {PRIORITY_DEFAULT}: the lab sets it"))
    if open_now + len(request.submissions) > bound.open_max:
        wrong = f"{len(request.submissions)} more beside the {open_now} that are not judged yet"
        problems.append(Problem(path="submissions", wrong=wrong, expected=f"at most {bound.open_max} at a time"))
    return tuple(problems)


def submit(
    request: BatchRequest,
    programmes: Sequence[Programme],
    units: frozenset[UnitKey],
    by: str,
    now: datetime,
    new_id: Callable[[str], str],
    benches: Sequence[Bench] = (),
) -> Accepted | Refused:
    """Accept a batch whole or refuse it whole. ``units``: the products of which units are registered; ``benches``:
    those of the lab file.
    """
    in_time = [programme for programme in programmes if against_dates(programme, programmes, now) is None]
    programme = find_programme(request, in_time) or find_programme(request, programmes)
    if programme is None:
        return Refused(problems=(_no_programme(request, programmes),))
    if programme.purpose is not Purpose.CERTIFICATION:
        whose = "units in quarantine" if programme.purpose is Purpose.PROBATION else "control devices"
        wrong = f"{programme.id} is for {whose} and grants nothing"
        return Refused(problems=(Problem(path="programme", wrong=wrong, expected="a certification programme"),))
    stale = against_dates(programme, programmes, now)
    if stale is not None:
        return Refused(problems=(stale,))
    problems: list[Problem] = []
    asked: list[Programme] = []
    for number, submission in enumerate(request.submissions):
        own = _own_programme(f"submissions[{number}].programme", submission, programme, programmes, now)
        if isinstance(own, Problem):
            problems.append(own)
        else:
            asked.append(own)
            problems += problems_of_submission(f"submissions[{number}]", submission, own)
    if problems:
        return Refused(problems=tuple(problems))
    request = _bound(request, asked)
    batch, *runs = take(request, programme, by, now, new_id, asked)
    accepted = batch.submissions
    warnings = tuple(
        f"{entry.content.title}: no unit of it is registered yet; its runs wait until one is"
        for entry in accepted
        if UnitKey.of(entry.content.product, entry.content.hardware_revision, entry.content.mode) not in units
    )
    needs = dict.fromkeys(run.needs for run in runs if run.needs)
    warnings += tuple(words for of_run in needs if (words := no_bench_for(of_run, benches)))
    for of_some in {one.digest: one for one in (programme, *asked)}.values():
        warnings += deprecation(of_some, now)
    return Accepted(
        batch=batch.batch,
        submissions=tuple(entry.submission for entry in accepted),
        facts=(batch, *runs, *prompts(batch, asked, new_id)),
        warnings=warnings,
    )


def _own_programme(
    path: str, submission: Submission, of_batch: Programme, programmes: Sequence[Programme], now: datetime
) -> Programme | Problem:
    """The programme that a submission asks for, or why it cannot be submitted to that."""
    own = submission.programme
    if own is None:
        return of_batch
    if own.digest is not None:
        return Problem(path=f"{path}.digest", wrong="is said", expected="no digest: it is bound when it is accepted")
    in_time = [one for one in programmes if against_dates(one, programmes, now) is None]
    found = programme_named(own.id, own.version, in_time) or programme_named(own.id, own.version, programmes)
    if found is None:
        names = ", ".join(sorted({one.id for one in programmes if one.purpose is Purpose.CERTIFICATION}))
        wrong = f"{own.id} {own.version or ''}".strip() + " is no programme here"
        return Problem(path=path, wrong=wrong, expected=f"one of {names}")
    if found.purpose is Purpose.PROBATION:
        wrong = f"{found.id} is for units in quarantine and grants nothing"
        return Problem(path=path, wrong=wrong, expected="a certification programme")
    stale = against_dates(found, programmes, now)
    return found if stale is None else Problem(path=path, wrong=stale.wrong, expected=stale.expected)


def _bound(request: BatchRequest, asked: Sequence[Programme]) -> BatchRequest:
    """The request with the programmes that its submissions name bound to what these are now."""
    contents = []
    for content, programme in zip(request.submissions, asked, strict=True):
        if content.programme is not None:
            own = OwnProgramme(id=programme.id, version=programme.version, digest=programme.digest)
            contents.append(content.model_copy(update={"programme": own}))
        else:
            contents.append(content)
    return request.model_copy(update={"submissions": tuple(contents)})


def no_bench_for(needs: Sequence[Need], benches: Sequence[Bench]) -> str:
    """The warning that no bench has a slot for each device that a run needs beside the one under test, or nothing."""
    wanted = Counter((need.role, need.category) for need in needs)
    for bench in benches:
        there = Counter((role, slot.category) for slot in bench.slots for role in slot.roles)
        if wanted <= there:
            return ""
    words = " and ".join(f"{count} {role} {category}" for (role, category), count in wanted.items())
    return f"no bench has slots for {words}; the runs that need them wait until one has"


def deprecation(programme: Programme, now: datetime) -> tuple[str, ...]:
    """The warning that a programme should not be used any more, where it is so."""
    dates = programme.lifecycle
    if dates is None or dates.on(now.astimezone(UTC).date()) is not LifecycleState.DEPRECATED:
        return ()
    until = f", and taken until {dates.withdrawn_from}" if dates.withdrawn_from else ""
    return (f"{programme.id} {programme.version} is deprecated since {dates.deprecated_from}{until}",)


def against_dates(programme: Programme, programmes: Sequence[Programme], now: datetime) -> Problem | None:
    """Why a programme cannot be submitted to on this day (UTC), or None."""
    today = now.astimezone(UTC).date()
    named = f"{programme.id} {programme.version}"
    if programme.lifecycle is not None:
        state, dates = programme.lifecycle.on(today), programme.lifecycle
        if state is LifecycleState.ANNOUNCED:
            wrong = f"{named} is not available before {dates.available_from}"
            return Problem(path="programme", wrong=wrong, expected="a programme that is available")
        if state is LifecycleState.WITHDRAWN:
            wrong = f"{named} was withdrawn on {dates.withdrawn_from}"
            return Problem(path="programme", wrong=wrong, expected="a programme that is not withdrawn")
    newer = (
        other
        for other in programmes
        if other.id == programme.id and _numbers(other.version) > _numbers(programme.version)
    )
    for other in newer:
        mandatory_from = other.lifecycle.mandatory_from if other.lifecycle else None
        if mandatory_from is not None and mandatory_from <= today:
            wrong = f"{named} is not taken since {mandatory_from}"
            return Problem(path="programme", wrong=wrong, expected=f"{other.id} {other.version}, which is mandatory")
    return None


def take(
    request: BatchRequest,
    programme: Programme,
    by: str,
    now: datetime,
    new_id: Callable[[str], str],
    asked: Sequence[Programme] = (),
) -> tuple[BatchAccepted, *tuple[RunQueued, ...]]:
    """The batch with the first runs of its submissions, where nothing is against it. ``asked``: the programme of each
    submission; none: the batch's for all.
    """
    batch = BatchAccepted(
        batch=new_id("bat"),
        title=request.title,
        priority=request.priority,
        programme=programme.id,
        programme_version=programme.version,
        programme_digest=programme.digest,
        submissions=tuple(
            AcceptedSubmission(submission=new_id("sub"), content=content) for content in request.submissions
        ),
        content_digest=digest(request),
        by=by,
        at=now,
    )
    runs = tuple(
        RunQueued(
            run=new_id("run"),
            submission=entry.submission,
            batch=batch.batch,
            suite=test_plan.suite,
            attempt=1,
            cases=test_plan.cases,
            duration_s=test_plan.duration_s,
            needs=test_plan.needs,
            at=now,
        )
        for entry, of_entry in zip(batch.submissions, asked or [programme] * len(batch.submissions), strict=True)
        for test_plan in plan(entry.content, of_entry)
    )
    return batch, *runs


def find_programme(request: BatchRequest, programmes: Sequence[Programme]) -> Programme | None:
    """The programme that is asked for; the one with the highest version number where none is named."""
    return programme_named(request.programme, request.programme_version, programmes)


def programme_named(name: str, version: str | None, programmes: Sequence[Programme]) -> Programme | None:
    """The programme of that id and version; of several the one with the highest version number; None: there is none."""
    named = [one for one in programmes if one.id == name and version in (None, one.version)]
    return max(named, key=lambda programme: _numbers(programme.version), default=None)


def _numbers(version: str) -> tuple[int, ...]:
    """A programme's version is numbers by definition, so its order is no guess: 1.2 is 1.2.0, and before 1.10."""
    numbers = tuple(int(part) for part in version.split("."))
    return numbers + (0,) * (3 - len(numbers))


def _no_programme(request: BatchRequest, programmes: Sequence[Programme]) -> Problem:
    wanted = f"{request.programme} {request.programme_version or ''}".strip()
    known = ", ".join(sorted(f"{programme.id} {programme.version}" for programme in programmes)) or "none is loaded"
    return Problem(path="programme", wrong=f"there is no programme {wanted}", expected=f"one of: {known}")


def problems_of_submission(path: str, submission: Submission, programme: Programme) -> list[Problem]:
    """Everything that is wrong with one submission."""
    problems: list[Problem] = []
    if programme.profile(submission.profile) is None:
        profiles = " or ".join(profile.id for profile in programme.profiles)
        problems.append(
            Problem(path=f"{path}.profile", wrong=f"{submission.profile} is no profile of it", expected=profiles)
        )
    found = (
        *programme.proforma.contradictions(submission.ics, submission.ixit),
        *set_problems(submission.product.firmware, submission.components, submission.companions),
    )
    for problem in found:
        problems.append(
            Problem(path=f"{path}.{problem.path}", wrong=problem.wrong, expected=problem.expected, line=problem.line)
        )
    if problems:
        return problems
    plans = plan(submission, programme)
    if not plans and not asked_of_people(submission, programme):
        return [
            Problem(path=f"{path}.ics", wrong="no test case applies to it", expected="a declaration of some feature")
        ]
    return problems


def set_problems(
    firmware: str | None, components: Sequence[Component], companions: Sequence[Companion]
) -> Iterator[Problem]:
    """What contradicts itself in the set that is to be certified: parts and companions named twice, two firmwares.

    ``firmware``: what the product names on the wire; None where that is not told.
    """
    seen: set[str] = set()
    for number, component in enumerate(components):
        place = f"components[{number}]"
        if component.name in seen:
            yield Problem(path=f"{place}.name", wrong=f"{component.name} stands twice", expected="each part once")
        seen.add(component.name)
        if component.name == MAIN and firmware not in (None, component.version):
            wrong = f"is {component.version!r}, and product.firmware is {firmware!r}"
            yield Problem(path=f"{place}.version", wrong=wrong, expected="the same version in both places")
    for number, companion in enumerate(companions):
        if companion in companions[:number]:
            wrong = f"{companion.product} {companion.version} stands twice"
            yield Problem(path=f"companions[{number}]", wrong=wrong, expected="each companion once")
