"""What is to be carried out, again where the lab failed, and the assignment that an agent gets."""

import pytest
import small_lab
import small_programme as small
from pydantic import ValidationError

from lab_inventory.clock import ManualClock
from lab_inventory.errors import InvariantBroken
from lab_inventory.lab import Host, Role
from lab_inventory.messages import COMPANIONS_MAX, Assignment
from lab_inventory.outcome import stall_budget
from lab_inventory.programme import ROLES_PER_CASE_MAX, Programme, TestCase
from orchestrator.lifecycle.run import RunQueued
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.pipeline.plan import (
    ATTEMPTS_MAX,
    OVERHEAD_S,
    Exhausted,
    assignment,
    deadline_s,
    left_s,
    next_attempt,
    plan,
)

CLOCK = ManualClock()


def again(view: SubmissionView, *open_cases: str) -> RunQueued | Exhausted | None:
    return next_attempt(view, "suite", open_cases, small.SMALL, small.NOW, CLOCK.new_id)


def test_a_suite_is_planned_with_the_cases_that_apply_in_their_order() -> None:
    (planned,) = plan(small.content(), small.SMALL)
    assert planned.suite == "suite"
    assert planned.cases == ("TC-1", "TC-2", "TC-3")
    assert planned.duration_s == 40


def test_what_is_left_of_a_run_is_what_its_cases_and_repeats_take_that_have_not_ended() -> None:
    cases = [
        TestCase(id="A", title="A", procedure="a", duration_s=2, repeats=3),
        TestCase(id="B", title="B", procedure="b", duration_s=5),
    ]

    assert [left_s(cases, ended) for ended in range(6)] == [11, 9, 7, 5, 0, 0]


def test_a_case_whose_condition_does_not_hold_is_not_planned() -> None:
    (planned,) = plan(small.content(dtmf=False), small.SMALL)
    assert planned.cases == ("TC-1", "TC-2")


def test_a_case_that_only_a_requirement_asks_for_which_does_not_apply_is_not_planned() -> None:
    suites = small.SMALL.model_dump(mode="json")["suites"]
    suites[0]["cases"][2]["condition"] = None
    (planned,) = plan(small.content(dtmf=False), small.programme(suites=suites))
    assert planned.cases == ("TC-1", "TC-2")


def test_a_profile_of_which_no_requirement_asks_for_anything_has_no_plan() -> None:
    assert plan(small.content(profile="none"), small.SMALL) == ()


def test_the_next_attempt_carries_out_only_what_has_no_decisive_outcome() -> None:
    attempt = again(small.view(small.attempt(1)), "TC-3", "TC-1")
    assert isinstance(attempt, RunQueued)
    assert (attempt.attempt, attempt.cases, attempt.duration_s) == (2, ("TC-1", "TC-3"), 30)


def test_where_everything_is_decided_there_is_no_next_attempt() -> None:
    assert again(small.view(small.attempt(1))) is None


def test_a_case_that_was_never_planned_is_not_taken_up() -> None:
    assert again(small.view(small.attempt(1, cases=["TC-1"])), "TC-3") is None


def test_after_the_last_attempt_there_is_no_other() -> None:
    view = small.view(*(small.attempt(number) for number in range(1, ATTEMPTS_MAX + 1)))
    assert again(view, "TC-1") == Exhausted(attempts=ATTEMPTS_MAX)


def test_the_deadline_leaves_room_for_three_times_the_expected_duration() -> None:
    assert deadline_s(40) == 120 + OVERHEAD_S
    assert deadline_s(40, press_timeout_s=1) == deadline_s(40)
    # A person is given 115 s more for each of twelve presses.
    assert deadline_s(40, press_timeout_s=120) == 120 + OVERHEAD_S + 12 * 115


def test_the_stall_budget_is_a_third_of_the_tolerance_of_the_strictest_level() -> None:
    budget = stall_budget(small.SMALL)
    assert budget["TC-1"] == {"ringing_ms": pytest.approx(500 / 3)}
    assert budget["TC-2"] == {"gain_db": pytest.approx(1 / 3), "lost": 0}
    assert "TC-3" not in budget


def assigned(config: Host) -> Assignment:
    return assignment(
        small_lab.run_view(cases=("TC-1", "TC-3")),
        small_lab.lease("run-1"),
        small_lab.registration(),
        config,
        small.content(),
        small.SMALL,
    )


