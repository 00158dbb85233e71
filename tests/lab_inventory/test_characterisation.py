"""What a record of a bench's uncertainty is made of, when it holds, and what it does to an instrument."""

import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from lab_inventory.characterisation import Characterisation, characterised, widened
from lab_inventory.errors import BadInput
from lab_inventory.lab import Calibration, Instrument
from lab_inventory.measurement import Unit
from tests.made_up_record import ERRORS, MADE_AT, made_up_bench, made_up_record

IN_TIME = MADE_AT + timedelta(days=89)


def test_the_uncertainty_is_the_mean_error_and_twice_the_spread_of_a_later_measurement() -> None:
    found = characterised("delay", Unit.MILLISECOND, "known", [one + 2.0 for one in ERRORS])
    # sd of 15 times 0.5 and 15 times -0.5: 0.5 sqrt(30/29) = 0.508548; U = 2 + 2 * 0.508548 * sqrt(31/30) = 3.033908
    assert (found.n, found.mean_error) == (30, pytest.approx(2.0))
    assert found.sd == pytest.approx(0.508548, abs=1e-6)
    assert found.uncertainty == pytest.approx(3.033908, abs=1e-6)


def test_fewer_than_thirty_runs_are_refused_in_words() -> None:
    with pytest.raises(BadInput, match="29 runs are not enough; expected at least 30"):
        characterised("delay", Unit.MILLISECOND, "known", [0.0] * 29)


def test_a_record_whose_uncertainty_was_written_smaller_than_its_numbers_say_is_refused() -> None:
    told = made_up_record().model_dump(mode="json")
    told["quantities"][0]["uncertainty"] = 0.1
    with pytest.raises(ValidationError, match=r"states U = 0\.1; expected 1\.03"):
        Characterisation.model_validate(told)


def test_a_record_of_this_bench_and_software_holds_to_the_end_of_its_days() -> None:
    assert made_up_bench().why_invalid(IN_TIME, "bench-1", "host-1") == ""


@pytest.mark.parametrize(
    ("change", "at", "words"),
    [
        ({}, MADE_AT + timedelta(days=91), "was valid for 90 days, until 2026-04-01"),
        ({"valid_days": 10}, IN_TIME, "was valid for 10 days"),
        ({"software": "1.0+def"}, IN_TIME, r"instruments of version 1\.0\+abc, these are of 1\.0\+def"),
        ({"node": "node-2"}, IN_TIME, "of machine node-1, this is node-2"),
        ({"host": "host-2"}, IN_TIME, "of host host-1, this is host-2"),
        ({"bench": "bench-2"}, IN_TIME, "of bench bench-1, this is bench-2"),
        ({}, MADE_AT - timedelta(days=1), "made after it measured"),
    ],
)
def test_a_record_that_does_not_hold_says_why(change: dict[str, Any], at: Any, words: str) -> None:
    assert re.search(words, made_up_bench(**change).why_invalid(at))


def test_an_instrument_takes_the_larger_uncertainty_of_both_in_each_unit() -> None:
    told = {Unit.MILLISECOND: 0.2, Unit.PERCENT: 0.1}
    instrument = Instrument(name="sip", kind="sip", calibration=Calibration(method="own"), uncertainty=told)
    record = made_up_record()
    assert widened(instrument, record).uncertainty == {
        Unit.MILLISECOND: record.quantities[0].uncertainty,
        Unit.PERCENT: 0.1,
    }
    generous = instrument.model_copy(update={"uncertainty": {Unit.MILLISECOND: 9.0}})
    assert widened(generous, record).uncertainty == {Unit.MILLISECOND: 9.0}
    assert widened(instrument.model_copy(update={"name": "other"}), record).uncertainty == told
