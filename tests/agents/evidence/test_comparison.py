"""What was measured again beside what the lab measured: limits are met, missed or not known, and nothing more."""

from typing import Any

import pytest

from agents.evidence.comparison import Came, compare, in_words
from lab_inventory.evidence.pack import HeldAgainst, Reproduction
from lab_inventory.measurement import Limit, Measurement, Unit, Value
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.programme import TestCase

CASE = TestCase(id="TC-1", title="one", procedure="measures", duration_s=1.0)


def measured(quantity: str, value: Value | None, unit: Unit = Unit.MILLISECOND, **fields: Any) -> Measurement:
    return Measurement(quantity=quantity, unit=unit, value=value, instrument="desk", **fields)


def ended(*measurements: Measurement, status: CaseStatus = CaseStatus.MEASURED, reason: str = "") -> CaseEnded:
    return CaseEnded(case="TC-1", repeat=1, status=status, reason=reason, measurements=measurements, duration_s=1.0)


def limit(
    quantity: str, verdict: str, level: str = "certified", unit: Unit = Unit.MILLISECOND, **ends: Any
) -> HeldAgainst:
    return HeldAgainst(
        requirement="R-1", title="one", level=level, rule="guard-band", quantity=quantity, unit=unit,
        limit=Limit(**ends), source="somewhere", verdict=verdict, words="",
    )  # fmt: skip


WANTED = Reproduction.model_validate(
    {
        "run": "run-1", "attempt": 1, "submission": "sub-1", "repeat": 1, "programme": "basic",
        "programme_version": "1.0", "programme_digest": "sha256:" + "0" * 64, "profile": "digital",
        "category": "ip-phone", "suite": "signalling", "suite_version": "1", "case": CASE, "opened_with": (CASE,),
        "stall_budget": {"ringing_ms": 100.0}, "product": {"maker": "Acme", "model": "One", "firmware": "1.0"},
        "hardware_revision": "A", "mode": "wideband", "user_agent": "Acme One", "driver": "fake", "ics": {}, "ixit": {},
        "ended": ended(measured("ringing_ms", 900.0), measured("answered", True, Unit.BOOL)),
        "limits": (
            limit("ringing_ms", "fail", max=500.0),
            limit("ringing_ms", "pass", "works-with", max=1500.0),
            limit("answered", "pass", unit=Unit.BOOL, equals=True),
        ),
    }
)  # fmt: skip
ANSWERED = measured("answered", True, Unit.BOOL)


@pytest.mark.parametrize(
    ("here", "status", "said"),
    [
        (ended(measured("ringing_ms", 905.0), ANSWERED), 1, "missed here too: ringing_ms for certified."),
        (ended(measured("ringing_ms", 100.0), ANSWERED), 0, "Every limit is met here."),
        (ended(measured("ringing_ms", None, note="180 never came"), ANSWERED), 1, "(180 never came)"),
        (
            ended(measured("ringing_ms", 100.0), measured("answered", False, Unit.BOOL)),
            1,
            "but this is missed: answered",
        ),
        (ended(measured("ringing_ms", 900.0, bench_stall=200.0), ANSWERED), 2, "this machine itself stalled by 200 ms"),
        (ended(measured("ringing_ms", 0.9, Unit.SECOND), ANSWERED), 2, "it was measured in s"),
        (ended(measured("ringing_ms", 100.0), ANSWERED, reason="1 window was thrown away"), 0, "\n1 window was thrown"),
        (ended(ANSWERED), 2, "here: unknown (it was not measured)"),
        (ended(status=CaseStatus.ERROR, reason="no phone"), 2, "Nothing was measured here (error): no phone"),
        (ended(measured("ringing_ms", 900.0), status=CaseStatus.ERROR, reason="no phone"), 2, "no phone"),
    ],
)
def test_what_is_seen_is_said_and_is_the_status(here: CaseEnded, status: int, said: str) -> None:
    compared = compare(WANTED, here)

    assert compared.status == status
    assert said in in_words(compared)


def test_a_value_at_the_limit_is_met_and_both_values_are_shown() -> None:
    compared = compare(WANTED, ended(measured("ringing_ms", 500.0), ANSWERED))

    assert [one.here for one in compared.limits] == [Came.MET] * 3
    assert "  lab   900 ms\n  here  500 ms\n" in in_words(compared)
    assert "R-1 certified: at most 500 ms (somewhere); lab: fail; here: met" in in_words(compared)
