"""What is judged on a bench without a record of its uncertainty that holds, where the programme asks for one."""

from datetime import timedelta

import pytest
import small_programme as small

from lab_inventory.characterisation import CharacterisedBench
from lab_inventory.messages import CaseEnded, Started
from lab_inventory.programme import Programme
from lab_inventory.verdict import Verdict
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.pipeline.judge import judge, undecided
from tests.made_up_record import MADE_AT, made_up_bench, made_up_record

STRICT = small.programme(requires_characterised_bench=True)
STALE = made_up_bench(made_up_record(at=MADE_AT - timedelta(days=91)))


def judged(bench: CharacterisedBench | None, *reports: CaseEnded, by: Programme = STRICT) -> Judgement:
    """Judged on one attempt that began with this record."""
    started = Started(suite_version="1", pid=1, characterised=bench)
    return judge(small.view(small.attempt(1, *small.all_well(*reports), started=started), against=by), by)


def test_with_a_record_that_holds_the_highest_level_is_earned() -> None:
    assert judged(made_up_bench()).earned == "certified"


@pytest.mark.parametrize(
    ("bench", "words"),
    [
        (None, "the bench has no record of its characterisation"),
        (STALE, "was valid for 90 days, until 2025-12-31"),
        (made_up_bench(software="1.0+def"), "these are of 1.0+def"),
    ],
)
def test_without_one_what_has_an_uncertainty_is_undecided_at_the_highest_level_alone(
    bench: CharacterisedBench | None, words: str
) -> None:
    judgement = judged(bench)
    assert judgement.earned == "works-with"
    found = small.requirement(judgement, "R-1", "certified")
    assert [ground.verdict for ground in found.grounds] == [Verdict.INCONCLUSIVE, Verdict.PASS]
    assert words in found.words
    assert small.requirement(judgement, "R-3", "certified").verdict is Verdict.PASS
    assert all(one.verdict is Verdict.PASS for one in judgement.levels[0].requirements)


def test_a_fail_stays_a_fail_without_a_record() -> None:
    judgement = judged(None, small.ended("TC-1", 2, ringing_ms=700.0))
    assert small.requirement(judgement, "R-1", "certified").verdict is Verdict.FAIL


def test_a_programme_that_does_not_ask_for_one_is_judged_as_before() -> None:
    assert judged(None, by=small.SMALL).earned == "certified"


def test_nothing_is_measured_again_only_because_there_is_no_record() -> None:
    assert undecided(small.view(small.attempt(1, *small.all_well()), against=STRICT), STRICT) == ()


def test_a_programme_that_does_not_ask_for_one_keeps_its_digest() -> None:
    assert "requires_characterised_bench" not in small.SMALL.model_dump(mode="json")
