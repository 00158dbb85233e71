"""Every planted bug is found by the checker that is there for it, and the same worlds are clean without it."""

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import pytest

from tests.simulation.planted import PLANTED, found_by

SEEDS = 60
STEPS = 1500


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    wanted = PLANTED[name][1]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        asked = {pool.submit(found_by, name, seed, STEPS): seed for seed in range(SEEDS)}
        for done in as_completed(asked):
            if wanted in done.result():
                print(f"{name}: found by {wanted} in seed {asked[done]}")
                pool.shutdown(cancel_futures=True)
                return
    pytest.fail(f"{wanted} does not find it in {SEEDS} seeds")
