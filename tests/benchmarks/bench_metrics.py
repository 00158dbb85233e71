"""One scrape of ``/metrics`` in a lab of 1,000 devices: with 10,000 runs that wait, and with 10,000 that have ended.

Prints one JSON line per figure; the baseline is a scrape of the same devices before anything was submitted.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab_inventory.clock import SystemClock
from orchestrator.metrics import Metrics
from orchestrator.store import listings
from tests.benchmarks.bench_loop import QUEUED, RUNS_OF_A_FIGURE, desk_at, figure, fill, fill_devices, seconds

SCRAPE_S_MAX = 0.1


def figures() -> Iterator[dict[str, Any]]:
    """The figures, measured now."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        desk = desk_at(Path(folder), clock)
        store = desk.store
        metrics = Metrics(store, clock)

        def scrape_s() -> float:
            return min(seconds(clock, metrics.text) for _ in range(RUNS_OF_A_FIGURE))

        fill_devices(desk)
        empty_s = scrape_s()
        fill(desk)
        with store.reading() as connection:
            assert listings.counts(connection)["waiting"] == QUEUED
        yield figure("scrape_with_10000_runs_that_wait", scrape_s(), SCRAPE_S_MAX, empty_s)
        with store.reading() as connection:
            batches = [row["batch"] for row in listings.batches(connection, limit=200)]
        for batch in batches:
            desk.cancel_batch(batch, "bench", "a benchmark")
        with store.reading() as connection:
            assert listings.counts(connection)["waiting"] == 0
        yield figure("scrape_with_10000_runs_that_ended", scrape_s(), SCRAPE_S_MAX, empty_s)
        store.close()


if __name__ == "__main__":
    for line in figures():
        print(json.dumps(line))
