"""``make bench``: every figure, one JSON line each; status 1 where a target is missed."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks import bench_lab, bench_loop, bench_metrics, bench_sender

BENCHMARKS: tuple[Callable[[], Iterator[dict[str, Any]]], ...] = (
    bench_loop.figures,
    bench_metrics.figures,
    bench_sender.figures,
    bench_lab.figures,
)


def main() -> int:
    """Run them all."""
    missed = 0
    for figures in BENCHMARKS:
        for figure in figures():
            print(json.dumps(figure), flush=True)
            missed += not figure["ok"]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
