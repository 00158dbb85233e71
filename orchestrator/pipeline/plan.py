"""From ICS and programme to what is to be carried out, again where the lab failed, and as an assignment. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lab_inventory.device import Registration
from lab_inventory.errors import InvariantBroken
from lab_inventory.ics import holds
from lab_inventory.lab import Bench, Host, Slot
from lab_inventory.messages import Assignment, CompanionDevice, DeviceUnderTest
from lab_inventory.noun import Noun
from lab_inventory.outcome import stall_budget
from lab_inventory.programme import Programme, Purpose, Requirement, Suite, TestCase, devices_beside
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.run import Need, PlacedCompanion, RunQueued, RunState
from orchestrator.lifecycle.snapshot import LeaseView, RunView, SubmissionView

ATTEMPTS_MAX = 3
PROBATION_ATTEMPTS_MAX = 1
"""A probation that the lab spoils is an answer: it is not to be tried until it goes well."""
OVERHEAD_S = 60.0
"""What a run needs beside its cases: the bench's check of itself, the reset of the device, its registration."""
RECOVERY_S = 240.0
"""What a run needs more that recovers its device: power off and on, and the start of the device."""
PROMPT_PRESS_S = 5.0
"""Within which a program presses a key: what the expected duration of a case has room for."""
A_PRESS_EVERY_S = 4.0
"""So often, in the expected duration, cases that press keys press one; most press fewer."""


class TestPlan(Noun):
    """One suite of a submission: the cases that apply, in order."""

    __test__ = False

    suite: str
    cases: tuple[str, ...]
    duration_s: float
    needs: tuple[Need, ...] = ()


def plan(submission: Submission, programme: Programme) -> tuple[TestPlan, ...]:
    """One test plan for each suite that has something to carry out, in the order of the programme.

    A case is carried out where it applies under the ICS and a requirement of the profile that applies asks for it.
    """
    wanted = {
        requirement.case
        for requirement in programme.requirements
        if submission.profile in requirement.profiles and _applies(requirement, submission)
    }
    plans: list[TestPlan] = []
    for suite in programme.suites:
        cases = [case for case in suite.cases if case.id in wanted and _applies(case, submission)]
        if cases:
            plans.append(_test_plan(suite, cases, programme))
    return tuple(plans)


def _applies(to: TestCase | Requirement, submission: Submission) -> bool:
    return to.condition is None or holds(to.condition, submission.ics)


def _test_plan(suite: Suite, cases: list[TestCase], programme: Programme) -> TestPlan:
    return TestPlan(
        suite=suite.id,
        cases=tuple(case.id for case in cases),
        duration_s=sum(case.duration_s * case.repeats for case in cases),
        needs=needs_of(cases, programme),
    )


def needs_of(cases: Iterable[TestCase], programme: Programme) -> tuple[Need, ...]:
    """The devices that a run of these cases needs beside the one under test: for each role and category as many as the
    case that asks for most of them. They are of the category that the programme is for, where a case says no other.
    """
    beside = devices_beside(cases, programme.category)
    return tuple(Need(role=role, category=category) for (role, category), n in beside.items() for _ in range(n))


@dataclass(frozen=True, kw_only=True)
class Exhausted:
    """No further attempt: as many as are allowed were made."""

    attempts: int


def next_attempt(
    view: SubmissionView,
    suite_id: str,
    open_cases: tuple[str, ...],
    programme: Programme,
    now: datetime,
    new_id: Callable[[str], str],
) -> RunQueued | Exhausted | None:
    """The next attempt at a suite whose attempts have all ended; None where nothing of it is open.

    ``open_cases``: the cases without a decisive outcome. A fail is decisive, so it is never repeated away.
    """
    suite = next(suite for suite in programme.suites if suite.id == suite_id)
    runs = [run for run in view.runs if run.suite == suite_id]
    planned = {case for run in runs for case in run.cases}
    cases = [case for case in suite.cases if case.id in open_cases and case.id in planned]
    if not cases:
        return None
    attempts = max(run.attempt for run in runs)
    most = PROBATION_ATTEMPTS_MAX if programme.purpose is Purpose.PROBATION else ATTEMPTS_MAX
    if sum(not _was_refused(run) for run in runs) >= most:
        return Exhausted(attempts=attempts)
    test_plan = _test_plan(suite, cases, programme)
    return RunQueued(
        run=new_id("run"),
        submission=view.submission,
        batch=view.batch,
        suite=suite_id,
        attempt=attempts + 1,
        cases=test_plan.cases,
        duration_s=test_plan.duration_s,
        needs=test_plan.needs,
        at=now,
    )


def _was_refused(run: RunView) -> bool:
    """Whether no agent ever took it: nothing was tried then, so it is no attempt that could be used up."""
    return run.state is RunState.ERROR and not run.digests


def left_s(cases: Sequence[TestCase], ended: int) -> float:
    """How long the cases of a run are expected to take yet, of which so many repeats have ended, in their order."""
    durations = [case.duration_s for case in cases for _ in range(case.repeats)]
    return sum(durations[ended:])


def deadline_s(duration_s: float, *, recovers: bool = False, press_timeout_s: float = PROMPT_PRESS_S) -> float:
    """How long a run may take before it is stopped, given the expected duration of its cases.

    ``press_timeout_s``: how long its driver may take to press a key; a person takes longer than a program.
    """
    presses = 2 + duration_s / A_PRESS_EVERY_S
    patience_s = presses * max(0.0, press_timeout_s - PROMPT_PRESS_S)
    return 3 * duration_s + OVERHEAD_S + patience_s + (RECOVERY_S if recovers else 0.0)


def assignment(
    run: RunView,
    lease: LeaseView,
    registration: Registration,
    host: Host,
    content: Submission,
    programme: Programme,
    companions: Iterable[PlacedCompanion] = (),
) -> Assignment:
    """Everything the agent needs for one run, and no limit. Raises InvariantBroken where a slot of it is gone.

    ``registration`` and ``companions``: the units as they were registered when the lease was granted; the agent makes
    sure that they still are.
    """
    bench, slot = _place(host, lease.slot)
    cases = [case for case_id in run.cases if (case := programme.case(case_id)) is not None]
    return Assignment(
        run=run.run,
        attempt=run.attempt,
        submission=run.submission,
        host=host.name,
        bench=bench.name,
        slot=slot,
        instruments=bench.instruments,
        dut=DeviceUnderTest(device=lease.device, registration=registration),
        programme=f"{programme.id} {programme.version}",
        programme_digest=programme.digest,
        suite=run.suite,
        cases=tuple(cases),
        ics=content.ics,
        ixit=programme.proforma.with_defaults(content.ixit),
        epochs=dict(lease.epochs),
        ttl_s=lease.ttl_s,
        deadline_s=lease.deadline_s,
        recover=programme.purpose is Purpose.PROBATION,
        companions=tuple(
            CompanionDevice(
                role=beside.role,
                slot=_place(host, beside.slot)[1],
                device=beside.device,
                registration=beside.registration,
            )
            for beside in companions
        ),
        characterisation_valid_days=bench.characterisation_valid_days,
        stall_budget={case: sizes for case, sizes in stall_budget(programme).items() if case in run.cases},
    )


def _place(host: Host, slot: str) -> tuple[Bench, Slot]:
    found = host.slot(slot)
    if found is None:
        raise InvariantBroken(f"slot {slot} of host {host.name} is no longer in the lab file")
    return found
