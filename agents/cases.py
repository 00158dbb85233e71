"""Carries out one repeat of one test case, and says how it ended. Takes an open suite; gives a CaseEnded.

The lab's mistakes end here: a LabError, a crash or a procedure that does not come back is an *error* with its reason
and without any measurement. Knows no limit: a case that was measured is worth what the judge makes of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.drivers import installed_drivers, patience_s
from agents.measure import LabError, Recorder
from agents.sound_scores.asking import ScoresHere
from agents.sound_scores.joining import Unscored, scored
from agents.suites import OpenSuite
from agents.words import as_text, describe
from lab_inventory.clock import Clock
from lab_inventory.ics import holds
from lab_inventory.measurement import Measurement
from lab_inventory.messages import Assignment, CaseEnded, CaseStatus
from lab_inventory.programme import TestCase

WINDOWS_MAX = 3
SCORES_WITHIN_S = 300.0
"""How long after its last call a run waits for scores; then the cases that want them are the lab's error."""
_EVIDENCE_MAX = 64


def time_limit_s(case: TestCase) -> float:
    """How long one window of a case may take before the procedure is taken to hang, where programs press the keys."""
    return 3 * case.duration_s + 15


def not_applicable(case: TestCase, assignment: Assignment) -> str | None:
    """Why a case is not carried out on a device with these ICS answers, or None where it is."""
    if case.condition is None or holds(case.condition, assignment.ics):
        return None
    return f"the ICS does not meet the case's condition {case.condition}"


def not_run(case: TestCase, repeat: int, reason: str) -> CaseEnded:
    """The end of a repeat that is not carried out."""
    return CaseEnded(case=case.id, repeat=repeat, status=CaseStatus.NOT_RUN, reason=as_text(reason), duration_s=0)


def stalled(measurements: Sequence[Measurement], budget: Mapping[str, float]) -> bool:
    """Whether the bench itself stalled beyond what one of the quantities can bear."""
    return any(
        measured.bench_stall is not None
        and measured.quantity in budget
        and measured.bench_stall > budget[measured.quantity]
        for measured in measurements
    )


async def carry_out_case(
    suite: OpenSuite, case: TestCase, repeat: int, *, assignment: Assignment, folder: Path, clock: Clock
) -> CaseEnded:
    """Measure one repeat of one case, and score its recordings here: for whoever carries out a case alone.

    Nothing else is sent meanwhile. Raises OSError where evidence cannot be read again.
    """
    unscored = await measure_case(suite, case, repeat, assignment=assignment, folder=folder, clock=clock)
    scorer = ScoresHere(folder, clock)
    for wanted in unscored.wanted:
        scorer.ask(wanted.sound)
    return scored(unscored, await scorer.answers(clock.boottime_s() + SCORES_WITHIN_S))


async def measure_case(
    suite: OpenSuite, case: TestCase, repeat: int, *, assignment: Assignment, folder: Path, clock: Clock
) -> Unscored:
    """Measure one repeat of one case; a window in which the bench stalled is measured again, at most twice.

    What the last window saw is reported, whatever it saw, and the reason says how many were thrown away before it.
    The windows are thrown away for what the bench suffered and never for what the device did.
    """
    began_s = clock.boottime_s()
    budget = assignment.stall_budget.get(case.id, {})
    thrown_away = 0
    while True:
        ended, recorder = await _one_window(suite, case, repeat, assignment=assignment, folder=folder)
        again = ended.status is CaseStatus.MEASURED and stalled(ended.measurements, budget)
        if not again or thrown_away == WINDOWS_MAX - 1:
            break
        thrown_away += 1
    reason = ended.reason
    if thrown_away:
        windows = "1 window was" if thrown_away == 1 else f"{thrown_away} windows were"
        reason = as_text(f"{windows} thrown away because the bench itself stalled. {reason}".strip())
    ended = ended.model_copy(update={"duration_s": clock.boottime_s() - began_s, "reason": reason})
    return Unscored(ended=ended, recorder=recorder)


async def _one_window(
    suite: OpenSuite, case: TestCase, repeat: int, *, assignment: Assignment, folder: Path
) -> tuple[CaseEnded, Recorder | None]:
    procedure = suite.procedures.get(case.procedure)
    if procedure is None:
        return _error(case, repeat, f"this agent's suite has no procedure {case.procedure}"), None
    if not assignment.instruments:
        return _error(case, repeat, "the assignment names no instrument to measure with"), None
    recorder = Recorder(declared=procedure.measures, instrument=assignment.instruments[0], folder=folder)
    limit_s = time_limit_s(case) + patience_s(installed_drivers().get(assignment.dut.registration.driver or ""))
    try:
        async with asyncio.timeout(limit_s) as timer:
            await suite.carry_out(case, recorder)
        ended = CaseEnded(
            case=case.id,
            repeat=repeat,
            status=CaseStatus.MEASURED,
            measurements=recorder.measurements(),
            evidence=recorder.evidence(),
            duration_s=0,
            reason=as_text(recorder.unmeasured()),
        )
        return ended, recorder
    except LabError as error:
        reason = str(error)
    except TimeoutError as error:
        reason = f"the procedure did not end within {limit_s:g} s" if timer.expired() else _crashed(case, error)
    except asyncio.CancelledError as error:
        # Only the run may cancel a procedure; one that cancels itself has crashed like any other.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        reason = _crashed(case, error)
    except Exception as error:
        reason = _crashed(case, error)
    return _error(case, repeat, reason, recorder), recorder


def _crashed(case: TestCase, error: BaseException) -> str:
    return f"the procedure {case.procedure} crashed: {describe(error)}"


def _error(case: TestCase, repeat: int, reason: str, recorder: Recorder | None = None) -> CaseEnded:
    """An error brings the evidence that was kept so far, to find its cause, and never a measurement."""
    return CaseEnded(
        case=case.id,
        repeat=repeat,
        status=CaseStatus.ERROR,
        reason=as_text(reason),
        evidence=recorder.evidence()[:_EVIDENCE_MAX] if recorder else (),
        duration_s=0,
    )
