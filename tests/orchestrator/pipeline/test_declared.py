"""Declarations held against the wire: what differs is found, and what nobody looked for is not."""

import pytest
import small_programme as small

from lab_inventory.messages import BenchChecked, CaseStatus, DeviceIdentified, Started
from lab_inventory.programme import Programme
from orchestrator.pipeline.declared import Finding, FindingKind, findings

SEEN = small.programme(
    proforma={"features": [{"id": "dtmf", "question": "DTMF?", "seen_by": {"quantity": "digits"}}]},
)


def found(*attempts: small.Attempt, dtmf: bool, against: Programme = SEEN) -> tuple[Finding, ...]:
    return findings(small.view(*attempts, of=small.content(dtmf=dtmf), against=against), against)


def measured(number: int, *values: bool | None) -> small.Attempt:
    cases = [small.ended("TC-3", repeat, digits=value) for repeat, value in enumerate(values, 1)]
    return small.attempt(number, *cases, cases=("TC-3",))


@pytest.mark.parametrize("dtmf", [True, False])
def test_a_declaration_that_the_wire_shows_is_no_finding(dtmf: bool) -> None:
    assert found(measured(1, dtmf), dtmf=dtmf) == ()


def test_what_is_declared_and_was_looked_for_in_vain_is_a_finding_with_its_runs() -> None:
    (one,) = found(measured(1, False, None), measured(2, False), dtmf=True)
    assert (one.feature, one.kind, one.runs) == ("dtmf", FindingKind.DECLARED_NOT_SEEN, ("run-1", "run-2"))
    assert one.words == "dtmf is declared, and it was not seen: digits was no in every repeat"


def test_what_is_not_declared_and_was_seen_once_is_a_finding_of_the_run_that_saw_it() -> None:
    (one,) = found(measured(1, False), measured(2, False, True), dtmf=False)
    assert (one.kind, one.runs) == (FindingKind.SEEN_NOT_DECLARED, ("run-2",))
    assert one.words == "dtmf is declared not to be there, and it was seen: digits was yes"


def test_what_was_seen_once_and_missing_elsewhere_is_as_it_was_declared() -> None:
    assert found(measured(1, False), measured(2, True), dtmf=True) == ()


def test_the_words_say_what_the_instrument_noted() -> None:
    digits = small.measured("digits", False).model_copy(update={"note": "pressed 1, seen nothing"})
    (one,) = found(small.attempt(1, small.ended("TC-3", digits=digits), cases=("TC-3",)), dtmf=True)
    assert one.words.endswith("(pressed 1, seen nothing)")


def test_what_nothing_looked_for_is_no_finding() -> None:
    assert found(small.attempt(1, small.ended("TC-2"), cases=("TC-2",)), dtmf=True) == ()
    assert found(small.attempt(1, small.not_measured("TC-3"), cases=("TC-3",)), dtmf=True) == ()
    spoilt = small.ended("TC-3", digits=False).model_copy(update={"status": CaseStatus.ERROR, "reason": "tired"})
    assert found(small.attempt(1, spoilt, cases=("TC-3",)), dtmf=True) == ()


def test_what_a_bench_measured_that_failed_its_own_check_is_no_finding() -> None:
    before = (
        Started(suite_version="1", pid=1),
        BenchChecked(passed=False, reason="noisy", measurements=()),
        DeviceIdentified(same=True, user_agent="Acme One"),
    )
    assert found(small.attempt_of(1, *before, small.ended("TC-3", digits=False)), dtmf=True) == ()


def test_a_feature_of_which_the_programme_does_not_say_how_it_is_seen_is_no_finding() -> None:
    assert found(measured(1, False), dtmf=True, against=small.SMALL) == ()


def test_findings_are_in_the_order_of_the_proforma() -> None:
    features = [
        {"id": name, "question": f"{name}?", "seen_by": {"quantity": quantity}}
        for name, quantity in (("z", "answered"), ("dtmf", "digits"))
    ]
    both = small.programme(proforma={"features": features})
    seen = small.attempt(1, *small.all_well(small.ended("TC-3", digits=False)))
    content = small.content(ics={"z": False, "dtmf": True})
    kinds = [(one.feature, one.kind.value) for one in findings(small.view(seen, of=content, against=both), both)]
    assert kinds == [("z", "seen-not-declared"), ("dtmf", "declared-not-seen")]
