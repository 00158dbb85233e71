"""Many calls in a row: what leaks and what wears out is counted, and nothing is where a phone is well."""

from pathlib import Path

import pytest
from reference_bench import CASES, reference_on_bench, values_of

from lab_inventory.programme import TestCase

pytestmark = pytest.mark.alone


def many(calls: int) -> TestCase:
    return CASES["TC-SIP-01"].model_copy(
        update={"id": "TC-X", "procedure": "many-calls", "duration_s": 60, "parameters": {"calls": calls}}
    )


async def test_every_call_of_a_phone_that_is_well_is_answered_and_heard(tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path) as suite:
        seen = await values_of(suite, many(8), tmp_path)

    assert seen == {"calls_answered": 8, "calls_with_audio": 8, "restarts": 0}


async def test_a_phone_that_wears_out_and_begins_anew_has_restarted(tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, defects=["crash-after-calls=3"]) as suite:
        seen = await values_of(suite, many(6), tmp_path)

    assert isinstance(seen["restarts"], int)
    assert seen["restarts"] >= 1
    assert isinstance(seen["calls_answered"], int)
    assert seen["calls_answered"] < 6


async def test_calls_that_a_phone_does_not_answer_are_not_counted(tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, defects=["state-leaks"]) as suite:
        seen = await values_of(suite, many(4), tmp_path)

    assert seen == {"calls_answered": 3, "calls_with_audio": 3, "restarts": 0}
