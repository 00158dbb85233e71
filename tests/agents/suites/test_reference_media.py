"""What the suite sees of the reference phone's packets: healthy, and with each defect of its media."""

from pathlib import Path

import pytest
from reference_bench import measurements_of, reference_on_bench, values_of

from agents.measure import LabError
from agents.suites.ip_phone.qos import code_points, marked_percent
from lab_inventory.measurement import Value
from lab_inventory.programme import TestCase

MARKS = TestCase(
    id="TC-NET-01",
    title="Marks",
    procedure="qos-marks",
    duration_s=5,
    parameters={"window_s": 0.2, "media": "EF", "signalling": "CS3 CS5 AF31"},
)

SKEW = TestCase(id="TC-MED-04", title="Skew", procedure="clock-skew", duration_s=9, parameters={"window_s": 6})


@pytest.mark.parametrize(
    ("defects", "expected"),
    [
        ((), {"media_marked_percent": 100.0, "signalling_marked_percent": 100.0}),
        (("media-unmarked",), {"media_marked_percent": 0.0, "signalling_marked_percent": 100.0}),
        (("signalling-unmarked",), {"media_marked_percent": 100.0, "signalling_marked_percent": 0.0}),
    ],
)
async def test_the_marks_of_a_phone_are_seen(
    tmp_path: Path, defects: tuple[str, ...], expected: dict[str, Value]
) -> None:
    async with reference_on_bench(tmp_path, defects=defects) as suite:
        assert await values_of(suite, MARKS, tmp_path) == expected


def test_the_share_of_marked_packets_names_every_mark_that_was_seen() -> None:
    assert marked_percent([46, 46, 0, 11], code_points("EF")) == (50.0, "2 x EF (46), 1 x CS0 (0), 1 x DSCP (11)")


@pytest.mark.parametrize("text", ["", "EF XX"])
def test_a_mark_that_no_standard_names_is_an_error_of_the_programme(text: str) -> None:
    with pytest.raises(LabError, match="expected some of CS0, CS1"):
        code_points(text)


@pytest.mark.alone
@pytest.mark.parametrize("size", [0, 800])
async def test_a_slow_clock_of_the_audio_is_measured_within_its_uncertainty(tmp_path: Path, size: float) -> None:
    async with reference_on_bench(tmp_path, defects=(f"audio-clock-slow={size}",)) as suite:
        (found,) = await measurements_of(suite, SKEW, tmp_path)

    assert isinstance(found.value, float)
    assert found.uncertainty is not None
    assert abs(found.value - size) <= found.uncertainty
    assert found.uncertainty < 300
