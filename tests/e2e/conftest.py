"""The end-to-end tests need what a lab needs: skipped with a reason where it is missing, and never in CI."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stack import Phone, Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = shutil.which("baresip") is None
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if missing and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="baresip is not installed: apt-get install baresip-core"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts a stack; stops it after the test, and shows its logs where the test failed."""
    stacks: list[Stack] = []

    def start(*phones: Phone, **options: Any) -> Stack:
        stack = Stack(tmp_path, phones, **options)
        stacks.append(stack)
        stack.start()
        return stack

    yield start
    for stack in stacks:
        stack.stop()
        for name in ("server", "agent", "phones"):
            path = tmp_path / f"{name}.log"
            if path.exists():
                print(f"--- {name}\n{path.read_text(errors='replace')[-3000:]}")
