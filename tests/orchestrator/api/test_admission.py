"""How much is answered, by a clock that the test turns."""

import pytest

from lab_inventory.clock import ManualClock
from lab_inventory.errors import TooMany, Unauthorised
from orchestrator.api.admission import FAILURES_MAX, GUESSES_MAX, GUESSES_WINDOW_S, KEYS_MAX, Admission


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def admission(clock: ManualClock) -> Admission:
    return Admission(clock, requests_per_s=2.0)


def wrong() -> None:
    raise Unauthorised("wrong")


def test_so_many_at_once_then_as_they_come_back(clock: ManualClock, admission: Admission) -> None:
    for _ in range(20):
        admission.admit("anna")
    with pytest.raises(TooMany) as refused:
        admission.admit("anna")
    assert refused.value.after_s == pytest.approx(0.5)
    admission.admit("bert")
    clock.advance(0.5)
    admission.admit("anna")
    with pytest.raises(TooMany):
        admission.admit("anna")


def test_guesses_are_not_even_looked_at_after_many_wrong_ones(clock: ManualClock, admission: Admission) -> None:
    for _ in range(GUESSES_MAX):
        with pytest.raises(Unauthorised), admission.slowing_guesses("person anna"):
            wrong()
    looked = []
    with pytest.raises(TooMany), admission.slowing_guesses("person anna"):
        looked.append(True)
    assert looked == []
    with admission.slowing_guesses("person bert"):
        looked.append(True)
    clock.advance(GUESSES_WINDOW_S / GUESSES_MAX)
    with admission.slowing_guesses("person anna"):
        looked.append(True)
    assert looked == [True, True]


def test_what_cannot_be_guessed_is_always_looked_at_so_that_nobody_locks_others_out(admission: Admission) -> None:
    for _ in range(FAILURES_MAX):
        with pytest.raises(Unauthorised), admission.counting_failures("address 10.0.0.1"):
            wrong()
    with pytest.raises(TooMany), admission.counting_failures("address 10.0.0.1"):
        wrong()
    with admission.counting_failures("address 10.0.0.1"):
        pass


def test_only_so_many_keys_are_kept(admission: Admission) -> None:
    for number in range(KEYS_MAX + 100):
        admission.admit(f"person-{number}")
    assert len(admission._requests._left) == KEYS_MAX
