"""What people are asked to measure, whether an answer answers it, and what it says of a requirement. Pure.

An answer becomes an attempt at the requirement that asked for it, so that it is held against the limits by the same
rules as what a run measured.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from lab_inventory.errors import Problem
from lab_inventory.ics import holds
from lab_inventory.measurement import Evidence, Measurement, Unit
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.programme import Programme, Requirement
from orchestrator.lifecycle.batch import BatchAccepted, Submission
from orchestrator.lifecycle.prompt import (
    MeasuredByHand,
    PromptAborted,
    PromptAnswered,
    PromptAnsweredByOne,
    PromptConfirmed,
    PromptOpened,
    PromptState,
    PromptView,
)
from orchestrator.pipeline.attempts import CaseAttempt, Distrust

OBSERVATION = "observation"
"""What stands for the instrument where somebody saw or counted."""
OBSERVABLE = frozenset({Unit.BOOL, Unit.COUNT})
"""What can be measured without an instrument."""
EVIDENCE_OF_MEASUREMENT_MAX = 16


def asked_of_people(submission: Submission, programme: Programme) -> tuple[Requirement, ...]:
    """The manual requirements that apply to a submission, in the order of the programme."""
    return tuple(
        one
        for one in programme.manual(submission.profile)
        if one.condition is None or holds(one.condition, submission.ics)
    )


def prompts(
    batch: BatchAccepted, programmes: Sequence[Programme], new_id: Callable[[str], str]
) -> tuple[PromptOpened, ...]:
    """The prompts that an accepted batch opens: one for each requirement of each submission that people measure.

    ``programmes``: that of each submission.
    """
    return tuple(
        PromptOpened(
            prompt=new_id("prm"),
            submission=entry.submission,
            requirement=requirement.id,
            second_person=requirement.second_person,
            due_at=batch.at + timedelta(hours=requirement.timeout_h),
            at=batch.at,
        )
        for entry, programme in zip(batch.submissions, programmes, strict=True)
        for requirement in asked_of_people(entry.content, programme)
    )


def against_answer(
    requirement: Requirement, measured: Iterable[MeasuredByHand], evidence: Iterable[Evidence]
) -> tuple[Problem, ...]:
    """Every reason why these values do not answer what a requirement asks for."""
    return (*_against_values(requirement, list(measured)), *_against_files(list(evidence)))


def _against_values(requirement: Requirement, measured: list[MeasuredByHand]) -> Iterator[Problem]:
    units = {check.quantity: check.unit for check in requirement.checks}
    given = [one.quantity for one in measured]
    for name, asked in units.items():
        if name not in given:
            yield Problem(path="measured", wrong=f"{name} is missing", expected=f"a value in {asked}")
    for number, one in enumerate(measured):
        place = f"measured[{number}]"
        unit = units.get(one.quantity)
        if unit is None:
            wrong = f"{requirement.id} does not ask for {one.quantity}"
            yield Problem(path=f"{place}.quantity", wrong=wrong, expected=" or ".join(units))
            continue
        if one.quantity in given[:number]:
            yield Problem(path=f"{place}.quantity", wrong=f"{one.quantity} stands twice", expected="each once")
        if one.unit is not unit:
            wrong = f"{one.quantity} is in {one.unit}"
            yield Problem(path=f"{place}.unit", wrong=wrong, expected=unit.value)
        if isinstance(one.value, bool) is not (unit is Unit.BOOL):
            expected = "true or false" if unit is Unit.BOOL else f"a number in {unit}"
            yield Problem(path=f"{place}.value", wrong=f"is {one.value!r}", expected=expected)
        if one.instrument is None and unit not in OBSERVABLE:
            wrong = f"{one.quantity} in {unit} was measured by nothing"
            yield Problem(path=f"{place}.instrument", wrong=wrong, expected="the instrument, with its calibration")


def _against_files(evidence: list[Evidence]) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, file in enumerate(evidence):
        if file.digest in seen:
            yield Problem(path=f"evidence[{number}].digest", wrong="stands twice", expected="each file once")
        seen.add(file.digest)


def attempt_by_hand(
    requirement: Requirement, prompts: Iterable[PromptView], distrust: Distrust | None = None
) -> tuple[CaseAttempt, ...]:
    """What people said of a manual requirement, as an attempt at it; nothing where nobody was asked.

    Without an answer that counts it is an attempt at nothing, with the reason. Of several prompts for one requirement
    each is an attempt.
    """
    asked = sorted((one for one in prompts if one.requirement == requirement.id), key=lambda one: one.prompt)
    return tuple(_attempt(requirement, prompt, number, distrust) for number, prompt in enumerate(asked, 1))


def _attempt(requirement: Requirement, prompt: PromptView, number: int, distrust: Distrust | None) -> CaseAttempt:
    def attempt(
        reason: str, ended: tuple[CaseEnded, ...] = (), distrusted: dict[tuple[int, str], str] | None = None
    ) -> CaseAttempt:
        return CaseAttempt(run="", attempt=number, fault="", reason=reason, ended=ended, distrusted=distrusted or {})

    answer = prompt.answer
    why_not = _why_not(requirement, prompt)
    if why_not or answer is None:
        return attempt(why_not or f"prompt {prompt.prompt} has no answer")
    confirmed = f", confirmed by {prompt.confirmation.by}" if prompt.confirmation else ""
    files = tuple(file.digest for file in answer.evidence)[:EVIDENCE_OF_MEASUREMENT_MAX]
    measurements = []
    distrusted: dict[tuple[int, str], str] = {}
    day = answer.at.astimezone(UTC).date()
    for one in answer.measured:
        instrument = one.instrument or OBSERVATION
        by = f"by {answer.by} with {one.instrument}" if one.instrument else f"observed by {answer.by}"
        note = f"{by}{confirmed}, unit {answer.serial}, prompt {prompt.prompt}" + (f": {one.note}" if one.note else "")
        measurements.append(
            Measurement(
                quantity=one.quantity,
                unit=one.unit,
                value=one.value,
                uncertainty=one.uncertainty,
                instrument=instrument,
                note=note,
                evidence=files,
            )
        )
        doubt = _doubt(one, answer.at, distrust)
        if doubt:
            distrusted[1, instrument] = f"{doubt}; it measured on {day} ({by}{confirmed}, prompt {prompt.prompt})"
    ended = CaseEnded(
        case=requirement.id,
        repeat=1,
        status=CaseStatus.MEASURED,
        measurements=tuple(measurements),
        evidence=answer.evidence,
        duration_s=0,
    )
    return attempt(f"prompt {prompt.prompt} was answered by {answer.by}", (ended,), distrusted)


def _why_not(requirement: Requirement, prompt: PromptView) -> str:
    """Why a prompt says nothing of the requirement, or nothing."""
    named, last = f"prompt {prompt.prompt}", prompt.entries[-1] if prompt.entries else None
    if prompt.state is PromptState.ABORTED and isinstance(last, PromptAborted):
        return f"{named} was aborted by {last.by}: {last.words}"
    if prompt.state is PromptState.LAPSED:
        answered = any(isinstance(one, PromptAnsweredByOne) for one in prompt.entries)
        lacking = "was not confirmed by a second person" if answered else "was not answered"
        return f"{named} {lacking} before {prompt.due_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    answer, confirmation = prompt.answer, prompt.confirmation
    if prompt.state not in (PromptState.ANSWERED, PromptState.CONFIRMED) or answer is None:
        return f"{named} is {prompt.state}"
    if requirement.second_person or prompt.second_person:
        if not isinstance(confirmation, PromptConfirmed) or confirmation.by == answer.by:
            return f"{named} was answered by {answer.by} and not confirmed by a second person"
        if confirmation.answer != answer.entry:
            return f"{named} was answered by {answer.by} after another answer was confirmed"
    return ""


def _doubt(one: MeasuredByHand, at: datetime, distrust: Distrust | None) -> str:
    """Why what somebody measured proves nothing, or nothing."""
    day = at.astimezone(UTC).date()
    instrument = one.instrument or OBSERVATION
    if one.instrument is None and one.unit not in OBSERVABLE:
        return f"{one.quantity} in {one.unit} is not to be had by observation"
    if one.calibration is not None and one.calibration.due_on is not None and day > one.calibration.due_on:
        return f"the calibration of {instrument} was due on {one.calibration.due_on} ({one.calibration.method})"
    if distrust is not None and distrust.covers(instrument, day, ""):
        return f"{instrument} is not relied on"
    return ""


def answers(prompts: Iterable[PromptView]) -> tuple[PromptAnswered | PromptAnsweredByOne, ...]:
    """The answers that stand, in the order of their prompts."""
    found = (prompt.answer for prompt in sorted(prompts, key=lambda one: one.prompt))
    return tuple(answer for answer in found if answer is not None)
