"""What people are asked, what answers it, and that no answer passes that should not."""

from datetime import timedelta
from typing import Any

import pytest
import small_programme as small
from hypothesis import given
from hypothesis import strategies as st
from prompt_world import by_hand, measured
from pydantic import ValidationError

from lab_inventory.errors import BadInput
from lab_inventory.lab import Calibration
from lab_inventory.measurement import Unit
from lab_inventory.programme import Requirement
from orchestrator.lifecycle.prompt import (
    MeasuredByHand,
    PromptAnswered,
    PromptAnsweredByOne,
    PromptConfirmed,
    PromptEntry,
    PromptState,
    PromptView,
)
from orchestrator.lifecycle.verdict import Verdict
from orchestrator.pipeline.prompt_form import read_answer
from orchestrator.pipeline.prompting import against_answer, attempt_by_hand
from orchestrator.pipeline.requirement import judge_requirement

LEVEL = small.SMALL.levels[0]


def asked(**change: Any) -> Requirement:
    """The manual requirement, asked at a level of the small programme."""
    data = by_hand(**change)
    for check in data["checks"]:
        check["limits"] = {LEVEL.id: next(iter(check["limits"].values()))}
    return Requirement.model_validate(data)


def view(state: PromptState, *entries: PromptEntry, second_person: bool = False) -> PromptView:
    return PromptView(
        prompt="prm-1",
        submission="sub-1",
        requirement="M-1",
        state=state,
        second_person=second_person,
        opened_at=small.NOW,
        due_at=small.NOW + timedelta(days=14),
        entries=entries,
    )


def answer(*values: MeasuredByHand, by: str = "opal", of: type[Any] = PromptAnswered) -> Any:
    return of(prompt="prm-1", entry="mes-1", by=by, serial="SN 12", measured=values or measured(), at=small.NOW)


def confirmation(by: str, of: str = "mes-1") -> PromptConfirmed:
    return PromptConfirmed(prompt="prm-1", entry="cnf-1", by=by, answer=of, at=small.NOW)


def verdict(requirement: Requirement, prompt: PromptView) -> Verdict:
    return judge_requirement(requirement, LEVEL, 1, {}, attempt_by_hand(requirement, [prompt])).verdict


VALUES = st.booleans() | st.integers(-10, 200) | st.floats(-10, 200)


@given(
    ringer=st.just(70.0) | st.none() | VALUES,
    unit=st.just(Unit.DBA) | st.sampled_from(Unit),
    lamp=st.just(True) | st.none() | VALUES,
    lamp_unit=st.just(Unit.BOOL) | st.just(Unit.COUNT),
    instrument=st.booleans(),
    due_in_days=st.none() | st.integers(-3, 3),
    state=st.just(PromptState.CONFIRMED) | st.sampled_from(PromptState),
    second_person=st.booleans(),
    confirmed_by=st.none() | st.sampled_from(["opal", "otto"]),
    confirmed=st.sampled_from(["mes-1", "mes-0"]),
)
def test_only_a_whole_answer_in_the_right_units_that_was_confirmed_where_it_must_be_passes(
    ringer: Any,
    unit: Unit,
    lamp: Any,
    lamp_unit: Unit,
    instrument: bool,
    due_in_days: int | None,
    state: PromptState,
    second_person: bool,
    confirmed_by: str | None,
    confirmed: str,
) -> None:
    given: list[MeasuredByHand] = []
    due_on = None if due_in_days is None else (small.NOW + timedelta(days=due_in_days)).date()
    meter = {"instrument": "meter-1", "calibration": Calibration(method="m", due_on=due_on)} if instrument else {}
    if ringer is not None:
        given.append(
            MeasuredByHand.model_validate(
                {"quantity": "ringer", "unit": unit, "value": ringer, "uncertainty": 0.5, **meter}
            )
        )
    if lamp is not None:
        given.append(MeasuredByHand.model_validate({"quantity": "lamp_blinks", "unit": lamp_unit, "value": lamp}))
    entries: list[PromptEntry] = [answer(*given, of=PromptAnsweredByOne)] if given else []
    if confirmed_by:
        entries.append(confirmation(confirmed_by, confirmed))
    requirement = asked(second_person=second_person)
    passes = verdict(requirement, view(state, *entries, second_person=second_person)) is Verdict.PASS
    right_values = not isinstance(ringer, bool) and ringer is not None and ringer >= 60 and lamp is True
    right_units = unit is Unit.DBA and lamp_unit is Unit.BOOL
    calibrated = instrument and (due_in_days is None or due_in_days >= 0)
    closed = state in (PromptState.ANSWERED, PromptState.CONFIRMED)
    by_two = not second_person or (confirmed_by == "otto" and confirmed == "mes-1")
    assert passes is (right_values and right_units and calibrated and closed and by_two)
    if passes:
        assert against_answer(requirement, given, ()) == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "70"])
def test_what_is_no_number_is_no_value(value: Any) -> None:
    with pytest.raises(ValidationError):
        measured(value)


def test_every_reason_against_an_answer_is_told_at_once() -> None:
    wrong = (
        MeasuredByHand(quantity="ringer", unit=Unit.DECIBEL, value=True),
        MeasuredByHand(quantity="colour", unit=Unit.BOOL, value=True),
        MeasuredByHand(quantity="ringer", unit=Unit.DBA, value=70.0),
    )
    found = {(one.path, one.wrong) for one in against_answer(asked(), wrong, ())}
    assert found == {
        ("measured", "lamp_blinks is missing"),
        ("measured[0].unit", "ringer is in dB"),
        ("measured[0].value", "is True"),
        ("measured[0].instrument", "ringer in dB(A) was measured by nothing"),
        ("measured[1].quantity", "M-1 does not ask for colour"),
        ("measured[2].quantity", "ringer stands twice"),
        ("measured[2].instrument", "ringer in dB(A) was measured by nothing"),
    }


def test_an_instrument_without_its_calibration_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected both, or neither: by observation"):
        measured(calibration=None)


def test_what_a_requirement_demands_now_counts_where_a_prompt_asked_for_one_person_only() -> None:
    assert verdict(asked(), view(PromptState.ANSWERED, answer())) is Verdict.PASS
    assert verdict(asked(second_person=True), view(PromptState.ANSWERED, answer())) is Verdict.NOT_RUN


def test_what_is_typed_in_is_read_and_each_mistake_is_told_at_its_quantity() -> None:
    typed = {"value.0": " 70 ", "uncertainty.0": "1.5", "instrument.0": "meter-1", "method.0": "certificate 17"}
    ringer, lamp = read_answer(typed | {"due_on.0": "2030-01-31", "value.1": "yes"}, asked())
    assert (ringer.value, ringer.uncertainty, ringer.unit) == (70.0, 1.5, Unit.DBA)
    assert ringer.calibration is not None
    assert str(ringer.calibration.due_on) == "2030-01-31"
    assert (lamp.value, lamp.instrument) == (True, None)
    with pytest.raises(BadInput) as refused:
        read_answer({"value.0": "nan", "value.1": "", "instrument.1": "x"}, asked())
    assert [(one.path, one.expected) for one in refused.value.problems] == [
        ("ringer", "a number"),
        ("lamp_blinks", "yes or no"),
    ]
    with pytest.raises(BadInput) as refused:
        read_answer(typed | {"value.1": "yes", "method.0": "", "due_on.0": "soon"}, asked())
    assert refused.value.problems[0].expected == "a day as 2027-05-31"
