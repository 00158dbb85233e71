"""What the tests of the agent stand on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stand_in_orchestrator import StandInOrchestrator


@pytest.fixture
def orchestrator() -> Iterator[StandInOrchestrator]:
    with StandInOrchestrator() as server:
        yield server
