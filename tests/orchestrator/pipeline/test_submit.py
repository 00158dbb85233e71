"""A batch is accepted whole, or refused whole with every reason."""

from collections.abc import Sequence
from typing import Any

import pytest
import small_lab
import small_programme as small
from pydantic import ValidationError

from lab_inventory.clock import ManualClock
from lab_inventory.lab import Bench, Role
from lab_inventory.programme import Programme
from orchestrator.lifecycle.batch import SUBMISSIONS_PER_BATCH_MAX, BatchAccepted, Submission
from orchestrator.lifecycle.run import Need, RunQueued
from orchestrator.pipeline.submit import Accepted, BatchRequest, Refused, submit


def request(*submissions: Submission, **change: Any) -> BatchRequest:
    fields: dict[str, Any] = {
        "title": "a batch",
        "programme": "small",
        "submissions": submissions or (small.content(),),
    }
    return BatchRequest.model_validate(fields | change)


def answer(
    of: BatchRequest, *programmes: Programme, registered: bool = True, benches: Sequence[Bench] = ()
) -> Accepted | Refused:
    units = frozenset({small_lab.key()}) if registered else frozenset()
    return submit(of, programmes or (small.SMALL,), units, "operator", small.NOW, ManualClock().new_id, benches)


def accepted(
    of: BatchRequest, *programmes: Programme, registered: bool = True, benches: Sequence[Bench] = ()
) -> Accepted:
    got = answer(of, *programmes, registered=registered, benches=benches)
    assert isinstance(got, Accepted)
    return got


def refusals(of: BatchRequest, *programmes: Programme) -> dict[str, str]:
    got = answer(of, *programmes)
    assert isinstance(got, Refused)
    return {problem.path: problem.wrong for problem in got.problems}


def test_a_batch_is_accepted_with_one_run_for_each_suite_of_each_submission() -> None:
    got = accepted(request(small.content(), small.content(dtmf=False)))
    batch, *runs = got.facts
    assert isinstance(batch, BatchAccepted)
    assert [entry.submission for entry in batch.submissions] == list(got.submissions)
    queued = [run for run in runs if isinstance(run, RunQueued)]
    assert [run.submission for run in queued] == list(got.submissions)
    assert [run.cases for run in queued] == [("TC-1", "TC-2", "TC-3"), ("TC-1", "TC-2")]
    assert {run.attempt for run in queued} == {1}
    assert got.warnings == ()


def test_a_batch_is_bound_to_the_programme_by_its_digest() -> None:
    batch = accepted(request()).facts[0]
    assert isinstance(batch, BatchAccepted)
    assert batch.programme_digest == small.SMALL.digest


def test_without_a_version_the_highest_is_taken_by_number_and_not_by_letter() -> None:
    programmes = [small.programme(version=version) for version in ("1.9", "1.10", "1.9.9")]
    batch = accepted(request(), *programmes).facts[0]
    assert isinstance(batch, BatchAccepted)
    assert batch.programme_version == "1.10"


def test_a_version_that_is_named_is_taken() -> None:
    programmes = [small.programme(version=version) for version in ("1.0", "2.0")]
    batch = accepted(request(programme_version="1.0"), *programmes).facts[0]
    assert isinstance(batch, BatchAccepted)
    assert batch.programme_version == "1.0"


@pytest.mark.parametrize("change", [{"programme": "large"}, {"programme_version": "9.9"}])
def test_a_programme_that_does_not_exist_is_refused_with_those_that_do(change: dict[str, str]) -> None:
    got = answer(request(**change))
    assert isinstance(got, Refused)
    (problem,) = got.problems
    assert problem.path == "programme"
    assert problem.expected == "one of: small 1.0"


def test_every_reason_against_every_submission_is_told_at_once() -> None:
    wrong = refusals(
        request(
            small.content(ics={"video": True}, profile="acoustic"),
            small.content(ixit={"volume": 3}),
        )
    )
    assert wrong == {
        "submissions[0].profile": "acoustic is no profile of it",
        "submissions[0].ics.video": "is not asked for",
        "submissions[0].ics.dtmf": "is not answered",
        "submissions[1].ixit.volume": "is not asked for",
    }


def test_what_contradicts_itself_in_the_set_is_told_with_what_is_wrong_in_the_answers() -> None:
    parts = [
        {"name": "main", "version": "2.0", "digest": "sha256:" + "a" * 64},
        {"name": "main", "version": "1.0", "digest": "sha256:" + "b" * 64},
        {"name": "dongle", "version": "7", "digest": "sha256:" + "c" * 64},
    ]
    host = {"kind": "host", "product": "Acme Two", "version": "3.1"}
    wrong = refusals(request(small.content(ics={}, components=parts, companions=[host, host])))
    assert wrong == {
        "submissions[0].ics.dtmf": "is not answered",
        "submissions[0].components[0].version": "is '2.0', and product.firmware is '1.0'",
        "submissions[0].components[1].name": "main stands twice",
        "submissions[0].companions[1]": "Acme Two 3.1 stands twice",
    }


def test_a_submission_without_a_set_is_written_as_before() -> None:
    assert not {"region", "components", "companions", "unit"} & set(small.content().model_dump(mode="json"))


def test_a_submission_to_which_no_case_applies_is_refused() -> None:
    assert refusals(request(small.content(profile="none"))) == {"submissions[0].ics": "no test case applies to it"}


def needs_a_companion() -> Programme:
    suites = small.SMALL.model_dump(mode="json")["suites"]
    suites[0]["cases"][1]["roles"] = ["dut", "companion"]
    return small.programme(suites=suites)


def bench_with(*roles: Role) -> Bench:
    return small_lab.host(slots=["slot-1", "slot-2"], roles={"slot-2": roles}).benches[0]


def test_a_case_that_needs_a_second_device_is_taken_and_its_run_says_what_it_needs() -> None:
    got = accepted(request(), needs_a_companion(), benches=[bench_with(Role.COMPANION)])
    (run,) = [fact for fact in got.facts if isinstance(fact, RunQueued)]
    assert run.needs == (Need(role=Role.COMPANION, category="ip-phone"),)
    assert not [words for words in got.warnings if "slots" in words]


def test_where_no_bench_has_a_slot_for_the_second_device_the_answer_says_so() -> None:
    got = accepted(request(), needs_a_companion(), benches=[bench_with(Role.REFERENCE)])
    assert "no bench has slots for 1 companion ip-phone; the runs that need them wait until one has" in got.warnings


def test_a_product_of_which_no_unit_is_registered_is_accepted_with_a_warning() -> None:
    (warning,) = accepted(request(), registered=False).warnings
    assert warning.startswith("phone one: no unit of it is registered yet")


def test_a_batch_has_one_submission_at_least_and_two_hundred_at_most() -> None:
    for count in (0, SUBMISSIONS_PER_BATCH_MAX + 1):
        with pytest.raises(ValidationError):
            BatchRequest(title="t", programme="small", submissions=(small.content(),) * count)


def test_the_same_request_has_the_same_content_digest() -> None:
    digests = {
        fact.content_digest for _ in range(2) for fact in accepted(request()).facts if isinstance(fact, BatchAccepted)
    }
    assert len(digests) == 1
