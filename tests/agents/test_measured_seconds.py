"""Seconds are measured with the clock that milliseconds are characterised for."""

from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT

from agents.measure import Recorder
from lab_inventory.measurement import Unit


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({Unit.MILLISECOND: 2.0}, 0.002),
        ({Unit.MILLISECOND: 2.0, Unit.SECOND: 0.5}, 0.5),
        ({Unit.PERCENT: 1.0}, None),
    ],
)
def test_a_time_in_seconds_has_the_uncertainty_of_the_milliseconds(
    tmp_path: Path, known: dict[Unit, float], expected: float | None
) -> None:
    instrument = INSTRUMENT.model_copy(update={"uncertainty": known})
    recorder = Recorder(declared={"bye_s": Unit.SECOND}, instrument=instrument, folder=tmp_path)

    recorder.measure("bye_s", 60.0)

    (measured,) = recorder.measurements()
    assert measured.uncertainty == (None if expected is None else pytest.approx(expected))
