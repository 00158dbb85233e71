"""No fault of the bench fails a healthy phone; a defective one still fails. At length: ``make bench-faults``."""

import os
import shutil

import pytest

from lab_inventory.messages import RunOutcome
from orchestrator.lifecycle.verdict import Verdict
from tests.bench_faults.command import DEFECTS, run_quiet, run_with, upper_bound
from tests.bench_faults.faults import FAULTS

NEEDS_ROOT = {"disk full": "it mounts a file system, which needs root"}
SPOILS_EVERYTHING = {"registrar port taken"}
pytestmark = pytest.mark.skipif(
    shutil.which("baresip") is None and not os.environ.get("CI"),
    reason="baresip is not installed: apt-get install baresip-core",
)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_bench_fails_no_healthy_phone(fault: str) -> None:
    if fault in NEEDS_ROOT and os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT[fault])
    ended, struck = await run_with(fault, seed=1)
    assert struck
    assert ended.failed() == {}
    if fault in SPOILS_EVERYTHING:
        assert Verdict.PASS not in ended.verdicts().values()


@pytest.mark.parametrize("defect", DEFECTS)
async def test_a_defective_phone_still_fails(defect: str) -> None:
    ended = await run_quiet([defect])
    assert {requirement for _, requirement in ended.failed()} == {DEFECTS[defect]}, ended.reason or RunOutcome.ERROR


def test_the_bound_of_a_share_is_that_of_the_tables() -> None:
    assert upper_bound(0, 299) == pytest.approx(0.00997, abs=1e-4)
    assert upper_bound(2, 100) == pytest.approx(0.0616, abs=1e-3)
    assert upper_bound(5, 5) == 1.0
