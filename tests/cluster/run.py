"""The process of a run: the product's own, with the suite of keys for the programme of keys, else its own.

python -m tests.cluster.run --scale 0.15 DIR
"""

import argparse
import sys
from pathlib import Path

from agents.run import main
from agents.suites import OpenSuite, OpenSuiteFor, suite_for
from lab_inventory.clock import Clock
from lab_inventory.messages import Assignment
from tests.faults.long_programme import LONG
from tests.faults.suite import opens


def suites(category: str, scale: float) -> OpenSuiteFor:
    """What opens the suite of an assignment."""
    keys, phones = opens((LONG,), scale), suite_for(category)

    async def open_suite(assignment: Assignment, clock: Clock) -> OpenSuite:
        opened = keys if assignment.programme == f"{LONG.id} {LONG.version}" else phones
        assert opened is not None
        return await opened(assignment, clock)

    return open_suite


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, required=True)
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    sys.exit(main(options.directory, find_suite=lambda category: suites(category, options.scale)))