def test_an_assignment_holds_the_place_the_unit_and_the_cases_and_no_limit() -> None:
    made = assigned(small_lab.host())
    assert (made.host, made.bench, made.slot.name) == ("host-1", "bench-of-host-1", "slot-1")
    assert made.dut.device == "dev-1"
    assert [case.id for case in made.cases] == ["TC-1", "TC-3"]
    assert made.epochs == dict(small_lab.EPOCHS)
    assert made.programme_digest == small.SMALL.digest
    assert set(made.stall_budget) == {"TC-1"}
    assert "limits" not in made.model_dump_json()


def test_an_assignment_holds_every_ixit_value_with_its_default() -> None:
    assert assigned(small_lab.host()).ixit == {"ptime": 20}


def test_there_is_no_assignment_to_a_slot_that_is_gone_from_the_lab_file() -> None:
    with pytest.raises(InvariantBroken, match="slot-1"):
        assigned(small_lab.host(slots=["slot-2"]))


def paired(*roles: tuple[str, ...]) -> Programme:
    suites = small.SMALL.model_dump(mode="json")["suites"]
    for case, of_case in zip(suites[0]["cases"], roles, strict=True):
        case["roles"] = of_case
    return small.programme(suites=suites)


def test_a_run_needs_as_many_of_each_role_as_its_most_demanding_case() -> None:
    programme = paired(("dut",), ("dut", "companion", "companion"), ("dut", "companion", "reference"))
    (planned,) = plan(small.content(), programme)
    assert [need.role for need in planned.needs] == [Role.COMPANION, Role.COMPANION, Role.REFERENCE]
    assert {need.category for need in planned.needs} == {"ip-phone"}


def test_a_companion_is_of_the_category_that_its_case_says() -> None:
    suites = small.SMALL.model_dump(mode="json")["suites"]
    for case in suites[0]["cases"][:2]:
        case["roles"] = ["dut", "companion"]
    suites[0]["cases"][1]["categories"] = {"companion": "usb-headset"}
    (planned,) = plan(small.content(), small.programme(suites=suites))
    assert [(need.role, need.category) for need in planned.needs] == [
        (Role.COMPANION, "ip-phone"), (Role.COMPANION, "usb-headset"),
    ]  # fmt: skip


def test_a_category_for_a_role_that_the_case_does_not_have_is_a_mistake() -> None:
    suites = small.SMALL.model_dump(mode="json")["suites"]
    suites[0]["cases"][1]["categories"] = {"companion": "usb-headset"}
    with pytest.raises(ValidationError, match="names a category for companion"):
        small.programme(suites=suites)


def test_a_suite_that_needs_more_devices_than_a_run_holds_is_a_mistake() -> None:
    suites = small.SMALL.model_dump(mode="json")["suites"]
    for case, category in zip(suites[0]["cases"], ("ip-phone", "usb-headset", "console"), strict=True):
        case["roles"] = ["dut", *["companion"] * (ROLES_PER_CASE_MAX - 1)]
        case["categories"] = {"companion": category}
    with pytest.raises(ValidationError, match="need 12 devices beside the one under test"):
        small.programme(suites=suites)


def test_no_run_needs_more_devices_than_an_assignment_holds() -> None:
    most = [("dut", *[role] * (ROLES_PER_CASE_MAX - 1)) for role in ("companion", "reference")]
    (planned,) = plan(small.content(), paired(("dut",), *most))
    assert len(planned.needs) == COMPANIONS_MAX
    with pytest.raises(ValidationError):
        paired(("dut",), ("dut",), ("dut", *["companion"] * ROLES_PER_CASE_MAX))


def test_an_attempt_at_the_cases_that_need_one_device_needs_no_other() -> None:
    programme = paired(("dut",), ("dut", "companion"), ("dut",))
    view = small.view(small.attempt(1))
    alone = next_attempt(view, "suite", ("TC-1",), programme, small.NOW, CLOCK.new_id)
    both = next_attempt(view, "suite", ("TC-1", "TC-2"), programme, small.NOW, CLOCK.new_id)
    assert isinstance(alone, RunQueued)
    assert isinstance(both, RunQueued)
    assert (alone.needs, len(both.needs)) == ((), 1)


def test_what_needs_one_device_is_written_as_before() -> None:
    (planned,) = plan(small.content(), small.SMALL)
    assert planned.needs == ()
    attempt = again(small.view(small.attempt(1)), "TC-1")
    assert isinstance(attempt, RunQueued)
    assert "needs" not in attempt.model_dump(mode="json")
